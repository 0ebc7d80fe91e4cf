"""The Data pane: choosing a text, its statistics, and what is wrong with it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Input, OptionList, Static, TabbedContent

from core.errors import CorpusError
from tests.tui.pane_harness import PaneApp, settled
from tui import corpora
from tui.corpora import head, matches
from tui.messages import CorpusChosen
from tui.panes import data as data_module
from tui.panes.data import DataPane
from tui.text import cell_len
from tui.widgets.batch_examples import batch_lines
from tui.widgets.corpus_facts import counts, one_hot_lesson
from tui.widgets.path_input import PathInput

SIZE = (120, 40)
SETTINGS = {
    "normalise": "none", "tokens": "char", "max_tokens": 0, "min_freq": 0, "batch_size": 2, "num_steps": 5,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two bundled texts."""
    (tmp_path / "first.txt").write_text("分开了很久 我还在原地\n" * 40, encoding="utf-8")
    (tmp_path / "second.txt").write_text("[bold]red[/] \x1b[31m\n" * 40, encoding="utf-8")
    return tmp_path


def facts_of(source: str, values: dict[str, Any]) -> dict[str, Any]:
    """Statistics like those of the command."""
    row = list("分开 了很")
    batch = {"X": [row], "Y": [[*row[1:], "久"]], "starts": [0]}
    return {
        "name": Path(source).stem, "path": source, "sha256": "ab" * 32, "bytes": 100, "encoding": "utf-8",
        "normalise": values["normalise"], "token_kind": values["tokens"], "lines": 7, "tokens": 1234,
        "vocabulary": 57, "unknown_share": 0.0,
        "top": {"1": [["分", 12], ["\x1b", 3]], "2": [[["分", "开"], 9]], "3": [[["分", "开", "了"], 2]]},
        "zipf": {order: {"ranks": [1, 2], "frequencies": [4, 2], "slope": -1.0} for order in "123"},
        "entropy_bits": {"unigram": 5.0, "bigram_joint": 7.0, "bigram_conditional": 2.0},
        "one_hot": {"shape": [values["num_steps"], values["batch_size"], 57], "bytes": 255_360, "ids_bytes": 2240,
                    "ones": 1120, "density": 1 / 57},
        "examples": {"batches": 3, "reason": None, "sequential": [batch] * 2, "random": [batch]},
    }  # fmt: skip


class Describer:
    """Stands in for the process that computes statistics."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.error = ""

    async def __call__(self, source: str, *, data_dir: Path | None, **values: Any) -> dict[str, Any]:
        self.asked.append((source, values))
        if self.error:
            raise CorpusError(self.error)
        return facts_of(source, values)


@pytest.fixture
def describer(monkeypatch: pytest.MonkeyPatch) -> Describer:
    """The pane's statistics, at once and as they are wanted."""
    describer = Describer()
    monkeypatch.setattr(data_module, "describe", describer)
    return describer


async def computed(pilot: Any, app: PaneApp) -> None:
    """Wait until the chosen text is ready to be used."""
    app.pane.focus()
    await settled(pilot, lambda: not app.query_one("#data-use", Button).disabled)


async def test_it_begins_with_the_first_text(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        assert [source for source, _ in describer.asked] == ["first"]
        assert app.query_one("#data-view")._border_title.plain == "first · 1,234 characters · vocabulary 57"
        numbers = app.query_one("#corpus-numbers", Static)
        await settled(pilot, lambda: str(numbers.content))
        words = str(numbers.content)
        assert "1,234" in words and "abababab" in words and "(35, 32, 57)" in words


async def test_enter_takes_the_text_to_train(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        app.query_one("#edit-max_tokens", Input).value = "5,000"
        await settled(pilot, lambda: len(describer.asked) == 2)
        await computed(pilot, app)
        await pilot.press("enter")
        await settled(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings == {
            "corpus": "first", "normalise": "spaces", "tokens": "char", "max_tokens": 5000, "min_freq": 0,
        }  # fmt: skip


async def test_fast_typing_is_computed_once(
    folder: Path, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "DEBOUNCE", 1.5)
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        app.query_one("#edit-num_steps", Input).focus()
        await pilot.press("1", "2", "3")
        assert app.query_one("#data-use", Button).disabled
        await computed(pilot, app)
        assert [values["num_steps"] for _, values in describer.asked] == [35, 123]


async def test_a_wrong_number_is_said_beside_its_field(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        app.query_one("#edit-batch_size", Input).value = "0"
        field = app.query_one("#field-batch_size")
        await settled(pilot, lambda: field.query(".field-error"))
        assert "between 1 and 65,536, got 0" in str(field.query_one(".field-error", Static).content)
        await pilot.press("u")
        assert not app.of(CorpusChosen) and len(describer.asked) == 1


async def test_what_is_wrong_with_a_text_is_said(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        describer.error = "there is no file '[bold]\x1b': give a path"
        await pilot.press("down")
        notice = app.query_one("#data-notice", Static)
        await settled(pilot, lambda: notice.display)
        await settled(pilot, lambda: str(notice.content) == "there is no file '[bold]\\x1b': give a path")
        assert not app.query_one("#data-tabs").display and app.query_one("#data-use", Button).disabled
        describer.error = ""
        await pilot.press("up")
        await computed(pilot, app)
        assert not notice.display


async def test_without_bundled_texts_a_path_is_asked_for(tmp_path: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), tmp_path, data=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        notice = app.query_one("#data-notice", Static)
        await settled(pilot, lambda: "no bundled texts" in str(notice.content))


async def test_a_path_is_completed_and_read(folder: Path, describer: Describer) -> None:
    (folder / "own").mkdir()
    (folder / "own" / "poems-zh.txt").write_text("诗", encoding="utf-8")
    (folder / "own" / "poems-en.txt").write_text("poem", encoding="utf-8")
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        await pilot.press("p")
        line = app.query_one("#path-line", Input)
        line.value = f"{folder}/own/p"
        await settled(pilot, lambda: app.query_one("#path-matches", OptionList).option_count == 2)
        await settled(pilot, lambda: app.query_one(PathInput).completion)
        await pilot.press("tab")
        await settled(pilot, lambda: line.value == f"{folder}/own/poems-")
        await settled(pilot, lambda: app.query_one("#path-matches", OptionList).option_count == 2)
        await pilot.press("down", "down", "enter")
        await settled(pilot, lambda: describer.asked[-1][0] == f"{folder}/own/poems-zh.txt")
        await settled(pilot, lambda: not app.query_one("#data-use", Button).disabled)
        assert not app.query_one("#path-matches").display
        await pilot.press("enter")
        await settled(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings["corpus"] == f"{folder}/own/poems-zh.txt"
        await pilot.press("escape")
        await settled(pilot, lambda: app.query_one("#data-texts").has_focus)


async def test_every_view_can_be_reached(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        seen = []
        for _ in range(6):
            seen.append(app.query_one(TabbedContent).active)
            await pilot.press("v")
            await pilot.pause()
        assert len(set(seen)) == 6 and app.query_one(TabbedContent).active == seen[0]


async def test_the_text_is_shown_as_text(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(200, 60)) as pilot:
        await computed(pilot, app)
        await app.query_one(PathInput).query_one(Input).action_submit()
        app.query_one(PathInput).post_message(PathInput.Submitted(str(folder / "second.txt")))
        await settled(pilot, lambda: "second" in describer.asked[-1][0])
        await settled(
            pilot, lambda: str(app.query_one("#data-head", Static).content).startswith("[bold]red[/] \\x1b[31m")
        )


def test_y_is_x_one_token_on() -> None:
    examples = facts_of("x", SETTINGS)["examples"]
    lines = [line.plain for line in batch_lines(examples, "char", 60)]
    x_line = next(line for line in lines if line.startswith("row 1"))
    y_line = next(line for line in lines if line.lstrip().startswith("Y "))
    assert cell_len(x_line) == cell_len(y_line)
    assert x_line.endswith("X 分开␣ 了很") and y_line.endswith("Y 开␣ 了很久")
    assert all(cell_len(line) <= 60 for line in lines)


@pytest.mark.parametrize("width", [24, 30, 46, 80])
@pytest.mark.parametrize("kind", ["char", "word"])
def test_long_rows_keep_their_ends(width: int, kind: str) -> None:
    row = ["时间", "the", " ", "traveller", "😀"] * 20
    batch = {"X": [row], "Y": [[*row[1:], "久"]], "starts": [0]}
    lines = batch_lines({"batches": 1, "reason": None, "sequential": [batch, batch], "random": [batch]}, kind, width)
    assert all(cell_len(line.plain) <= width for line in lines if " batch " in line.plain or "Y " in line.plain)
    assert any("…" in line.plain for line in lines)


def test_a_text_too_short_says_so() -> None:
    examples = {"batches": 0, "reason": "the text has 3 tokens", "sequential": [], "random": []}
    assert [line.plain for line in batch_lines(examples, "char", 60)] == ["the text has 3 tokens"]


@pytest.mark.parametrize("width", [20, 46, 76, 120])
def test_numbers_fit(width: int) -> None:
    facts = facts_of("x", SETTINGS)
    lines = [*counts(facts, width), *(one_hot_lesson(facts["one_hot"], width) if width > 40 else [])]
    assert all(sum(cell_len(text) for text, _ in line) <= width for line in lines)


def test_matches(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".hidden", "bad\x1b.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    assert matches(f"{tmp_path}/") == [f"{tmp_path}/folder/", f"{tmp_path}/a.txt", f"{tmp_path}/b.txt"]
    assert matches(f"{tmp_path}/.h") == [f"{tmp_path}/.hidden"]
    assert matches(f"{tmp_path}/nowhere/x") == [] and matches("\0") == []


def test_the_beginning_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeff分\r\n开".encode())
    assert head(path, "utf-8") == "分\n开"
    assert head(tmp_path / "none", "utf-8") == "" and head(path, "no-such-encoding") == ""


async def test_statistics_come_from_the_command(folder: Path) -> None:
    facts = await corpora.describe("first", data_dir=folder, **SETTINGS)
    assert (facts["name"], facts["lines"], facts["one_hot"]["shape"][:2]) == ("first", 40, [5, 2])
    with pytest.raises(CorpusError, match=r"^there is no (file|text) 'nowhere'"):
        await corpora.describe("nowhere", data_dir=folder, **SETTINGS)


async def test_a_choice_that_was_changed_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    task = asyncio.create_task(corpora.describe("first", **SETTINGS))
    deadline = time.monotonic() + 10
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
