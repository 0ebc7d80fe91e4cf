"""Samples in lines of cells."""

from __future__ import annotations

import pytest

from tui.text import cell_len
from tui.widgets.samples import wrapped


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
