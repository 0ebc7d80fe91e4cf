"""Screens that are lost, stopped, stalled and doubled: the training goes on, and the next screen has all of it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.engine.client import EngineClient
from core.runs.run import Run
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from tests.processes import engines_of
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture
def training(
    environment: dict[str, str], tmp_path: Path, forks: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Run]:
    """Begin a training without end, in an engine that no client is left with."""
    monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", environment["RNN_PLAYGROUND_RUNTIME"])
    for name, value in forks.items():
        monkeypatch.setenv(name, value)
    config = RunConfig(num_hiddens=64, num_epochs=10**6, threads=1, device="cpu", sample_every=20)

    async def begin(name: str) -> Run:
        client = await EngineClient.standby()
        facts = await client.request("create", config=config.to_dict(), saves=str(tmp_path / "saves"), name=name)
        await client.request("train")
        await client.close()
        return Run(Path(str(facts["run"])))

    return lambda name="song": asyncio.run(begin(name))


CONNECTED = "03"  # in /proc/net/unix


def epoch_of(run: Run) -> int:
    return run_summary(run).epoch


def goes_on(run: Run) -> None:
    before = epoch_of(run)
    wait_for(lambda: epoch_of(run) > before + 1, "epochs without a screen")
    assert run_summary(run).state == "training"


def shown_epoch(text: str) -> int:
    """The epoch that the screen tells; -1 for none."""
    found = re.search(r"epoch +([\d,]+)/", text)
    return int(found[1].replace(",", "")) if found else -1


def watches(*runs: Run) -> Callable[[str], bool]:
    """That a screen shows one of the runs in training, and all that it has done up to now."""
    at_least = {run.name: epoch_of(run) for run in runs}

    def shows(text: str) -> bool:
        return any(f"{name} · training" in text and shown_epoch(text) >= epoch for name, epoch in at_least.items())

    return shows


WAYS = {
    "hang-up signal": lambda terminal: terminal.kill(signal.SIGHUP),
    "termination": lambda terminal: terminal.kill(signal.SIGTERM),
    "interrupt": lambda terminal: terminal.kill(signal.SIGINT),
    "kill": lambda terminal: terminal.kill(signal.SIGKILL),
    "the terminal is gone": lambda terminal: terminal.hang_up(),
}


def connected_engines(runtime: str) -> set[str]:
    """The sockets of engines that somebody is connected to."""
    found = set()
    for line in Path("/proc/net/unix").read_text().splitlines():
        *_, state, _, path = line.split(maxsplit=7)[4:] if runtime in line else ("", "", "")
        if state == CONNECTED:
            found.add(path)
    return found


def test_every_way_to_lose_the_screen(
    training: Callable[..., Run], playground: Callable[..., Any], environment: dict[str, str]
) -> None:
    run, runtime = training("song"), environment["RNN_PLAYGROUND_RUNTIME"]
    for way, lose in WAYS.items():
        terminal = playground()
        terminal.wait(watches(run))
        # One that never had a client waits for one.
        wait_for(lambda: len(connected_engines(runtime)) == 2, "the standby engine beside that of the run")
        lose(terminal)
        terminal.wait_exit()
        if way in ("hang-up signal", "termination", "interrupt"):
            wait_for(lambda terminal=terminal: terminal.is_sane, f"a sane terminal after: {way}", 5)  # type: ignore[misc]
            assert "Traceback" not in bytes(terminal.output).decode(errors="replace"), way
        goes_on(run)
    # Nothing else is left: no screen's standby engine outlives it.
    wait_for(lambda: len(engines_of(runtime)) == 1, "engines without work to go")

    other = training("verse")
    again = playground()
    again.wait(watches(run, other))
    again.press("f6")
    again.wait(lambda text: "song" in text and "verse" in text and text.count("training") >= 2)
    time.sleep(1.0)
    again.press("q")
    again.wait_exit()
    words = [f"{name} continues training".encode() for name in ("song", "verse")]
    wait_for(lambda: all(sentence in again.output for sentence in words), "the names of both on the terminal", 5)
    assert again.is_sane


def test_stopped_and_in_the_foreground_again(
    training: Callable[..., Run], terminals: Callable[..., Any], tmp_path: Path
) -> None:
    """In a shell: ctrl+c does nothing bad, ctrl+z gives the terminal back, fg draws all of it again."""
    run = training("song")
    shell = terminals("bash", "--norc", "--noprofile", "-i")
    shell.type("PS1='prompt> '; stty -g > before\r".replace("before", str(tmp_path / "before")))
    shell.wait("prompt> ")
    shell.type(f"{sys.executable} -m tui --saves {tmp_path / 'saves'}\r")
    shell.wait(watches(run))
    shell.press("ctrl+c")
    time.sleep(0.3)
    shell.wait(watches(run))

    shell.press("ctrl+z")
    shell.wait("Stopped")
    shell.type(f"stty -g > {tmp_path / 'stopped'}; echo back\r")
    shell.wait("\nback")
    assert (tmp_path / "stopped").read_text() == (tmp_path / "before").read_text()
    output = bytes(shell.output)
    assert output.rfind(b"\x1b[?1049l") > output.rfind(b"\x1b[?1049h") and b"\x1b[?25h" in output
    goes_on(run)
    shell.type("fg\r")
    shows = watches(run)
    shell.wait(lambda text: shows(text) and "back" not in text and "prompt>" not in text)
    for part in ("Playground", "settings", "optimiser", "perplexity", "the model writes", "Train"):
        shell.wait(part, 5)  # all is drawn again

    shell.press("q")
    shell.wait("song continues training")
    shell.type(f"stty -g > {tmp_path / 'after'}; echo done\r")
    shell.wait("\ndone")
    assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text()
    goes_on(run)


def test_a_terminal_that_reads_nothing(
    training: Callable[..., Run], playground: Callable[..., Any], trials: int
) -> None:
    run = training("song")
    terminal = playground()
    terminal.wait(watches(run))
    terminal.stall()
    before, until = epoch_of(run), time.monotonic() + min(3.0 * trials, 60.0)
    pane = 2
    while time.monotonic() < until:
        pane = 5 - pane  # something to draw: the panes in turn
        terminal.press(f"f{pane}")
        time.sleep(0.02)
    assert epoch_of(run) > before + 3, "the training goes on meanwhile"
    terminal.go_on()
    terminal.press("f3")
    terminal.wait(watches(run))
    # And one that is never read again can be got rid of all the same.
    terminal.stall()
    for _ in range(40):
        pane = 5 - pane
        terminal.press(f"f{pane}")
    terminal.kill(signal.SIGTERM)
    terminal.wait_exit(15)
    goes_on(run)


def test_a_stalled_terminal_that_goes_away(training: Callable[..., Run], playground: Callable[..., Any]) -> None:
    run = training("song")
    terminal = playground()
    terminal.wait(watches(run))
    terminal.stall()
    for number in range(40):
        terminal.press("f2" if number % 2 else "f3")
    os.close(terminal.descriptor)
    terminal.wait_exit(15)
    goes_on(run)
    terminal.go_on()


def test_two_screens_see_the_same(training: Callable[..., Run], playground: Callable[..., Any]) -> None:
    run = training("song")
    first, second = playground(), playground(columns=80, lines=24)
    for screen in (first, second):
        screen.wait(watches(run))
    first.press("space")
    for screen in (first, second):
        screen.wait(lambda text: "paused" in text and shown_epoch(text) == epoch_of(run))
    assert shown_epoch(first.text) == shown_epoch(second.text)
    second.press("space")
    for screen in (first, second):
        screen.wait(watches(run))
    second.press("x")
    for screen in (first, second):
        screen.wait(lambda text: "stopped" in text and shown_epoch(text) == epoch_of(run))
    for screen in (first, second):
        screen.press("q")
        assert screen.wait_exit() == 0
    wait_for(lambda: not run.is_held(), "the idle engine to go")
