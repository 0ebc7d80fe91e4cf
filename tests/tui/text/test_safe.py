"""Text from outside: visible, harmless, and of the width that was asked for."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tui.text.cells import clip_cells, pad_cells
from tui.text.safe import shown_text, token_name, unknown_words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("分开，的", "分开，的"),
        ("a\nb\tc", "a⏎b⇥c"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\r\x00\x7f\x9b", "\\x0d\\x00\\x7f\\x9b"),
        ("a\u202eb\u2028c", "a<U+202E>b<U+2028>c"),
        ("\u200b\ufeff\ufe0f", "<U+200B><U+FEFF><U+FE0F>"),
        ("\udc80", "<U+DC80>"),
        ("\u0301", "◌\u0301"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("", ""),
    ],
)
def test_shown_text(text: str, shown: str) -> None:
    assert shown_text(text) == shown


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    everything = "".join(map(chr, range(0x3000)))
    shown = shown_text(everything)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert not any(c in shown for c in "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("token", "name"),
    [(" ", "␣"), ("  ", "␣␣"), ("of the", "of the"), ("e ", "e␣"), ("\n", "⏎"), ("\t", "⇥"), ("", "''")],
)
def test_token_name(token: str, name: str) -> None:
    assert token_name(token) == name


def test_padded_text_has_exactly_the_cells() -> None:
    for text in ("", "abc", "一二三四五", "a一b二c三", "e\u0301e\u0301e\u0301e\u0301", "x" * 100, "👍👍👍👍"):
        for cells in range(9):
            assert cell_len(clip_cells(text, cells)) <= cells, (text, cells)
            for align in ("left", "right", "centre"):
                assert cell_len(pad_cells(text, cells, align)) == cells, (text, cells, align)  # type: ignore[arg-type]


def test_a_wide_character_is_not_split() -> None:
    assert clip_cells("一二三", 6) == "一二三"
    assert clip_cells("一二三", 5) == "一二…"
    assert clip_cells("一二三", 4) == "一…"
    assert pad_cells("一二三", 4) == "一… "
    assert pad_cells("ab", 5, "right") == "   ab"


def test_a_line_of_megabytes_is_clipped_without_being_measured() -> None:
    assert clip_cells("一" * 1_000_000, 10) == "一一一一…"


def test_unknown_words() -> None:
    assert unknown_words([]) == ""
    assert unknown_words([" ", "龘"]) == "not in the vocabulary: ␣, 龘, read as <unk>"
    assert unknown_words([chr(0x4E00 + index) for index in range(20)]).count(",") == 12
