"""One text while it is being written, and what is told of it: pieces, tokens in detail, and the whole at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.corpus.vocabulary import Vocabulary
from core.generation.options import Filters
from core.generation.strategies import Chooser, Logits, Probabilities, distribution, likeliest, surprise
from core.generation.verse import Acrostic

MOST_CHARACTERS = 2_000_000
"""A text ends here too: words can be long."""
TOLD = 10
"""Tokens of a distribution that are told."""

Ids = npt.NDArray[np.int64]
Likeliest = tuple[tuple[str, float], ...]
_UNFILTERED = Filters()


@dataclass(frozen=True)
class WrittenToken:
    """One token in detail.

    Attributes:
        text: what it adds to the text.
        id: its id.
        surprise: -log2 of its probability under the model itself, in bits.
        top: the likeliest tokens of the distribution that it was drawn from, after all filters: (token, probability).
        model: the likeliest tokens under the model itself.
    """

    text: str
    id: int
    surprise: float
    top: Likeliest
    model: Likeliest

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with as many digits as a screen shows."""
        return {
            "text": self.text,
            "id": self.id,
            "surprise": round(self.surprise, 4),
            "top": [[token, round(probability, 6)] for token, probability in self.top],
            "model": [[token, round(probability, 6)] for token, probability in self.model],
        }


@dataclass(frozen=True)
class Piece:
    """What has been added to one of the texts; ``tokens`` are told where the request asks for details."""

    sample: int
    text: str
    tokens: tuple[WrittenToken, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        told = {"tokens": [token.to_json() for token in self.tokens]} if self.tokens else {}
        return {"text": self.text, "sample": self.sample, **told}


@dataclass(frozen=True)
class Sample:
    """One text that is done.

    Attributes:
        text: the continuation, without the prefix.
        ids: its tokens; what ended it is among them only where it is written.
        spans: (start, end) of each token in ``text``, in characters.
        ended: ``length``, ``stop`` (at a token asked for), ``end`` (at the model's own end token) or ``verses``.
        score: of a beam search, the mean log-probability of a token in nats, else None.
    """

    text: str
    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    ended: str
    score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-able, without ids and spans."""
        return {"continuation": self.text, "tokens": len(self.ids), "ended": self.ended, "score": self.score}


@dataclass(frozen=True)
class Rules:
    """What all texts of one request have in common.

    Attributes:
        prefix: what stands before the text.
        length: tokens at most.
        ends: ids that end the text. They are written, but for white space and the model's own end token.
        end: the id of that one, or None.
        masked: ids that are never drawn.
        details: whether each token is told.
    """

    vocabulary: Vocabulary
    chooser: Chooser
    prefix: str
    length: int
    ends: frozenset[int]
    end: int | None
    masked: Ids
    details: bool

    def named(self, probabilities: Probabilities) -> Likeliest:
        """The likeliest tokens as texts."""
        tokens = self.vocabulary.tokens
        return tuple((tokens[index], probability) for index, probability in likeliest(probabilities, TOLD))


class Text:
    """One text in the making. ``last`` is the token that the model reads next, ``ended`` why the text is done."""

    def __init__(self, number: int, rules: Rules, seed: int, acrostic: Acrostic | None = None) -> None:
        self.ended = ""
        self.last = 0
        self._number, self._rules, self._acrostic = number, rules, acrostic
        self._ids: list[int] = []
        self._pieces: list[str] = []
        self._characters = 0
        self._tokens: list[WrittenToken] = []
        self._told = 0
        self._is_spaced = rules.vocabulary.kind == "word"
        self._uniforms = _uniforms(seed, number)
        looks_back = rules.chooser.looks_back
        self._seen: list[int] | None = rules.vocabulary.encode(rules.prefix).tolist() if looks_back else None

    def write(self, logits: Logits) -> None:
        """Choose a token from the scores (vocabulary,) and add it. Raises UserError where those are not finite."""
        rules, acrostic = self._rules, self._acrostic
        if acrostic is None and not rules.details:
            self.add(rules.chooser.choose(logits, next(self._uniforms), self._seen or (), rules.masked))
            return
        head = None if acrostic is None else acrostic.forced()
        masked = rules.masked if acrostic is None else self._masked(acrostic)
        if head is not None:
            token = head.id
        else:
            token = rules.chooser.choose(logits, next(self._uniforms), self._seen or (), masked)
        drawn = self._drawn_from(logits, token, masked, head is not None) if rules.details else ()
        written = self.add(token, "" if head is None else head.text)
        if rules.details and written:
            self.tell(logits, len(self._ids) - 1, drawn)

    def _masked(self, acrostic: Acrostic) -> Ids:
        """What an acrostic must not draw now: no end before its last verse, none at all directly behind a head."""
        usual, end = self._rules.masked, self._rules.end
        masked = set(acrostic.kept_open) if acrostic.is_behind_head else set()
        if end is not None and (acrostic.is_behind_head or not acrostic.is_last_verse):
            masked.add(end)
        masked.update(usual.tolist())
        # A vocabulary may have nothing else.
        is_too_much = len(masked) == len(self._rules.vocabulary)
        return usual if len(masked) == len(usual) or is_too_much else np.array(sorted(masked), dtype=np.int64)

    def _drawn_from(self, logits: Logits, token: int, masked: Ids, is_forced: bool) -> Likeliest:
        if is_forced:
            return ((self._rules.vocabulary.tokens[token], 1.0),)
        return self._rules.named(self._rules.chooser.distribution(logits, self._seen or (), masked))

    def add(self, token: int, shown: str = "") -> bool:
        """Add a token, as ``shown`` where that is given. Returns whether it is written: an end may not be."""
        rules = self._rules
        self.last = token
        text = shown or rules.vocabulary.tokens[token]
        if token in rules.ends:
            self.ended = "end" if token == rules.end else "stop"
            if token == rules.end or text.isspace():
                return False
        if (shown or self._is_spaced) and not self._is_at_line_start:
            text = ("\n" if shown else " ") + text  # the head of a verse, or a word
        self._ids.append(token)
        self._pieces.append(text)
        self._characters += len(text)
        if self._seen is not None:
            self._seen.append(token)
        if self._acrostic is not None:
            self._acrostic.wrote(token)
            self.ended = self.ended or ("verses" if self._acrostic.finished else "")
        if len(self._ids) == rules.length or self._characters >= MOST_CHARACTERS:
            self.ended = self.ended or "length"
        return True

    @property
    def _is_at_line_start(self) -> bool:
        before = self._pieces[-1] if self._pieces else self._rules.prefix
        return before.endswith("\n") or not (self._pieces or before.strip())

    def tell(self, logits: Logits, index: int, drawn: Likeliest | None = None) -> None:
        """Keep the details of token ``index`` of the text, whose scores were ``logits``."""
        model = self._rules.named(distribution(logits, _UNFILTERED))
        bits = surprise(logits, self._ids[index])
        self._tokens.append(WrittenToken(self._pieces[index], self._ids[index], bits, drawn or model, model))

    def taken(self) -> Piece | None:
        """What has been added since the last call, if anything has."""
        if self._told == len(self._pieces):
            return None
        piece = Piece(self._number, "".join(self._pieces[self._told :]), tuple(self._tokens))
        self._told, self._tokens = len(self._pieces), []
        return piece

    def sample(self, score: float | None = None) -> Sample:
        """The text as it is now."""
        spans, start = [], 0
        for piece in self._pieces:
            # What only sets a token apart from the one before is not part of it.
            lead = len(piece) - len(piece.lstrip("\n ")) if len(piece) > 1 else 0
            spans.append((start + lead, start + len(piece)))
            start += len(piece)
        return Sample("".join(self._pieces), tuple(self._ids), tuple(spans), self.ended or "length", score)


def _uniforms(seed: int, number: int) -> Iterator[float]:
    """Random numbers from [0, 1): a stream for each number of a text, that of number 0 the seed's own."""
    sequence = np.random.SeedSequence(seed, spawn_key=(number,) if number else ())
    generator = np.random.Generator(np.random.PCG64(sequence))
    while True:
        yield from generator.random(256).tolist()
