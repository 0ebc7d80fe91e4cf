"""The transcript of one text: what is written piece by piece, each token in detail, and the whole at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.generation.acrostic import Acrostic, Initial
from core.generation.events import Likeliest, Piece, WrittenToken
from core.generation.options import Filters
from core.generation.strategies import (
    NOT_FINITE,
    Chooser,
    Logits,
    Probabilities,
    distribution,
    likeliest,
    surprise,
)
from core.models.recurrence.cpu.step import CompiledText

MOST_CHARACTERS = 2_000_000
"""Characters at which a text ends: words can be long."""
LISTED = 10
"""Most likely tokens that are listed of a distribution."""

Ids = npt.NDArray[np.int64]
_UNFILTERED = Filters()


@dataclass(frozen=True)
class Sample:
    """One finished text.

    Attributes:
        text: the continuation, without the prefix.
        ids: its tokens; the one that ended it only if it is written.
        spans: (start, end) of each token in ``text``, in characters.
        ended: ``length``, ``stop`` (a token of the request), ``end`` (the model's end token) or ``verses``.
        score: mean log-probability of a token in nats, with beam search; else None.
    """

    text: str
    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    ended: str
    score: float | None = None


@dataclass(frozen=True)
class Rules:
    """The rules that all texts of one request share.

    Attributes:
        ends: ids that end the text. They are written, except white space and the model's end token.
        end: the id of the model's end token, or None.
        masked: ids that are never sampled.
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
        tokens = self.vocabulary.tokens
        return tuple((tokens[index], probability) for index, probability in likeliest(probabilities, LISTED))


class Transcript:
    """One text that is being written.

    ``last`` is the token that the model reads next, ``ended`` the reason why the text is finished, or empty.
    """

    def __init__(self, number: int, rules: Rules, seed: int, acrostic: Acrostic | None = None) -> None:
        self.ended = ""
        self.last = 0
        self._number, self._rules, self._acrostic = number, rules, acrostic
        self._ids: list[int] = []
        self._pieces: list[str] = []
        self._characters = 0
        self._tokens: list[WrittenToken] = []
        self._taken = 0
        self._is_spaced = rules.vocabulary.kind == "word"
        self._uniforms = _Uniforms(seed, number)
        looks_back = rules.chooser.looks_back
        self._seen: list[int] | None = rules.vocabulary.encode(rules.prefix).tolist() if looks_back else None

    def write(self, logits: Logits) -> None:
        """Choose a token from the scores (vocabulary,) and add it. Raises UserError where those are not finite."""
        rules, acrostic = self._rules, self._acrostic
        if acrostic is None and not rules.details:
            self.add(rules.chooser.choose(logits, self._uniforms.next(), self._seen or (), rules.masked))
            return
        initial = None if acrostic is None else acrostic.forced()
        masked = rules.masked if acrostic is None else self._masked(acrostic)
        if initial is not None:
            token = initial.id
        else:
            token = rules.chooser.choose(logits, self._uniforms.next(), self._seen or (), masked)
        self._add_drawn(logits, token, masked, initial)

    def write_by(self, text: CompiledText, scores: Logits, seconds: float) -> None:
        """Write for ``seconds``, at least one token, by a text that chooses. Raises UserError as ``write``.

        ``scores`` are the step's, with which ``text`` leaves those of its last token.
        """
        rules = self._rules
        most = 1 if rules.details else rules.length - len(self._ids)
        tokens = text.write(self.last, self._uniforms.ahead()[:most], seconds)
        self._uniforms.skip(len(tokens))
        for token in tokens:
            if rules.details:
                self._add_drawn(scores, token, rules.masked)
            else:
                self.add(token)
            if self.ended:
                return
        if not text.is_finite:
            raise UserError(NOT_FINITE)

    def _add_drawn(self, logits: Logits, token: int, masked: Ids, initial: Initial | None = None) -> None:
        """Add a token with its details, if they are asked for; ``initial``: it was not sampled."""
        details = self._rules.details
        drawn = self._drawn_from(logits, token, masked, initial is not None) if details else ()
        if self.add(token, "" if initial is None else initial.text) and details:
            self.add_details(logits, len(self._ids) - 1, drawn)

    def _masked(self, acrostic: Acrostic) -> Ids:
        """Ids that an acrostic must not sample now: no end before the last verse, or directly after an initial."""
        usual, end = self._rules.masked, self._rules.end
        masked = set(acrostic.verse_ends) if acrostic.is_after_initial else set()
        if end is not None and (acrostic.is_after_initial or not acrostic.is_last_verse):
            masked.add(end)
        masked.update(usual.tolist())
        if len(masked) == len(self._rules.vocabulary):  # a small vocabulary may have no other tokens
            return usual
        return np.array(sorted(masked), dtype=np.int64)

    def _drawn_from(self, logits: Logits, token: int, masked: Ids, is_forced: bool) -> Likeliest:
        if is_forced:
            return ((self._rules.vocabulary.tokens[token], 1.0),)
        return self._rules.named(self._rules.chooser.distribution(logits, self._seen or (), masked))

    def add(self, token: int, shown: str = "") -> bool:
        """Add a token, as ``shown`` if given. Returns whether it is written: a token that ends the text may not be."""
        rules = self._rules
        self.last = token
        text = shown or rules.vocabulary.tokens[token]
        if token in rules.ends:
            self.ended = "end" if token == rules.end else "stop"
            if token == rules.end or text.isspace():
                return False
        if (shown or self._is_spaced) and not self._is_at_line_start:
            text = ("\n" if shown else " ") + text  # an initial, or a word
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

    def add_details(self, logits: Logits, index: int, drawn: Likeliest | None = None) -> None:
        """Keep the details of token ``index`` of the text, whose scores were ``logits``."""
        model = self._rules.named(distribution(logits, _UNFILTERED))
        bits = surprise(logits, self._ids[index])
        self._tokens.append(WrittenToken(self._pieces[index], self._ids[index], bits, drawn or model, model))

    def taken(self) -> Piece | None:
        """The addition since the last call, or None."""
        if self._taken == len(self._pieces):
            return None
        piece = Piece("".join(self._pieces[self._taken :]), self._number, tuple(self._tokens))
        self._taken, self._tokens = len(self._pieces), []
        return piece

    def sample(self, score: float | None = None) -> Sample:
        """The text as it is now."""
        spans, start = [], 0
        for piece in self._pieces:
            # Without the separator before the token.
            lead = len(piece) - len(piece.lstrip("\n ")) if len(piece) > 1 else 0
            spans.append((start + lead, start + len(piece)))
            start += len(piece)
        return Sample("".join(self._pieces), tuple(self._ids), tuple(spans), self.ended or "length", score)


class _Uniforms:
    """Random numbers in [0, 1): one stream for each text of a request, for text 0 that of the seed itself."""

    def __init__(self, seed: int, number: int) -> None:
        sequence = np.random.SeedSequence(seed, spawn_key=(number,) if number else ())
        self._generator = np.random.Generator(np.random.PCG64(sequence))
        self._numbers = np.empty(0)
        self._used = 0

    def next(self) -> float:
        number = float(self.ahead()[0])
        self.skip(1)
        return number

    def ahead(self) -> npt.NDArray[np.float64]:
        """The next ones, at least one; they stay until ``skip``."""
        if self._used == len(self._numbers):
            self._numbers, self._used = self._generator.random(256), 0
        return self._numbers[self._used :]

    def skip(self, count: int) -> None:
        self._used += count
