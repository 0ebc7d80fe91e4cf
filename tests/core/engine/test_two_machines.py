"""One model on two machines: two network namespaces with a cable between them, one of which lacks the run's folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.events import EpochFinished, RunResumed
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tests.core.engine.test_workers import assert_same, command_of, trained
from tests.run_folders import epochs, read_journal
from tests.waiting import wait_for

Tiny = Callable[..., RunConfig]
ADDRESSES = ("10.77.7.1", "10.77.7.2")
# Longer than a worker waits for another one, and than torchrun waits for its own store by default.
OUTAGE_SECONDS = 75.0


def ip(*arguments: object) -> None:
    subprocess.run(["ip", *map(str, arguments)], check=True, capture_output=True, timeout=20)


class Machine:
    """A network namespace with one address. On the second machine the folder of the runs is another one, and empty."""

    def __init__(self, number: int, hidden: Path) -> None:
        self.name, self.address = f"rnn-{os.getpid()}-{number}", ADDRESSES[number]
        self._hidden = hidden if number else None

    def command(self, *arguments: object) -> list[str]:
        """``python`` with ``arguments`` on this machine."""
        program = [sys.executable, *map(str, arguments)]
        hide = f"mount -t tmpfs none {self._hidden}; " if self._hidden else ""
        inside = ["unshare", "--mount", "sh", "-c", f'{hide}exec "$@"', "sh", *program]
        return ["ip", "netns", "exec", self.name, *inside]

    def processes(self) -> list[psutil.Process]:
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True)
        return [psutil.Process(int(number)) for number in found.stdout.split()]

    def worker(self) -> psutil.Process:
        """The worker that torchrun has started here."""
        return next(found for found in self.processes() if "RANK" in found.environ())


@contextlib.contextmanager
def popen(arguments: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that does not outlive the block, nor holds it up where it fails."""
    with subprocess.Popen(arguments, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def machines(saves: Path) -> Iterator[tuple[Machine, Machine]]:
    if sys.platform != "linux" or os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("network namespaces need Linux, root and ip")
    saves.mkdir(exist_ok=True)
    one, other = (Machine(number, saves) for number in range(2))
    try:
        ip("netns", "add", one.name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made: {error.stderr!r}")
    try:
        ip("netns", "add", other.name)
        ip("link", "add", "eth0", "netns", one.name, "type", "veth", "peer", "name", "eth0", "netns", other.name)
        for machine in (one, other):
            ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", machine.name, "link", "set", device, "up")
        yield one, other
    finally:
        for machine in (one, other):
            with contextlib.suppress(subprocess.CalledProcessError):
                for process in machine.processes():
                    process.kill()
                ip("netns", "del", machine.name)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def two(tiny: Tiny, **changes: object) -> RunConfig:
    return tiny(**{"workers": 2, "dropout": 0.2, "sampling": "random", "state": "carried", **changes})


def test_a_run_goes_on_over_two_machines(
    tiny: Tiny,
    saves: Path,
    machines: tuple[Machine, Machine],
    network: None,
    one_thread: None,
    runtime: Path,
    monkeypatch: pytest.MonkeyPatch,
    forked_programs: None,
    trials: int,
) -> None:
    """The one that does not lead has the text, and not the folder; nothing listens beside their own network."""
    if trials < 2:
        pytest.skip("torch is imported twice on a busy machine: ten seconds, with --trials 2")
    whole = trained(two(tiny, num_epochs=60), saves, "whole")
    run = trained(two(tiny, num_epochs=2), saves, "one")
    monkeypatch.delenv("RNN_PLAYGROUND_FORK_SERVER")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")  # the workers of one machine have used its loopback
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": ADDRESSES[0], "MASTER_PORT": "29400"}
    command = ["-m", "core", "resume", "one", f"--saves={saves}", "--epochs=60"]
    with contextlib.ExitStack() as stack:
        programs = []
        for rank, machine in enumerate(machines):
            environment = {**os.environ, **place, "RANK": str(rank)}
            arguments = machine.command(*command)
            programs.append(stack.enter_context(popen(arguments, env=environment)))
        wait_for(lambda: len(epochs(read_journal(run.journal_path))) > 2 or programs[0].poll() is not None)
        with contextlib.suppress(psutil.NoSuchProcess):
            for machine in machines:
                for process in machine.processes():
                    listening = {found.laddr for found in process.net_connections("inet") if found.status == "LISTEN"}
                    store = {found for found in listening if found.port == 29400}
                    assert {found.ip for found in listening - store} <= {machine.address}
                    assert not store or machine is machines[0]
        assert [program.wait(60) for program in programs] == [0, 0]
    assert_same(run, whole)


@pytest.mark.timeout(500)
def test_torchrun_over_two_machines(
    tiny: Tiny,
    saves: Path,
    machines: tuple[Machine, Machine],
    network: None,
    one_thread: None,
    runtime: Path,
    trials: int,
) -> None:
    """The second machine's worker is killed; then it is cut off for longer than the workers wait."""
    if trials < 2:
        pytest.skip("torchrun imports torch eight times, and a minute is waited for: three minutes, with --trials 2")
    config = two(tiny, num_epochs=600, checkpoint_seconds=0.5, sample_every=0)
    run = Run(saves / "one")
    torchrun = (
        *("-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=3"),
        *("--rdzv-backend=c10d", f"--rdzv-endpoint={ADDRESSES[0]}:29400"),
    )
    waiting = "--rdzv-conf=read_timeout=900,join_timeout=900,is_host="  # by their names they would not find out

    def times_begun() -> int:
        events = read_journal(run.journal_path) if run.exists() else []
        return sum(isinstance(event, RunResumed) for event in events)

    def goes_on() -> bool:
        return run.exists() and isinstance(read_journal(run.journal_path)[-1], EpochFinished)

    with contextlib.ExitStack() as stack:
        programs = []
        for machine in machines:
            how = (f"--local-addr={machine.address}", f"{waiting}{machine is machines[0]}")
            programs.append(stack.enter_context(popen(machine.command(*torchrun, *how, *command_of(config, saves)))))
        wait_for(lambda: times_begun() == 1 and goes_on(), "the first epochs", 100)
        machines[1].worker().send_signal(signal.SIGKILL)
        wait_for(lambda: times_begun() == 2 and goes_on(), "other workers", 100)
        ip("-n", machines[1].name, "link", "set", "eth0", "down")
        time.sleep(OUTAGE_SECONDS)
        ip("-n", machines[1].name, "link", "set", "eth0", "up")
        wait_for(lambda: times_begun() == 3 and goes_on(), "workers after the outage", 150)
        assert [program.wait(200) for program in programs] == [0, 0]
    assert times_begun() == 3
    assert_same(run, trained(config, saves, "whole"))
