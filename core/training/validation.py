"""The held-out part of a text: what is not trained on, and how well a model predicts it."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.corpus.baselines import baselines
from core.corpus.batching_plan import LineRows, trained_on
from core.corpus.ids import Ids, is_mapped, release
from core.corpus.reader import Corpus
from core.models.language_model import LanguageModel
from core.settings.run_config import RunConfig
from core.training.batches import Batches, Plans, without_padding
from core.training.mapped_batches import LineBatches, MappedStream

if TYPE_CHECKING:
    from core.training.distributed import Team

# Steps that a stream reads before its first counted token, so that its state is as good as a carried one.
WARM_UP = 256
# Logits in memory at once; the result does not depend on it.
LOGITS_AT_ONCE = 1 << 23
# The most tokens that the n-gram baselines count: the last of the training part, the first of the held-out part.
MOST_COUNTED = 1_000_000


class HeldOut(ABC):
    """A text to measure a model on.

    Attributes:
        team: the workers that measure it together, each its part of every piece; None for this process alone.
    """

    team: Team | None = None

    @abstractmethod
    def measuring(self, model: LanguageModel) -> Iterator[float | None]:
        """Measure a piece at a time: None after each, last the mean cross-entropy in nats over all of the text.

        Between two pieces the model is in the mode it was in before; it must not be trained on before the end.
        """

    def part(self, count: int) -> slice:
        """Which of ``count`` rows this process measures."""
        return slice(0, count) if self.team is None else self.team.part(count)


def divided(corpus: Corpus, config: RunConfig, device: torch.device) -> tuple[Plans, HeldOut | None]:
    """The batches of the training part, and the held-out tail where the configuration wants one.

    Raises CorpusError where either is too short.
    """
    if config.documents == "lines":
        lines = LineRows(corpus.ids, corpus.vocabulary, config.num_steps)
        kept = trained_on(len(lines), config.validation_fraction, "lines")
        held_out = HeldOutLines(lines, kept) if kept < len(lines) else None
        return LineBatches(lines, kept, config, device), held_out
    kept = trained_on(len(corpus.ids), config.validation_fraction, "tokens")
    stream = HeldOutStream(corpus.ids, kept) if kept < len(corpus.ids) else None
    kind = Batches if is_resident(corpus.ids, device) else MappedStream
    return kind(corpus.ids[:kept], config, device), stream


def is_resident(ids: Ids, device: torch.device) -> bool:
    """Whether the ids of a text are copied to the device; else batches are cut out of the mapped file."""
    if not is_mapped(ids):
        return True
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return ids.nbytes <= free // 2


def n_gram_baselines(corpus: Corpus, config: RunConfig) -> dict[str, float]:
    """Perplexities of ``uniform``, ``unigram``, ``bigram`` and ``trigram``, to measure a model against.

    Counted in the training part; measured on the held-out part, or on the training part where nothing is held out.
    Of a long text at most ``MOST_COUNTED`` tokens of each part are used. Raises CorpusError.
    """
    if config.documents == "lines":
        # What a model is measured on: every token of every line and its end, in the order of the text.
        lines = LineRows(corpus.ids, corpus.vocabulary, config.num_steps)
        kept = trained_on(len(lines), config.validation_fraction, "lines")
        # each line has a token and its end at least
        rows = (lines[max(0, kept - MOST_COUNTED // 2) : kept], lines[kept : kept + MOST_COUNTED // 2])
        parts = [part[:, 1:][part[:, 1:] != lines.padding] for part in rows]
    else:
        kept = trained_on(len(corpus.ids), config.validation_fraction, "tokens")
        parts = [corpus.ids[:kept], corpus.ids[kept:]]
    training, held_out = parts[0][-MOST_COUNTED:], parts[1][:MOST_COUNTED]
    return baselines(training, held_out if len(held_out) >= 2 else training, len(corpus.vocabulary))


class HeldOutLines(HeldOut):
    """Poems that are not trained on: each is read from a state of zeros, padding does not count."""

    def __init__(self, lines: LineRows, begin: int) -> None:
        """The ``lines`` from ``begin`` on."""
        self._lines, self._begin = lines, begin

    def measuring(self, model: LanguageModel) -> Iterator[float | None]:
        """See ``HeldOut``: over all tokens of all poems, end tokens included."""
        device, total, count = next(model.parameters()).device, 0.0, 0
        lines, padding = self._lines, self._lines.padding
        at_once = max(1, LOGITS_AT_ONCE // (lines.width * model.vocabulary_size))
        for first in range(self._begin, len(lines), at_once):
            rows = lines[first : first + at_once]
            piece = torch.from_numpy(rows[self.part(len(rows))]).to(device)
            if not len(piece):  # fewer poems than workers
                yield None
                continue
            piece = without_padding(piece, padding)
            targets = piece[:, 1:].long()
            mask = targets != padding
            with _measured(model):
                mean, _ = model.loss(piece[:, :-1].long(), targets, model.begin_state(len(piece)), mask=mask)
            total += float(mean) * int(mask.sum())
            count += int(mask.sum())
            lines.release()
            yield None
        if self.team is not None:
            total, count = self.team.add(torch.tensor([total, count], dtype=torch.float64, device=device)).tolist()
        yield total / count


class HeldOutStream(HeldOut):
    """The tail of one long text, read with a state that is carried over all of it."""

    def __init__(self, ids: Ids, begin: int, num_streams: int = 64) -> None:
        """``ids[begin:]`` is the tail; the tokens before it only warm up the state."""
        self._ids, self._begin, self._num_streams = ids, max(begin, 1), num_streams

    def measuring(self, model: LanguageModel) -> Iterator[float | None]:
        """See ``HeldOut``: every token of the tail is predicted exactly once.

        To use the machine, the tail is read as several streams side by side. Each begins ``WARM_UP`` tokens before
        its own part (a short text at its own beginning), so that no token is predicted from a cold state.
        """
        ids, count = self._ids, len(self._ids) - self._begin
        num_streams = max(1, min(self._num_streams, count // WARM_UP))
        length = -(-count // num_streams)
        piece = max(1, min(WARM_UP, LOGITS_AT_ONCE // (num_streams * model.vocabulary_size)))
        warm_up = min(WARM_UP, self._begin - 1)
        firsts = (self._begin + length * np.arange(num_streams))[self.part(num_streams)]
        device = next(model.parameters()).device
        total = torch.zeros((), dtype=torch.float64, device=device)
        state = model.begin_state(len(firsts))
        for offset in (*range(-warm_up, 0, piece), *range(0, length, piece)):
            if not len(firsts):  # fewer streams than workers
                yield None
                continue
            steps = np.arange(offset, min(offset + piece, 0 if offset < 0 else length))
            positions = firsts[:, None] + steps[None, :]  # (streams, steps) of the targets
            counted = (steps[None, :] >= 0) & (positions < len(ids))
            targets = np.minimum(positions, len(ids) - 1)
            inputs = torch.from_numpy(ids[targets - 1].astype(np.int64)).to(device)
            wanted = torch.from_numpy(ids[targets].astype(np.int64)).to(device)
            with _measured(model):
                if offset < 0:
                    _, state = model.outputs(inputs.t(), state)
                else:
                    mean, state = model.loss(inputs, wanted, state, mask=torch.from_numpy(counted).to(device))
                    total += mean.double() * int(counted.sum())
            release(ids)
            yield None
        yield float(total if self.team is None else self.team.add(total)) / count


@contextlib.contextmanager
def _measured(model: LanguageModel) -> Iterator[None]:
    """Without gradients and dropout while one piece is measured; the model's mode is restored before it is yielded."""
    was_training, _ = model.training, model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
