"""A text as a model reads it: ids, tokens, where its state begins, and the place that a view looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.corpus.batching_plan import line_spans
from core.corpus.normalisation import normaliser
from core.corpus.vocabulary import Vocabulary, characters, code_points
from core.errors import UserError
from core.inspection.options import DEFAULT_LENGTH, LONGEST
from core.settings.run_config import END, START, RunConfig
from core.units import counted

# Position that is looked at in the run's own text: late enough for a memory, early enough for a quick answer.
_EARLY = 200


@dataclass(frozen=True, eq=False)
class Text:
    """A text to look at.

    Attributes:
        vocabulary: of the model that reads it.
        text: as a person reads it.
        ids: int64 (tokens,); 0 for tokens that the vocabulary lacks.
        starts: positions at which the state begins with zeros, ascending; the first is 0.
        origin: ``given``, ``held out`` or ``training``.
    """

    vocabulary: Vocabulary
    text: str
    ids: npt.NDArray[np.int64]
    starts: tuple[int, ...]
    origin: str = "given"

    def __len__(self) -> int:
        return len(self.ids)

    def tokens(self, begin: int = 0, end: int | None = None) -> tuple[str, ...]:
        """The tokens at the positions from ``begin`` to ``end``, ``end`` excluded."""
        return tuple(self.vocabulary.id_to_token(index) for index in self.ids[begin:end].tolist())

    def unknown(self) -> tuple[str, ...]:
        """The distinct tokens that the vocabulary lacks; they are read as the unknown token."""
        return tuple(self.vocabulary.unknown_tokens(self.text)) if self.origin == "given" else ()

    def span(self, at: int) -> tuple[int, int]:
        """Begin and end of the stretch around ``at`` that is read with one state: the text, or one poem."""
        begin = max(start for start in self.starts if start <= at)
        return begin, min((start for start in self.starts if start > at), default=len(self))

    def position(self, at: int | None, *, before_another: bool) -> int:
        """The position ``at``, or by default the last one (of the run's own text: an early one).

        With ``before_another`` a token has to follow it in the same poem. Raises UserError where there is none.
        """
        if at is None:
            return self._default(before_another)
        if at >= len(self):
            raise UserError(f"at must be a position in the text, 0 to {len(self) - 1:,}, got {at:,}")
        if before_another and at + 1 >= self.span(at)[1]:
            if self.span(at)[0] == at:
                raise UserError("the text has one token, and a loss needs the next one: give a longer text")
            raise UserError(
                "no token follows this position, so it has no loss: choose an earlier one, or a target token"
            )
        return at

    def _default(self, before_another: bool) -> int:
        if self.origin == "given" or len(self.starts) == 1:
            last = len(self) - 1 if self.origin == "given" else min(_EARLY, len(self) - 1)
            begin, end = self.span(last)
        else:  # the longest poem
            begin, end = max((self.span(start) for start in self.starts), key=lambda span: span[1] - span[0])
            last = end - 1
        if before_another and last + 1 >= end:
            last = max(last - 1, begin)
        return self.position(last, before_another=before_another)


def text_of(given: str, vocabulary: Vocabulary, config: RunConfig, origin: str = "given") -> Text:
    """A text as the model of ``config`` reads it, normalised as the text that it is trained on.

    With ``documents=lines`` each line is a poem: it begins with the start token and ends with the end token. Raises
    UserError for a text without tokens or with more than ``LONGEST``.
    """
    if config.normalise != "none":
        given = characters(normaliser(config.normalise, config.tokens)(code_points(given)))
    return text_of_ids(vocabulary.encode(given), vocabulary, config, origin, given)


def text_of_ids(
    ids: npt.NDArray[np.int64], vocabulary: Vocabulary, config: RunConfig, origin: str, text: str | None = None
) -> Text:
    """The same from token ids, for example of a corpus."""
    words = vocabulary.decode(ids.tolist()) if text is None else text
    starts: list[int] = [0]
    if config.documents == "lines":
        ids, starts = _poems(ids, vocabulary, closed=text is None)
    if not len(ids):
        raise UserError("the text has no tokens: give at least one")
    if len(ids) > LONGEST:
        raise UserError(f"the text must have at most {LONGEST:,} tokens, got {counted(len(ids), 'token')}: give a part")
    return Text(vocabulary, words, ids.astype(np.int64, copy=False), tuple(starts), origin)


def _poems(ids: npt.NDArray[np.int64], vocabulary: Vocabulary, closed: bool) -> tuple[npt.NDArray[np.int64], list[int]]:
    """The lines of a text between start and end tokens, and where each begins; the last one stays open if not closed:
    a person's text may stop in mid-line."""
    start, end = vocabulary.token_to_id(START), vocabulary.token_to_id(END)
    pieces, starts, length = [], [], 0
    for first, last in zip(*line_spans(ids, vocabulary), strict=True):
        ends = [end] if closed or last < len(ids) else []
        pieces.append(np.array([start, *ids[first:last], *ends], dtype=np.int64))
        starts.append(length)
        length += len(pieces[-1])
    return (np.concatenate(pieces), starts) if pieces else (np.empty(0, dtype=np.int64), [])


def own_text(ids: npt.NDArray[Any], vocabulary: Vocabulary, config: RunConfig) -> Text:
    """A stretch of a run's text, ``ids``: the beginning of what is held out, or of what it is trained on."""
    held_out = int(len(ids) * config.validation_fraction)
    begin = len(ids) - held_out if held_out >= 2 else 0
    stretch = np.asarray(ids[begin : begin + DEFAULT_LENGTH], dtype=np.int64)
    if config.documents == "lines":
        first = max(begin - 1, 0)  # the token before shows whether a line begins there
        stretch = _whole_lines(
            np.asarray(ids[first : begin + DEFAULT_LENGTH], dtype=np.int64), begin - first, vocabulary
        )
    return text_of_ids(stretch, vocabulary, config, "held out" if begin else "training")


def _whole_lines(ids: npt.NDArray[np.int64], begin: int, vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
    """``ids`` from ``begin`` on, without the halves of lines at both ends, if anything is left then."""
    line_end = vocabulary.token_to_id("\n") if "\n" in vocabulary else -1
    ends = np.flatnonzero(ids == line_end)
    if begin:
        after = ends[ends >= begin - 1]
        begin = int(after[0]) + 1 if len(after) else begin
    whole = ids[begin : int(ends[-1])] if len(ends) and ends[-1] > begin else ids[begin:]
    return whole
