"""A read-only playground in a real terminal and a real browser: played at random, it watches and changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.engine.client import EngineClient
from core.engine.session import Session
from core.events import Event, SettingChanged, StateChanged
from core.runs.run import Run
from core.runs.trash import delete_run
from core.settings.run_config import RunConfig
from tests.e2e.browser import CHROMIUM, browser
from tests.e2e.conftest import PROJECT
from tests.e2e.random_player import TEXT, burst
from tests.processes import engines_of
from tests.run_folders import read_journal
from tests.tui.test_read_only import snapshot
from tui.services import READ_ONLY

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(0)]

SECONDS = 10.0
CONFIG = RunConfig(corpus="lyrics-zh", num_hiddens=16, num_epochs=3, threads=1, device="cpu", cpu_path="plain")


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str], forks: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with texts, two runs, one that trains without end, and one in the trash."""
    folder = tmp_path / "home"
    (folder / "data").mkdir(parents=True)
    for name in ("lyrics-zh", "tale-en", "verse-zh"):
        (folder / "data" / f"{name}.txt").write_text(TEXT, "utf-8")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment |= {**nowhere, "HOME": str(folder), "TMPDIR": str(folder)}
    environment |= {f"XDG_{kind.upper()}_HOME": f"{folder}/{kind}" for kind in ("state", "cache", "config")}
    monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", environment["RNN_PLAYGROUND_RUNTIME"])
    for name, value in forks.items():
        monkeypatch.setenv(name, value)
    saves = folder / "saves"

    async def begin() -> None:
        client = await EngineClient.standby()
        config = CONFIG.replace(num_epochs=10**6).to_dict()
        await client.request("create", config=config, saves=str(saves), data=str(folder / "data"), name="live")
        await client.request("train")
        await client.close()

    Session.create(CONFIG, saves, "first").close()
    for name in ("second 二", "gone"):
        shutil.copytree(saves / "first", saves / name)
    delete_run(Run(saves / "gone"))
    asyncio.run(begin())
    return folder


def engines(environment: dict[str, str]) -> set[int]:
    """The engines of this test."""
    return {process.pid for process in engines_of(environment["RNN_PLAYGROUND_RUNTIME"])}


def unchanging(folder: Path) -> dict[str, Any]:
    """All but what the engine of the training writes."""
    return {path: facts for path, facts in snapshot(folder).items() if "/live" not in path}


def commands(run: Path) -> list[Event]:
    """What the journal of a run says of commands."""
    events = read_journal(Run(run).journal_path)
    return [event for event in events if isinstance(event, (StateChanged, SettingChanged))]


def test_random_keys_change_nothing(
    terminals: Callable[..., Any], environment: dict[str, str], folder: Path, trials: int
) -> None:
    live = folder / "saves" / "live"
    before = unchanging(folder), engines(environment), commands(live)
    assert len(before[1]) == 1 and before[2]
    chance = random.Random(str(datetime.date.today()))  # each day other keys
    terminal, keys = None, 0
    until = time.monotonic() + SECONDS * trials
    while time.monotonic() < until:
        if terminal is None or not terminal.alive:
            if terminal is not None:
                assert terminal.wait_exit() == 0, terminal.text
            terminal = terminals(sys.executable, "-m", "tui", "--read-only", "--saves", str(folder / "saves"), "--data",
                                 str(folder / "data"), columns=80, lines=24)  # fmt: skip
            terminal.wait(lambda text: "live · training" in text and "read-only" in text)
        sent = burst(chance, 80, 24).replace("\x11", "").encode()
        keys += len(sent)
        with contextlib.suppress(OSError):
            os.write(terminal.descriptor, sent)
        time.sleep(chance.random() * 0.05 * len(sent))
    assert terminal is not None and keys > 150 and b"Something on the" not in terminal.output
    terminal.close()
    assert not list((folder / "state").rglob("*.log"))
    assert (unchanging(folder), engines(environment), commands(live)) == before


def test_it_watches_a_training_and_says_why_a_key_does_nothing(
    terminals: Callable[..., Any], environment: dict[str, str], folder: Path
) -> None:
    before = unchanging(folder), engines(environment)
    terminal = terminals(sys.executable, "-m", "tui", "--read-only", f"--saves={folder}/saves", f"--data={folder}/data")
    terminal.wait(lambda text: "live · training" in text)
    first = terminal.wait(lambda text: "epoch" in text)
    terminal.wait(lambda text: text != first and "live · training" in text)
    for key in (" ", "x", "+", "s", "\x14", "\x13"):
        terminal.type(key)
        terminal.wait(lambda text: "read-only: it shows" in text.replace("\n", " "))
        time.sleep(0.2)
    terminal.wait("live · training")
    terminal.type("q")
    assert terminal.wait_exit() == 0
    assert (unchanging(folder), engines(environment)) == before, "it is still training"


def test_folders_that_are_missing_or_closed(environment: dict[str, str], tmp_path: Path, terminals: Any) -> None:
    terminal = terminals(sys.executable, "-m", "tui", "--read-only", f"--saves={tmp_path}/none")
    terminal.wait("No run is open")
    terminal.press("q")
    assert terminal.wait_exit() == 0 and not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("x")
    terminal = terminals(sys.executable, "-m", "tui", "--read-only", f"--saves={tmp_path}/file")
    assert terminal.wait_exit() == 2


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
async def test_in_a_browser(environment: dict[str, str], folder: Path, tmp_path: Path) -> None:
    before = unchanging(folder), engines(environment)
    command = [
        sys.executable,
        "-m",
        "tui",
        "--serve",
        "--read-only",
        f"--saves={folder}/saves",
        f"--data={folder}/data",
    ]
    server = await asyncio.create_subprocess_exec(
        *command, cwd=PROJECT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    address = (await server.stdout.readline()).decode().split()[4]
    async with browser(tmp_path / "profile") as chromium, chromium.page(address) as page:
        await page.wait(lambda text: "live · training" in text and "read-only" in text)
        await page.press("f8")
        await page.wait(READ_ONLY[:30])
    server.terminate()
    assert await server.wait() == 0
    assert (unchanging(folder), engines(environment)) == before
