"""A run that several processes train: what is asked of it meanwhile, workers that are killed, what listens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

from core.engine.session import Session
from core.engine.workers import local_team
from core.errors import ConfigError
from core.events import BudgetFitted, Event, Note, RunResumed, SettingChanged, State, StateChanged
from core.runs.checkpoint import read_checkpoint
from core.runs.held_folder import HeldFolder
from core.runs.run import Run
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from core.training import distributed
from core.training.distributed import Team
from tests.core.engine.conftest import ForkedEngine
from tests.core.outcomes import curve, notes, train_in_child, train_to_end
from tests.core.processes import started
from tests.run_folders import epochs, read_journal
from tests.waiting import wait_for

Tiny = Callable[..., RunConfig]
KILLS = 3

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def together(tiny: Tiny) -> Tiny:
    """A configuration that two workers train."""
    return lambda **changes: tiny(**{"workers": 2, "dropout": 0.2, "sampling": "random", "state": "carried", **changes})


def others(leader: int) -> list[psutil.Process]:
    """The other workers that a process has started."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):  # of which a zombie is one
        for child in psutil.Process(leader).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [child] if "core.training.following" in child.cmdline() else []
    return found


def forked_worker() -> psutil.Process:
    """The other worker itself; what was started only stands for it, see ``tests/forked``."""
    [other] = others(os.getpid())
    return psutil.Process(int(Path(f"{os.environ['RNN_PLAYGROUND_FORK_SERVER']}.{other.pid}").read_text()))


def assert_same(found: Run, wanted: Run) -> None:
    assert curve(found) == curve(wanted)
    ours, theirs = read_checkpoint(found.latest_path)[0], read_checkpoint(wanted.latest_path)[0]
    assert set(ours) == set(theirs) and all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def trained(config: RunConfig, saves: Path, name: str) -> Run:
    """A run that nothing interrupts."""
    session = Session.create(config, saves, name)
    list(train_to_end(session))
    session.close()
    assert run_summary(session.run).state == State.FINISHED and not notes(session.run)
    return session.run


def test_one_and_two_workers(together: Tiny, saves: Path, one_thread: None, forked_programs: None) -> None:
    alone = curve(trained(together(workers=0), saves, "alone"))
    run = trained(together(), saves, "together")
    assert run.metadata().backend["workers"] == "2" and not others(os.getpid())
    states = [event for event in read_journal(run.journal_path) if isinstance(event, StateChanged)]
    assert [(event.state, event.message) for event in states][1:3] == [
        (State.TRAINING, "starting 2 workers"),  # their start takes seconds
        (State.TRAINING, ""),
    ]
    assert [event.loss for event in curve(run)] == pytest.approx([event.loss for event in alone], rel=1e-4)
    # On one worker: the journal says so, and the run can also be continued as before.
    session = Session.open(run, workers=1)
    assert session.change is not None and "workers: 2; here it is computed with workers: 1" in session.change.words
    assert session.change.as_before is not None and session.change.as_before.workers == 2
    list(session.train(4))
    assert session.trainer is not None and session.trainer.team is None
    session.close()
    assert "workers: 1" in notes(run)[-1] and run.metadata().config.workers == 1


def test_asked_while_two_train(
    together: Tiny, saves: Path, forked: Callable[..., ForkedEngine], forked_programs: None
) -> None:
    config = together(num_epochs=100_000, validation_fraction=0.2)
    engine = forked(lambda: Session.create(config, saves, "run"))
    run, talk = Run(saves / "run"), engine.talk

    def progress() -> int:
        return int(run_summary(run).epoch)

    assert talk.ask("train")["state"] == State.TRAINING
    wait_for(lambda: progress() > 2)
    assert len(talk.ask("generate", prefix="ab", length=5)["text"]) >= 5
    assert talk.ask("inspect", view="step", text="abc", at=1)["event"] == "done"
    assert talk.ask("set", name="learning_rate", value=0.25)["event"] == "done"
    assert talk.ask("save")["event"] == "done"
    assert talk.ask("pause")["state"] == State.PAUSED and len(others(engine.pid)) == 1
    assert talk.ask("step")["batch"] >= 1
    before = progress()
    assert talk.ask("resume")["state"] == State.TRAINING
    wait_for(lambda: progress() > before + 2)
    assert talk.ask("stop")["state"] == State.STOPPED and not others(engine.pid)
    assert epochs(read_journal(run.journal_path))[-1].learning_rate == 0.25
    assert [event.value for event in read_journal(run.journal_path) if isinstance(event, SettingChanged)] == [0.25]
    before = progress()
    assert talk.ask("train")["state"] == State.TRAINING
    wait_for(lambda: progress() > before + 1)
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0
    assert read_checkpoint(run.latest_path)[1]["epoch"] >= progress() > before
    assert run_summary(run).state == State.STOPPED and not notes(run)


def test_what_a_killed_engine_has_left_is_removed(
    one_thread: None, forked_programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        left, lives, young, link = (Path(place) / f"rnn-workers-{name}" for name in ("left", "lives", "young", "link"))
        for folder in (left, lives, young):
            folder.mkdir()
        (left / "1.log").write_text("killed")
        link.symlink_to(young)
        for folder in (left, lives):
            os.utime(folder, (0, 0))
        with open(lives / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.utime(lives, (0, 0))
            team = local_team(2)
            assert not left.exists() and len(list(Path(place).iterdir())) == 4
            team.end()
        assert set(Path(place).iterdir()) == {lives, young, link}


def test_a_divergence_is_everyones(together: Tiny, saves: Path, one_thread: None, forked_programs: None) -> None:
    session = Session.create(together(learning_rate=1e6, clipping="none", num_epochs=50), saves, "run")
    events = list(train_to_end(session))
    assert isinstance(events[-1], StateChanged) and events[-1].state == State.DIVERGED
    assert "the weights are those of epoch" in events[-1].message and not others(os.getpid())
    session.close()


def test_killed_at_random(
    together: Tiny, saves: Path, one_thread: None, forked_programs: None, trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any of the workers, the one that leads among them: the end is that of the uninterrupted run, bit for bit."""
    # One that is killed while it meets the others is waited for so long.
    monkeypatch.setattr("core.training.distributed.PATIENCE", 10.0)
    config = together(num_epochs=14, checkpoint_seconds=0.03, cell="gru", batch_size=5, validation_fraction=0.2)
    began = time.monotonic()
    whole = trained(config, saves, "whole")
    seconds, draw, kills = time.monotonic() - began, random.Random(1), {"leader": 0, "other": 0}
    run = Run(saves / "killed")
    told: list[Event] = []

    def is_over() -> bool:
        """Enough kills, and one of another worker which the leader outlived long enough to say so."""
        events = told + (read_journal(run.journal_path) if run.journal_path.exists() else [])
        words = (event.text for event in events if isinstance(event, Note))
        return is_enough() and any("all start again from the last checkpoint" in text for text in words)

    def is_enough() -> bool:
        return sum(kills.values()) >= KILLS * trials and all(kills.values())

    rounds = 0
    while not is_over() or run.path.exists():
        child = os.fork()
        if child == 0:
            train_in_child(config, run)
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(draw.uniform(0, 0.5 * seconds))
            victims = others(child)
            if not victims or is_over():
                continue
            name = "other" if is_enough() else min(kills, key=lambda known: kills[known])
            os.kill(child if name == "leader" else victims[0].pid, signal.SIGKILL)
            kills[name] += 1
        if run.exists() and run_summary(run).state == State.FINISHED:
            assert_same(run, whole)
            rounds += 1
            told += read_journal(run.journal_path)
            run.path.rename(saves / f"finished-{rounds}")
    assert sum(isinstance(event, RunResumed) for event in told) > rounds


def test_a_worker_is_lost_before_a_pause(together: Tiny, saves: Path, one_thread: None, forked_programs: None) -> None:
    whole = trained(together(num_epochs=6), saves, "whole")
    session = Session.create(together(num_epochs=6), saves, "run")
    session.train()
    while session.trainer is not None and session.trainer.epoch < 2:
        session.advance()
    session.save()
    saved = session.run.latest_path.read_bytes()
    session.advance()
    worker = forked_worker()
    worker.kill()
    worker.wait(30)
    session.pause()
    session.save()
    assert session.state == State.PAUSED and session.run.latest_path.read_bytes() == saved
    session.train()
    while session.state == State.TRAINING:
        session.advance()
    session.close()
    assert notes(session.run) == ["a worker was lost: the last checkpoint is kept"]
    assert_same(session.run, whole)


def test_a_worker_that_hangs(
    together: Tiny, saves: Path, one_thread: None, forked_programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "PATIENCE", 3.0)
    whole = trained(together(num_epochs=8), saves, "whole")
    session = Session.create(together(num_epochs=8), saves, "run")
    session.train()
    while session.trainer is not None and session.trainer.epoch < 3:
        session.advance()
    session.save()
    forked_worker().suspend()
    while session.state == State.TRAINING:
        session.advance()
    session.close()
    assert notes(session.run) == ["a worker did not answer within 3 s: all start again from the last checkpoint"]
    assert_same(session.run, whole)


def test_a_worker_that_hangs_as_it_starts(
    together: Tiny, saves: Path, one_thread: None, forked_programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped before it has imported torch; the one that replaces it is forked as usual."""
    config = together(num_epochs=3)
    whole = trained(config, saves, "whole")
    monkeypatch.setattr(distributed, "IMPORTING_PATIENCE", 1.0)
    server = os.environ.pop("RNN_PLAYGROUND_FORK_SERVER")

    def stop_the_first() -> None:
        wait_for(lambda: others(os.getpid()))
        others(os.getpid())[0].suspend()
        os.environ["RNN_PLAYGROUND_FORK_SERVER"] = server

    stopping = threading.Thread(target=stop_the_first)
    stopping.start()
    session = Session.create(config, saves, "run")
    list(train_to_end(session))
    session.close()
    stopping.join()
    [told] = notes(session.run)
    assert told.startswith("worker 1 of 2 was started and did not import torch within 1 s: something stops it, or")
    assert told.endswith("all are started again") and not others(os.getpid())
    assert_same(session.run, whole)


def test_refusals(together: Tiny, saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="workers must be at most batch_size, 4: each trains on its rows, got 5"):
        together(workers=5)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "9")
    with pytest.raises(ConfigError, match="batch_size must be at least the number of workers, 9"):
        Session.create(together(), saves)


@pytest.fixture
def team(tmp_path: Path, one_thread: None, forked_programs: None) -> Iterator[Team]:
    """Two workers, the other one started as an engine starts it."""
    with HeldFolder(tmp_path) as log:
        made = local_team(2, log)
        yield made
        made.end()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_listens_beyond_loopback(team: Team) -> None:
    for process in (psutil.Process(), forked_worker()):
        listening = [found for found in process.net_connections("inet") if found.status == psutil.CONN_LISTEN]
        assert listening and {found.laddr.ip for found in listening} == {"127.0.0.1"}, process.cmdline()
    team.end()
    assert not others(os.getpid())


def command_of(config: RunConfig, saves: Path) -> list[str]:
    settings = [f"--set={name}={value}" for name, value in config.to_dict().items() if name != "device"]
    return ["-m", "core", "train", "--device=cpu", "--name=one", f"--saves={saves}", *settings]


def test_workers_that_a_launcher_has_started(
    together: Tiny, saves: Path, one_thread: None, runtime: Path, forked_programs: None
) -> None:
    config = together(num_epochs=5)
    launch(command_of(config, saves))
    assert_same(Run(saves / "one"), trained(config, saves, "whole"))


def launch(command: list[str]) -> None:
    """Run ``command`` as both of two workers, as torchrun does; the one that does not lead prints nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    with started(*command, env={**os.environ, **place, "RANK": "1"}, stdout=subprocess.PIPE) as second:
        with started(*command, env={**os.environ, **place, "RANK": "0"}) as first:
            assert first.wait(60) == 0
        assert second.communicate(timeout=60)[0] == "" and second.returncode == 0


def test_a_run_is_resumed_with_a_budget_by_two(
    together: Tiny, saves: Path, one_thread: None, runtime: Path, forked_programs: None
) -> None:
    """Under a launcher, then with workers of its own: the epochs are fitted to each budget, and all of them counted."""
    run = trained(together(num_epochs=2, workers=1), saves, "one")
    command = ["-m", "core", "resume", "one", f"--saves={saves}", "--minutes=0.01"]
    launch(command)
    done = epochs(read_journal(run.journal_path))[-1].epoch
    with started(*command, "--workers=2") as alone:
        assert alone.wait(60) == 0
    events = read_journal(run.journal_path)
    fits = [event for event in events if isinstance(event, BudgetFitted)]
    assert [event.value for event in events if isinstance(event, SettingChanged)] == [0.01, 0.01]
    assert [event.backend["workers"] for event in events if isinstance(event, RunResumed)] == ["1", "2", "2"]
    assert [event.epoch for event in epochs(events)] == list(range(1, fits[-1].num_epochs + 1)) and done > 2
    assert run_summary(run).state == State.FINISHED and run.metadata().config.num_epochs == fits[-1].num_epochs > done


@pytest.mark.timeout(240)
def test_torchrun_restarts_its_workers(
    together: Tiny, saves: Path, one_thread: None, runtime: Path, trials: int
) -> None:
    """One that follows is killed, then the one that leads."""
    if trials < 2:
        pytest.skip("torchrun imports torch seven times: half a minute, with --trials 2")
    config = together(num_epochs=80, checkpoint_seconds=0.05)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=2"]
    run = Run(saves / "one")

    def times_begun() -> int:
        events = read_journal(run.journal_path) if run.exists() else []
        return sum(isinstance(event, RunResumed) for event in events)

    with started(*command, *command_of(config, saves)) as torchrun:
        for begun, rank in ((1, "1"), (2, "0")):
            wait_for(lambda begun=begun: times_begun() == begun, "workers of torchrun", 100)
            workers = psutil.Process(torchrun.pid).children()
            next(worker for worker in workers if worker.environ().get("RANK") == rank).kill()
        assert torchrun.wait(100) == 0
    assert times_begun() == 3
    assert_same(run, trained(config, saves, "whole"))
