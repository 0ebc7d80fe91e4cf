"""The tour of a newcomer, in a real terminal: train, write, save, lose the connection, come back, stop, leave."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.engine.session import Session
from core.settings.run_config import RunConfig
from tests.e2e.terminal import FORKED_BY
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def perplexities(run: Path) -> list[float]:
    """The perplexities in a run's journal; a torn last line is not yet one."""
    try:
        lines = (run / "metrics.jsonl").read_text("utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [line["perplexity"] for line in map(json.loads, lines) if line["event"] == "epoch"]


@pytest.fixture
def small_model(environment: dict[str, str]) -> None:
    """New runs have 64 hidden units: what is looked at beside the training takes longer than the training."""
    folder = Path(environment["XDG_CONFIG_HOME"]) / "rnn-playground"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[defaults]\nnum_hiddens = 64\n")


@pytest.mark.parametrize(("columns", "lines"), [(120, 40), (80, 24)])
def test_a_newcomer_trains_writes_saves_loses_the_connection_and_comes_back(
    playground: Callable[..., Any], small_model: None, tmp_path: Path, columns: int, lines: int
) -> None:
    run = tmp_path / "saves" / "lyrics-zh-0001"
    terminal = playground(columns=columns, lines=lines)
    terminal.wait("Train")

    terminal.press("ctrl+t")
    wait_for(lambda: len(perplexities(run)) >= 4, "four epochs")
    terminal.wait(lambda text: "training" in text and "lyrics-zh-0001" in text)
    wait_for(lambda: perplexities(run)[-1] < 0.6 * perplexities(run)[0], "a perplexity that has fallen")

    terminal.press("f4")
    # The field itself: while one pane is drawn over the other, both may stand in the terminal in part.
    terminal.wait(lambda text: re.search(r"│ prefix .*\n│ +分开", text) is not None)
    terminal.press("enter")
    terminal.wait(lambda text: "seed" in text and text.count("分开") >= 2)

    terminal.press("f3", "ctrl+s")
    terminal.wait("name")
    terminal.press(*["backspace"] * 20)
    terminal.type("first song")
    terminal.press("enter")
    copy = tmp_path / "saves" / "first song"
    wait_for((copy / "latest.safetensors").exists, "the copy")

    before = len(perplexities(run))
    terminal.hang_up()
    terminal.wait_exit()
    wait_for(lambda: len(perplexities(run)) >= before + 3, "epochs without a terminal")

    again = playground(columns=columns, lines=lines)
    again.wait(lambda text: "lyrics-zh-0001" in text and "training" in text and "ppl" in text)
    again.press("x")
    again.wait("stopped")
    again.press("f6")
    again.wait("first song")
    stopped_at = len(perplexities(run))
    again.press("q")
    assert again.wait_exit() == 0
    assert len(perplexities(run)) == stopped_at


def test_a_newcomer_looks_inside_a_model_that_is_being_trained(
    playground: Callable[..., Any], small_model: None, tmp_path: Path
) -> None:
    run = tmp_path / "saves" / "lyrics-zh-0001"
    terminal = playground(columns=80, lines=24)
    terminal.wait("Train")
    terminal.press("ctrl+t")
    wait_for(lambda: len(perplexities(run)) >= 2, "two epochs")
    terminal.press("f5")
    terminal.wait(lambda text: "The model reads" in text and "H_{t-1} W_hh" in text and "live weights" in text)
    first = terminal.text
    terminal.press("right")
    terminal.wait(lambda text: "The model reads" in text and "token 202 of" in text and text != first)
    views = (
        "of the gradient|gradient halves", r"Unit \d+ (rises|falls|follows)", "Why ‘", "is read like",
        "Both compute the same",
    )  # fmt: skip
    for words in views:
        terminal.press("tab")
        # Parity computes whole batches twice, between those of the training.
        terminal.wait(lambda text, words=words: re.search(words, text) is not None, seconds=90)
    terminal.press("tab")
    live = re.compile(r"live weights, epoch (\d+)")
    before = live.search(terminal.wait(lambda text: "The model reads" in text and live.search(text)))
    assert before is not None
    terminal.wait(lambda text: (now := live.search(text)) and int(now[1]) > int(before[1]))
    terminal.press("f3", "x")
    terminal.wait("stopped")


def test_killed_without_a_word_the_training_goes_on(playground: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "saves" / "lyrics-zh-0001"
    terminal = playground()
    terminal.wait("Train")
    terminal.press("ctrl+t")
    wait_for(lambda: len(perplexities(run)) >= 2, "two epochs")
    terminal.kill(signal.SIGKILL)
    terminal.wait_exit()
    before = len(perplexities(run))
    wait_for(lambda: len(perplexities(run)) >= before + 2, "epochs without a screen")


def test_the_terminal_is_left_as_it_was(playground: Callable[..., Any], environment: dict[str, str]) -> None:
    del environment[FORKED_BY]  # from nothing, as a person starts it
    terminal = playground()
    terminal.wait("Train")
    terminal.press("q")
    assert terminal.wait_exit() == 0
    output = bytes(terminal.output)
    for mode in (b"1049", b"1000", b"1003", b"2004"):
        assert output.rfind(b"\x1b[?" + mode + b"l") > output.rfind(b"\x1b[?" + mode + b"h"), mode
    assert output.rfind(b"\x1b[?25h") > output.rfind(b"\x1b[?25l")


def test_a_hostile_text_sends_no_escapes_to_the_terminal(playground: Callable[..., Any], tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07\x1b[31m[bold red]red[/] \x1b[2J\x9b5n\u202eabc 龘 e\u0301\n"
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "[bold red]evil.txt").write_text(hostile * 200, "utf-8")
    terminal = playground("--data", str(folder))
    terminal.wait("Train")
    terminal.press("f2")
    terminal.wait(lambda text: "[bold red]evil" in text and "no text 'lyrics-zh'" in text)  # which Train has
    terminal.press("down")
    terminal.wait(lambda text: "[bold red]evil ·" in text and "vocabulary" in text)
    for _ in range(6):
        terminal.press("v")
        time.sleep(0.3)
    output = bytes(terminal.output)
    for escape in (b"\x1b]0;owned", b"\x1b[31m[bold", b"\x1b[2J\xc2\x9b", b"\xc2\x9b", "\u202e".encode()):
        assert escape not in output, escape


def test_a_run_named_on_the_command_line(playground: Callable[..., Any], tmp_path: Path) -> None:
    Session.create(RunConfig(num_hiddens=8, max_tokens=2000, device="cpu"), tmp_path / "saves", "first 一").close()
    for name in ("first 一", str(tmp_path / "saves" / "first 一")):
        terminal = playground("--run", name)
        terminal.wait("first 一 · idle")
        terminal.close()
