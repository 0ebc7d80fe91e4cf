"""What a form draws: its lines, in any width and with wide characters."""

from __future__ import annotations

from core.settings.run_config import setting
from tui.forms.lines import GroupRow, Line, Look, SettingRow, choice_at, choice_pieces, lines_of
from tui.text.cells import cell_len

LOOK = Look(width=38, label=16)


def text_of(line: Line) -> str:
    return "".join(text for text, _ in line.pieces)


def test_every_line_fits_its_width() -> None:
    rows = (
        SettingRow(setting("corpus"), "一本很长的书" * 9, is_wide=True),
        SettingRow(setting("num_hiddens"), "64", error="hidden units 必须 " * 9, note="a note"),
        SettingRow(setting("optimiser"), "adam"),
        SettingRow(setting("cell"), "gru", effect="idle"),
        GroupRow("text", "text", True, False, False, (("tokens", True), ("documents", False))),
        GroupRow("more", "", True, False, False, (("samples", False), ("藏头" * 20, True))),
    )
    for width in (60, 38, 30):
        for line in lines_of(rows, Look(width=width, label=16), "cell", "group text"):
            assert cell_len(text_of(line)) <= width, (width, text_of(line))


def test_a_row_is_its_value_its_error_and_its_note() -> None:
    row = SettingRow(setting("num_hiddens"), "0", error="hidden must be larger", note="and a note", is_changed=True)
    first, second, third = lines_of((row,), LOOK)
    assert text_of(first) == "hidden           0           units" and first.is_main
    assert (text_of(second).strip(), text_of(third).strip()) == ("hidden must be larger", "and a note")
    assert first.pieces[0][1] == "label changed wrong"
    assert lines_of((row,), LOOK, cursor="num_layers")[0] == first


def test_a_fold_says_what_is_behind_it() -> None:
    members = (("tokens", True), ("documents", False))
    (closed,) = lines_of((GroupRow("text", "text", True, False, False, members),), LOOK)
    (opened,) = lines_of((GroupRow("text", "text", True, True, False, members),), LOOK)
    (named,) = lines_of((GroupRow("text", "", True, False, False, members),), LOOK)
    assert text_of(closed).startswith("text ───") and text_of(closed).endswith(" 1 changed · 2 more ▸")
    assert text_of(opened).endswith("─ fewer ▾")
    assert text_of(named) == "▸ tokens, documents" and ("tokens", "fold bold") in named.pieces


def test_a_choice_is_drawn_and_clicked_in_its_room() -> None:
    options = ("rnn", "gru", "lstm")
    assert "".join(text for text, _ in choice_pieces(options, "gru", 22, False)) == "○ rnn  ● gru  ○ lstm  "
    assert "".join(text for text, _ in choice_pieces(options, "gru", 9, True)) == "‹ gru  › "
    assert [choice_at(options, "rnn", 22, x) for x in (0, 8, 15, 21)] == ["rnn", "gru", "lstm", "lstm"]
    assert [choice_at(options, "rnn", 9, x) for x in (0, 5)] == ["lstm", "gru"]
