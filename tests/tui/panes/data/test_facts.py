"""What is said about a text: batches, counts, remarks."""

from __future__ import annotations

import pytest

from core.settings.run_config import END, PADDING, START
from tests.tui.panes.data.harness import SETTINGS, facts_of
from tui.panes.data.batch_examples import batch_lines
from tui.panes.data.corpus_facts import counts, first_encoding, one_hot_lesson, remarks
from tui.text.cells import cell_len


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
    rows = [line.plain for line in lines if " X " in line.plain or "Y " in line.plain]
    assert rows and all(cell_len(row) <= width for row in rows)
    assert any("…" in line.plain for line in lines)


def test_a_text_too_short_says_so() -> None:
    examples = {"batches": 0, "reason": "the text has 3 tokens", "sequential": [], "random": []}
    assert [line.plain for line in batch_lines(examples, "char", 60)] == ["the text has 3 tokens"]


@pytest.mark.parametrize("width", [34, 46, 80])
def test_poems_begin_and_end_and_are_filled_up(width: int) -> None:
    row = [START, "分", "开", END, *[PADDING] * 30]
    batch = {"X": [row[:-1], row[:-1]], "Y": [row[1:], row[1:]]}
    last = {"X": [row[:-1]], "Y": [row[1:]]}
    lines = [line.plain for line in batch_lines({"batches": 2, "reason": None, "lines": [batch, last]}, "char", width)]
    assert lines[0] == "lines · 2 batches an epoch"
    x_line = next(line for line in lines if line.startswith("row 1 batch 1 X"))
    assert "▸ 分开◂ · " in x_line and all(cell_len(line) <= width for line in lines if "X " in line)
    assert sum("X ▸" in line for line in lines) == 3


def test_the_numbers_of_a_shape_have_no_commas() -> None:
    one_hot = {"shape": [1200, 32, 1018], "bytes": 4, "ids_bytes": 4, "density": 0.5}
    told = ["".join(text for text, _ in line) for line in one_hot_lesson(one_hot, 120)]
    assert "(1200, 32, 1018)" in told[1] and "(1200, 32) " in told[2] and "one of 1,018 numbers" in told[3]


def test_several_files_are_counted() -> None:
    facts = {**facts_of("x", SETTINGS), "encoding": "mixed", "files": [{"encoding": "gb18030"}, {"encoding": "utf-8"}]}
    assert first_encoding(facts) == "gb18030"
    told = " ".join(text for line in counts(facts, 80) for text, _ in line)
    assert "files       2 " in told and "mixed" in told


def test_poems_are_counted() -> None:
    facts = {**facts_of("x", SETTINGS), "poems": {"lines": 349, "longest": 132, "cut": 8}}
    told = " ".join(text for line in counts(facts, 80) for text, _ in line)
    assert "poems" in told and "349" in told and "132 tokens" in told and "8 poems" in told


@pytest.mark.parametrize("width", [20, 46, 76, 120])
def test_numbers_fit(width: int) -> None:
    facts = facts_of("x", SETTINGS)
    lines = [*counts(facts, width), *(one_hot_lesson(facts["one_hot"], width) if width > 40 else [])]
    assert all(sum(cell_len(text) for text, _ in line) <= width for line in lines)


@pytest.mark.parametrize("width", [24, 46, 120])
def test_long_texts_and_a_failing_cache_are_remarked(width: int) -> None:
    problem = "the cache in /缓存/tokens cannot be written (No space left on device): \x1b[31m the text stays in memory"
    lines = remarks({"gram_disk_bytes": 4_900_000_000, "problem": problem}, width)
    told = "".join(text for line in lines for text, _ in line)
    assert "4.9 GB" in told and "缓存" in told and "\x1b" not in told
    assert all(sum(cell_len(text) for text, _ in line) <= width for line in lines)
    assert remarks(facts_of("x", SETTINGS), width) == []
