"""How a text is cut into batches: the index arithmetic of random sampling and of sequential partition.

A batch is given by the start of each of its rows in ``ids``: ``X = ids[start : start + num_steps]`` and
``Y = ids[start + 1 : start + num_steps + 1]``. Source: Dive into Deep Learning, section 8.3. Where each line is a
document, each is one row: ``LineRows``.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import IO

import numpy as np
import numpy.typing as npt

from core.corpus.ids import Ids, pieces, release
from core.corpus.token_store import default_store
from core.corpus.vocabulary import Vocabulary
from core.errors import CorpusError
from core.settings.run_config import END, PADDING, START, RunConfig
from core.units import counted

Starts = npt.NDArray[np.int64]
MOST_SHUFFLED = 1 << 22
"""Pieces of a text that are shuffled in memory, 34 MB of it and 0.1 s; the order of more is computed."""
ORDER = 2
"""The version of the random order, which a run keeps to its end; see ``order_of``."""
# Of version 1: 268 MB and two seconds.
_MOST_SHUFFLED_BEFORE = 1 << 26
MOST_LINES = 1 << 22
"""Lines whose places are in memory, 67 MB of it; those of more are in a file."""
_STEP = 1 << 22
# Places of a computed order that are computed at once: a few batches of a training, some milliseconds.
_BLOCK = 1 << 14


def num_batches(num_tokens: int, batch_size: int, num_steps: int) -> int:
    """Batches in an epoch, for both samplings; 0 if the text is too short."""
    return max(num_tokens - 1, 0) // (batch_size * num_steps)


def require_one_batch(num_tokens: int, batch_size: int, num_steps: int) -> None:
    """Raise ``CorpusError`` if the text is too short for one batch, ``ValueError`` for sizes below 1."""
    if batch_size < 1 or num_steps < 1:
        raise ValueError(f"batch_size and num_steps must be at least 1, got {batch_size} and {num_steps}")
    if num_batches(num_tokens, batch_size, num_steps) < 1:
        words = (
            "the text has {length}; {batch_size} {rows:,} with {num_steps} {steps:,} needs at least {needed:,}: "
            "choose a smaller {batch_size}, fewer {num_steps} or more text"
        )
        needed = batch_size * num_steps + 1
        sizes = {"length": counted(num_tokens, "token"), "rows": batch_size, "steps": num_steps, "needed": needed}
        raise CorpusError.of(RunConfig.refusal("batch_size", words, **sizes))


def trained_on(length: int, validation_fraction: float, noun: str) -> int:
    """How many of ``length`` are trained on. Raises CorpusError unless two at least are held out, or none is wanted.

    One of two can be predicted from the other. ``noun``: what is counted, ``tokens`` or ``lines``.
    """
    held_out = int(length * validation_fraction)
    if validation_fraction > 0 and held_out < 2:
        words = (
            "{validation_fraction} {given:g} of {length:,} {noun} holds out nothing: use a longer text or hold out more"
        )
        given = {"given": validation_fraction, "length": length, "noun": noun}
        raise CorpusError.of(RunConfig.refusal("validation_fraction", words, **given))
    return length - held_out


def largest_offset(num_tokens: int, batch_size: int, num_steps: int) -> int:
    """The largest random offset: less than one sequence, and without losing a batch. Raises ``CorpusError``."""
    require_one_batch(num_tokens, batch_size, num_steps)
    used = num_batches(num_tokens, batch_size, num_steps) * batch_size * num_steps
    return min(num_steps - 1, num_tokens - 1 - used)


class SequentialStarts:
    """Starts of the sequential partition: ``starts[i]`` are those of batch i, int64 (batch_size,); no memory is taken.

    The text from ``offset`` on is cut into ``batch_size`` rows of equal length, and each row of batch i + 1 continues
    the same row of batch i, so the hidden state may be carried. Numbers of batches, (n,), give (n, batch_size).
    """

    def __init__(self, num_tokens: int, batch_size: int, num_steps: int, offset: int = 0) -> None:
        """Raises ``CorpusError`` for a text too short, ``ValueError`` for an offset beyond ``largest_offset``."""
        _check(num_tokens, batch_size, num_steps, offset)
        row_length = (num_tokens - 1 - offset) // batch_size
        self._rows, self._num_steps = offset + row_length * np.arange(batch_size, dtype=np.int64), num_steps

    def __getitem__(self, batch: int | Starts) -> Starts:
        found: Starts = self._rows + self._num_steps * np.asarray(batch)[..., None]
        return found


class RandomStarts:
    """Starts of random sampling, asked for as those of ``SequentialStarts``: at most 34 MB for a long text.

    The text from ``offset`` on is cut into pieces of ``num_steps``, which are used once each, in random order.
    """

    def __init__(
        self, num_tokens: int, batch_size: int, num_steps: int, offset: int, generator: np.random.Generator,
        version: int = ORDER,
    ) -> None:  # fmt: skip
        """Raises like ``SequentialStarts``."""
        _check(num_tokens, batch_size, num_steps, offset)
        self._order = order_of((num_tokens - 1 - offset) // num_steps, generator, version)
        self._row, self._num_steps, self._offset = np.arange(batch_size), num_steps, offset

    def __getitem__(self, batch: int | Starts) -> Starts:
        places = len(self._row) * np.asarray(batch)[..., None] + self._row
        return self._offset + self._num_steps * self._order(places)


Order = Callable[[Starts], Starts]
"""The numbers at some places of a permutation."""


def order_of(count: int, generator: np.random.Generator, version: int = ORDER, most: int | None = None) -> Order:
    """A random permutation of ``count`` numbers: that of ``generator.permutation`` up to ``most``, else a computed one.

    The computed one takes no memory and is there at once: to shuffle the 19 million pieces of 1 GB takes a second. It
    is a Feistel network of six rounds over the next power of 2 (M. Luby and C. Rackoff, How to construct pseudorandom
    permutations from pseudorandom functions, 1988), repeated for numbers that are too large (J. Black and P. Rogaway,
    Ciphers with arbitrary finite domains, 2002, section 3). Its places are best asked for in their order. ``version`` 1
    shuffles up to 67 million numbers, and computes over the next power of 4.
    """
    if count <= (most or (_MOST_SHUFFLED_BEFORE if version == 1 else MOST_SHUFFLED)):
        shuffled = np.arange(count, dtype=np.int64 if count <= MOST_SHUFFLED else np.uint32)  # the order is the same
        generator.shuffle(shuffled)
        return lambda places: shuffled[places].astype(np.int64, copy=False)
    keys = generator.integers(0, 2**64, 6, dtype=np.uint64)
    bits = (count - 1).bit_length()
    bits += bits % 2 if version == 1 else 0
    widths = np.array([bits // 2, bits - bits // 2], dtype=np.uint64)  # of the halves, which change places each round
    masks = (np.uint64(1) << widths) - np.uint64(1)

    def once(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        left: npt.NDArray[np.uint64] = numbers >> widths[1]
        right: npt.NDArray[np.uint64] = numbers & masks[1]
        for turn, key in enumerate(keys):
            left, right = right, left ^ (_mixed(right + key) & masks[turn % 2])
        whole: npt.NDArray[np.uint64] = left << widths[1] | right
        return whole

    @lru_cache(maxsize=2)
    def block(number: int) -> Starts:
        found = once(np.arange(number * _BLOCK, min((number + 1) * _BLOCK, count), dtype=np.uint64))
        while len(outside := np.flatnonzero(found >= count)):
            found[outside] = once(found[outside])
        return found.astype(np.int64)

    def order(places: Starts) -> Starts:
        if not len(places):
            return places
        first, last = int(places.min()) // _BLOCK, int(places.max()) // _BLOCK
        return np.concatenate([block(number) for number in range(first, last + 1)])[places - first * _BLOCK]

    return order


WINDOW = 16
"""Batches among which lines of like length are put together."""


def bucketed(order: Order, count: int, lengths: Order, batch_size: int, seed: Sequence[int]) -> Order:
    """``order`` with lines of like length in the same batch, so that little of a batch is padding.

    In each window of ``WINDOW`` batches the lines are sorted by length and its full batches shuffled: which lines
    of one length are together, and which length comes next, stays random. ``lengths`` returns those of some of the
    ``count`` lines. The windows are computed one by one, from ``seed`` and their number.
    """
    size = WINDOW * batch_size

    @lru_cache(maxsize=1)
    def window(number: int) -> Starts:
        lines = order(np.arange(number * size, min((number + 1) * size, count)))
        lines = lines[np.argsort(lengths(lines), kind="stable")]
        full = lines[: len(lines) // batch_size * batch_size].reshape(-1, batch_size)
        np.random.default_rng([*seed, number + 1]).shuffle(full)  # in place; 0 would be no seed of its own
        return lines

    def bucketed_order(places: Starts) -> Starts:
        numbers, rest = np.divmod(places, size)
        found = np.empty_like(places)
        for number in np.unique(numbers).tolist():
            found[numbers == number] = window(number)[rest[numbers == number]]
        return found

    return bucketed_order


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Well-mixed bits: the finaliser of SplitMix64 (G. Steele, D. Lea and C. Flood, 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _check(num_tokens: int, batch_size: int, num_steps: int, offset: int) -> None:
    largest = largest_offset(num_tokens, batch_size, num_steps)
    if not 0 <= offset <= largest:
        raise ValueError(f"offset must be between 0 and {largest}, got {offset}")


def line_spans(ids: Ids, vocabulary: Vocabulary) -> tuple[Starts, Starts]:
    """Where each line of ``ids`` (tokens,) begins and ends, without its line end; empty lines are skipped.

    Of many lines they are mapped from a file. Raises CorpusError if that cannot be written.
    """
    line_end = vocabulary.token_to_id("\n") if "\n" in vocabulary else -1
    spans, first = _Spans(), 0
    for number, piece in enumerate(pieces(ids, _STEP)):
        lasts = np.flatnonzero(piece == line_end) + number * _STEP
        if len(lasts):
            spans.append(np.concatenate([[first], lasts[:-1] + 1]), lasts)
            first = int(lasts[-1]) + 1
    spans.append(np.array([first]), np.array([len(ids)]))
    return spans.firsts_and_lasts()


class _Spans:
    """The places of lines: in memory up to ``MOST_LINES``, then in a file without a name in the user's cache."""

    def __init__(self) -> None:
        self._parts: list[Starts] = []
        self._length = 0
        self._file: IO[bytes] | None = None

    def append(self, firsts: Starts, lasts: Starts) -> None:
        filled = lasts > firsts
        self._parts.append(np.stack([firsts[filled], lasts[filled]], axis=1))
        self._length += len(self._parts[-1])
        if self._length > MOST_LINES or self._file is not None:
            self._write()

    def firsts_and_lasts(self) -> tuple[Starts, Starts]:
        spans = np.concatenate([np.zeros((0, 2), dtype=np.int64), *self._parts])
        if self._file is not None:
            with self._file as file:
                file.flush()
                contents = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            spans = np.frombuffer(contents, dtype=np.int64).reshape(-1, 2)
        return spans[:, 0], spans[:, 1]

    def _write(self) -> None:
        folder = default_store().folder
        try:
            if self._file is None:
                folder.mkdir(0o700, parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
            for part in self._parts:
                self._file.write(part.tobytes())
        except OSError as error:
            raise CorpusError(
                f"the text has more than {MOST_LINES:,} lines, and {folder}, where their places belong, cannot be "
                f"written ({error.strerror or error}): free some space there, or choose fewer max_tokens"
            ) from None
        self._parts = []


def line_sizes(ids: Ids, vocabulary: Vocabulary, row: int) -> tuple[int, int, int]:
    """How many lines a text has, the tokens of the longest, and how many have more than ``row`` tokens."""
    firsts, lasts = line_spans(ids, vocabulary)
    longest = longer = 0
    for start in range(0, len(firsts), _STEP):
        lengths = lasts[start : start + _STEP] - firsts[start : start + _STEP]
        longest, longer = max(longest, int(lengths.max())), longer + int((lengths > row).sum())
        release(firsts)
    return len(firsts), longest, longer


class LineRows:
    """The lines of a text as rows, (lines, width), made when wanted: there is no memory for all of a long text.

    A row is the start token, the line, cut at ``num_steps`` - 1 tokens, the end token, and padding.

    Attributes:
        width: columns of the rows, as many as the longest line needs.
        padding: the id of the padding.
    """

    def __init__(self, ids: Ids, vocabulary: Vocabulary, num_steps: int) -> None:
        self._ids, self._num_steps = ids, num_steps
        self._firsts, self._lasts = line_spans(ids, vocabulary)
        longest = max((int(lengths.max()) for lengths in self._pieces(slice(None))), default=0)
        self.width = longest + 2
        self._start, self._end, self.padding = map(vocabulary.token_to_id, (START, END, PADDING))

    def __len__(self) -> int:
        return len(self._firsts)

    def __getitem__(self, part: slice) -> npt.NDArray[np.int32]:
        return self.at(np.arange(*part.indices(len(self))))

    def targets(self, part: slice) -> int:
        """The number of targets in some rows: every token of a line, and its end."""
        return sum(int(lengths.sum()) + len(lengths) for lengths in self._pieces(part))

    def at(self, places: Starts) -> npt.NDArray[np.int32]:
        """The rows at ``places``; beyond the last one a row is all padding."""
        rows = np.full((len(places), self.width), self.padding, dtype=np.int32)
        numbers = np.flatnonzero(places < len(self))
        firsts, lengths = self._firsts[places[numbers]].tolist(), self.lengths(places[numbers]).tolist()
        for number, first, length in zip(numbers, firsts, lengths, strict=True):
            row = rows[number]
            row[0], row[length + 1] = self._start, self._end
            row[1 : length + 1] = self._ids[first : first + length]
        return rows

    def release(self) -> None:
        """Unmap what was read."""
        release(self._ids)
        release(self._firsts)

    def lengths(self, lines: Starts | slice) -> Starts:
        """The tokens of some lines, without start and end."""
        found: Starts = np.minimum(self._lasts[lines] - self._firsts[lines], self._num_steps - 1)
        return found

    def _pieces(self, part: slice) -> Iterator[Starts]:
        """The lengths of consecutive lines, many at a time; unmapped behind."""
        first, last, _ = part.indices(len(self))
        for start in range(first, last, _STEP):
            yield self.lengths(slice(start, min(start + _STEP, last)))
            release(self._firsts)
