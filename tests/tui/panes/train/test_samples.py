"""Samples in lines of cells."""

from __future__ import annotations

import pytest

from tui.panes.train.samples import wrapped
from tui.text.safe import cell_len


@pytest.mark.parametrize(
    "text",
    [
        "",
        "分开了很久 我还在原地 月亮忘记了 你的名字" * 3,
        "a long line of english words that goes on " * 4,
        "x" * 200,
        "字",
    ],
)
@pytest.mark.parametrize("width", [10, 17, 40])
def test_wrapped(text: str, width: int) -> None:
    lines = list(wrapped(text, width))
    assert lines and all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_no_number_breaks_across_lines() -> None:
    for sentence in (
        "the text has 26 tokens; batch_size 32 with num_steps 35 needs at least 1,121: choose a smaller batch_size",
        "分开了很久我还在原地 1,121 月亮忘记了你的名字 1,121",
    ):
        for width in range(12, 60):
            lines = list(wrapped(sentence, width))
            assert sum(line.count("1,121") for line in lines) == sentence.count("1,121"), (width, lines)
