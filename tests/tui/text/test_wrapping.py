"""Text in lines of cells."""

from __future__ import annotations

from tui.text.cells import cell_len
from tui.text.safe import shown_text
from tui.text.wrapping import clipped_lines, wrapped, wrapped_lines


def test_wrapped_lines() -> None:
    for text in (
        "",
        "分开了很久 我还在原地 月亮忘记了 你的名字" * 3,
        "a long line of english words that goes on " * 4,
        "x" * 200,
        "字",
    ):
        for width in (10, 17, 40):
            lines = wrapped_lines(text, width)
            assert lines and all(cell_len(line) <= width for line in lines), (text, width)
            assert "".join(lines).replace(" ", "") == text.replace(" ", ""), (text, width)


def test_clipped_lines_end_at_a_word() -> None:
    text = "the time traveller for so it will be"
    for width in (12, 20, 30):
        lines = clipped_lines(text, width, 1)
        words = lines[0].removesuffix("…").split()
        assert len(lines) == 1 and cell_len(lines[0]) <= width and words == text.split()[: len(words)], width
        assert clipped_lines(text, width, 9) == wrapped_lines(text, width)
    assert clipped_lines("月亮忘记了你的名字", 9, 2, " …") == ["月亮忘记", "了你的 …"]


def test_no_word_breaks_in_any_alphabet() -> None:
    for text in ("Привет дорогой мой друг", "une très élégante fenêtre française", "cafe\u0301 re\u0301sume\u0301"):
        for width in range(max(map(len, text.split())), 40):
            assert " ".join(wrapped_lines(text, width)).split() == text.split(), width
    assert wrapped_lines("月e\u0301亮", 4) == ["月e\u0301", "亮"], "an accent belongs to its letter"


def test_no_number_breaks_across_lines() -> None:
    for sentence in (
        "the text has 26 tokens; batch_size 32 with num_steps 35 needs at least 1,121: choose a smaller batch_size",
        "分开了很久我还在原地 1,121 月亮忘记了你的名字 1,121",
    ):
        for width in range(12, 60):
            lines = wrapped_lines(sentence, width)
            assert sum(line.count("1,121") for line in lines) == sentence.count("1,121"), (width, lines)
    for width in range(8, 40):
        lines = wrapped_lines("less than 1 % is left, 35.8 % here and 分 12 % there", width)
        assert sum(line.count(" %") for line in lines) == 3, (width, lines)


def test_wrapped_lines_fit_and_lose_nothing() -> None:
    for text in ("分开了很久 我还在原地\n月亮", "the time traveller (for so\n\nit will be", "a" * 50, "\n", ""):
        for width in (2, 7, 20):
            lines = [text[first:end] for first, end in wrapped(text, width)]
            assert all(cell_len(shown_text(line)) <= width for line in lines), (text, width)
            assert "".join("".join(lines).split()) == "".join(text.split()), (text, width)


def test_a_stop_or_a_closing_mark_begins_no_line_and_an_opening_one_ends_none() -> None:
    text = "它读‘闻’，以为是“，”（13.0 %）。《江雪》里：‘枝’先来；don’t、can’t！"
    for width in range(14, 60):
        lines = wrapped_lines(text, width)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not any(line[0] in "’”），。；、！》" or line[-1] in "‘“（《" for line in lines), (width, lines)
    assert wrapped_lines("(比如)月亮，[月亮]", 8) == ["(比如)月", "亮，[月", "亮]"]
    assert wrapped_lines("(比如)月亮，[月亮]", 7) == ["(比如)", "月亮，", "[月亮]"]
    assert wrapped_lines("月亮——月亮", 5) == ["月亮", "——月", "亮"], "a dash is two characters"
    assert wrapped_lines("。" * 9, 4) == ["。。", "。。", "。。", "。。", "。"], "there is no room for it elsewhere"
