"""Text from outside, made safe and visible."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

_NAMES = {"\n": "⏎", "\t": "⇥"}
_BLANK = "␣"
_DOTTED_CIRCLE = "◌"


@lru_cache(4096)
def _shown_character(character: str) -> str:
    """A character as it is shown: itself, or a visible name."""
    if character in _NAMES:
        return _NAMES[character]
    code = ord(character)
    category = unicodedata.category(character)
    if category == "Cc":  # C0, DEL, C1: terminals interpret them
        return f"\\x{code:02x}"
    # Bidirectional controls reverse the line. Zero widths, line separators, surrogates, private and unassigned
    # characters and variation selectors differ in width between terminals.
    if category[0] == "C" or category in {"Zl", "Zp"} or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        return f"<U+{code:04X}>"
    return character


def shown_text(text: str) -> str:
    """``text`` on one line, without anything that a terminal would interpret.

    A line end becomes ``⏎``, a tab ``⇥``, any other control an escape such as ``\\x1b`` or ``<U+202E>``; a combining
    mark at the beginning gets a dotted circle. The result is plain text: show it as such, never as markup.
    """
    # `isprintable` finds every control at the speed of C, but knows nothing of variation selectors and lone marks.
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_shown_character, text))
        if text and unicodedata.combining(text[0]):
            text = _DOTTED_CIRCLE + text
    return text


def token_name(token: str) -> str:
    """A token in a list: like ``shown_text``, with spaces at either end visible as ``␣``."""
    shown = shown_text(token)
    inner = shown.strip(" ")
    if not inner:
        return _BLANK * len(shown) if shown else "''"
    start = len(shown) - len(shown.lstrip(" "))
    end = len(shown) - len(shown.rstrip(" "))
    return _BLANK * start + inner + _BLANK * end


def unknown_words(unknown: Sequence[str]) -> str:
    """``not in the vocabulary: 龘, read as <unk>``; each token once. Empty if all are known."""
    names = [token_name(str(token)[:40]) for token in dict.fromkeys(unknown)]
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"not in the vocabulary: {shown}, read as <unk>"
