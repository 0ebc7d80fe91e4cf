"""The events that answer a generation: pieces of text while it is written, and at the end the whole.

An engine sends them and ``python -m core generate --json`` prints them, each with the key ``event``: ``text`` for a
``Piece``, ``done`` for ``Written``. No torch in this module: the screen imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.record import record_as_json

Likeliest = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class WrittenToken:
    """One token in detail.

    Attributes:
        text: its addition to the text.
        surprise: -log2 of its probability under the model itself, in bits.
        top: the most likely tokens of the distribution it was sampled from, after all filters: (token, probability).
        model: the most likely tokens under the model itself.
    """

    text: str
    id: int
    surprise: float
    top: Likeliest
    model: Likeliest

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with the digits that a screen shows."""
        top, model = ([[token, round(p, 6)] for token, p in tokens] for tokens in (self.top, self.model))
        return {"text": self.text, "id": self.id, "surprise": round(self.surprise, 4), "top": top, "model": model}


@dataclass(frozen=True)
class Piece:
    """An addition to text number ``sample``; ``tokens`` only with details."""

    text: str
    sample: int = 0
    tokens: tuple[WrittenToken, ...] = ()

    def to_json(self) -> dict[str, Any]:
        details = {"tokens": [token.to_json() for token in self.tokens]} if self.tokens else {}
        return {"event": "text", "text": self.text, "sample": self.sample, **details}


@dataclass(frozen=True)
class Copied:
    """The longest stretch of a text that occurs in the training text.

    ``length``, ``start`` and ``text_start`` count tokens, ``span`` is (start, end) in characters of the continuation.
    """

    length: int
    start: int
    text_start: int
    span: tuple[int, int]
    text: str


@dataclass(frozen=True)
class WrittenSample:
    """One finished text.

    Attributes:
        continuation: the text without its prefix; None if it is too long for one message: the pieces have it.
        tokens: how many tokens it has.
        ended: ``length``, ``stop`` (a token of the request), ``end`` (the model's end token) or ``verses``.
        score: mean log-probability of a token in nats, with beam search; else None.
        copy: None without the option, and without a text to compare with.
    """

    continuation: str | None
    tokens: int
    ended: str
    score: float | None = None
    copy: Copied | None = None


@dataclass(frozen=True)
class Written:
    """The end of a generation: ``text`` is the prefix with the first continuation, None if it is too long.

    ``unknown`` are the tokens of the prefix that are not in the vocabulary. ``copy_problem`` is a sentence if the
    copy meter was asked for and there is no text to compare with.
    """

    text: str | None
    unknown: tuple[str, ...] = ()
    seed: int = 0
    samples: tuple[WrittenSample, ...] = ()
    copy_problem: str = ""

    def to_json(self) -> dict[str, Any]:
        fields = record_as_json(self)
        if not self.copy_problem:
            del fields["copy_problem"]
        return {"event": "done", **fields}
