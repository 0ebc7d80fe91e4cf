"""What a hidden unit may follow in a text: a number for every token, known from the tokens alone.

The list is that of Karpathy, Johnson & Fei-Fei 2015, "Visualizing and understanding recurrent networks" (position in
the line, quotes, brackets), with the classes of tokens and the most frequent tokens themselves.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Generator, Iterator

import numpy as np
import numpy.typing as npt

from core.inspection.text import Text
from core.settings.run_config import END, PADDING, START

Values = npt.NDArray[np.float64]

# A feature that fewer tokens have, or lack, correlates with some unit by chance.
LEAST_OCCURRENCES = 5
# Tokens that are features of their own: the most frequent ones of the text.
MOST_TOKENS = 20

_OPENING, _CLOSING = "([{（［｛【《〈", ")]}）］｝】》〉"
_QUOTES_OPENING, _QUOTES_CLOSING = "“「『‘", "”」』’"
_LINE_ENDS = ("\n", START)


def token_class(token: str) -> str:
    """The class of a token, one of ``core.inspection.answers.CLASSES``."""
    if token in (START, END, PADDING, "<unk>"):
        return "reserved"
    if token.isspace():
        return "space"
    if len(token) != 1:
        return "word"
    if "CJK" in unicodedata.name(token, "") or "\u3040" <= token <= "\u30ff" or "\uac00" <= token <= "\ud7a3":
        return "CJK" if unicodedata.category(token) == "Lo" else "punctuation"
    if token.isalpha():
        return "capital" if token.isupper() else "letter"
    if token.isdigit():
        return "digit"
    return "punctuation" if unicodedata.category(token)[0] in "PS" else "other"


def features(text: Text) -> Generator[None, None, dict[str, Values]]:
    """The features of a text by name, each (tokens,); those that hardly vary over it are left out."""
    found = {}
    for name, values in _all(text, text.tokens()):
        if _varies(values):
            found[name] = values
        yield
    return found


def _all(text: Text, tokens: tuple[str, ...]) -> Iterator[tuple[str, Values]]:
    is_line_end = _each(tokens, lambda token: token in _LINE_ENDS)
    is_blank = _each(tokens, str.isspace)
    classes = [token_class(token) for token in tokens]
    yield "position in the line", _since(is_line_end)
    yield "after a line end", _after(is_line_end)
    if text.vocabulary.kind == "char":
        yield "steps since a blank", _since(is_blank)
        yield "beginning of a word", _after(is_blank) * (1 - is_blank)
    is_stop = _each(tokens, lambda token: token[-1:] in ".!?。！？")
    yield "steps since a sentence end", _since(is_stop)
    yield "inside quotes", _inside(tokens, _QUOTES_OPENING, _QUOTES_CLOSING, '"')
    yield "inside brackets", _inside(tokens, _OPENING, _CLOSING, "")
    for name, words in (
        ("space", "a blank"), ("letter", "a small letter"), ("capital", "a capital letter"), ("digit", "a digit"),
        ("punctuation", "punctuation"), ("CJK", "a Chinese character"),
    ):  # fmt: skip
        yield words, np.array([found == name for found in classes], dtype=np.float64)
    yield "a vowel", _each(tokens, lambda token: token.lower() in "aeiou" and token != "")
    if text.vocabulary.kind == "word":
        yield "a word with a capital letter", _each(tokens, lambda token: token[:1].isupper())
        yield "length of the word", np.array([len(token) for token in tokens], dtype=np.float64)
    ids, counts = np.unique(text.ids, return_counts=True)
    for index in np.argsort(-counts, kind="stable")[:MOST_TOKENS]:
        name = text.vocabulary.id_to_token(int(ids[index]))
        yield f"the token {name!r}", (text.ids == ids[index]).astype(np.float64)


def _varies(values: Values) -> bool:
    """Whether a correlation with these values means something."""
    if set(np.unique(values[:1000]).tolist()) <= {0.0, 1.0} and values.max(initial=0) <= 1:
        return bool(LEAST_OCCURRENCES <= values.sum() <= len(values) - LEAST_OCCURRENCES)
    # what has never begun in this text, or only once, only counts the tokens
    return int((np.diff(values) < 0).sum()) >= 2


def _each(tokens: tuple[str, ...], holds: Callable[[str], bool]) -> Values:
    known = {token: float(holds(token)) for token in set(tokens)}
    return np.array([known[token] for token in tokens], dtype=np.float64)


def _after(marks: Values) -> Values:
    """1 for a token after a mark, and for the first one."""
    return np.concatenate(([1.0], marks[:-1]))


def _since(marks: Values) -> Values:
    """Steps since the last mark, 0 at a mark; since the beginning of the text before the first."""
    positions = np.arange(len(marks))
    last = np.maximum.accumulate(np.where(marks > 0, positions, 0))
    return (positions - last).astype(np.float64)


def _inside(tokens: tuple[str, ...], opening: str, closing: str, both: str) -> Values:
    """1 between an opening and its closing mark, the opening one included. ``both`` opens and closes; a line that
    ends without a closing mark ends it too: texts forget them."""
    values, depth, quoted = np.zeros(len(tokens)), 0, False
    for place, token in enumerate(tokens):
        for character in token:
            if character in opening:
                depth += 1
            elif both and character in both:
                quoted = not quoted
        values[place] = depth > 0 or quoted
        for character in token:
            if character in closing:
                depth = max(0, depth - 1)
            elif character == "\n":
                depth, quoted = 0, False
    return values
