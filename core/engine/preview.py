"""What a run does after an epoch, in steps of a few milliseconds: it generates a sample, and measures itself."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import Protocol

from core.errors import UserError
from core.events import Event, Measured, SampleWritten
from core.generation.options import GenerationRequest, Sampling
from core.generation.writer import Writing
from core.inspection.answers import GradientsView, UnitsView
from core.inspection.options import InspectionOptions
from core.inspection.view import Inspection
from core.training.trainer import Trainer

# Seconds that a sample is generated for before the engine looks at its requests again.
WRITING_SECONDS = 0.02


class Part(Protocol):
    """A part of what is done after an epoch."""

    def advance(self) -> Event | None:
        """Work for some milliseconds; returns the event at the end."""


class Preview:
    """All that is done at the end of an epoch; training waits for it."""

    def __init__(self, *parts: Part) -> None:
        self._parts = deque(parts)

    @property
    def finished(self) -> bool:
        return not self._parts

    def advance(self) -> Event | None:
        """Work for some milliseconds; returns the event of a part that is finished. Raises UserError as ``Writing``."""
        event = self._parts[0].advance()
        if event is not None:
            self._parts.popleft()
        return event


class Sample:
    """A sample at the end of ``epoch``."""

    def __init__(self, trainer: Trainer, epoch: int) -> None:
        self._epoch, self._prefix = epoch, sample_prefix(trainer)
        request = GenerationRequest(self._prefix, trainer.config.sample_length, Sampling("greedy"))
        self._writing = Writing(trainer.model, trainer.corpus.vocabulary, request)
        self._pieces: list[str] = []

    def advance(self) -> SampleWritten | None:
        """Generate for some milliseconds; returns the event at the end. Raises UserError as ``Writing``."""
        self._pieces += [piece.text for piece in self._writing.advance(WRITING_SECONDS)]
        if not self._writing.finished:
            return None
        return SampleWritten(self._epoch, self._prefix, "".join(self._pieces))


class Measurement:
    """The gradient's factor and the saturation at the end of ``epoch``, as the command ``inspect`` shows them."""

    def __init__(self, trainer: Trainer, epoch: int) -> None:
        """Raises UserError if the run's text has nothing to measure on."""
        self._epoch = epoch
        self._gradients: Inspection | None = _inspection(trainer, "gradients")
        self._units = _inspection(trainer, "units")
        self._factor: float | None = None

    def advance(self) -> Measured | None:
        """Measure for some milliseconds; returns the event at the end."""
        if self._gradients is not None:
            try:
                found = self._gradients.advance()
            except UserError:  # a poem of one token has no loss to look back from
                self._gradients = None
            else:
                if isinstance(found, GradientsView):
                    self._gradients, self._factor = None, found.factor
            return None
        units = self._units.advance()
        return Measured(self._epoch, self._factor, units.saturated) if isinstance(units, UnitsView) else None


def _inspection(trainer: Trainer, view: str) -> Inspection:
    return Inspection(trainer.model, trainer.corpus.vocabulary, InspectionOptions(view), trainer.corpus.ids)


def preview_after(trainer: Trainer, epoch: int) -> Preview | None:
    """What is due after an epoch, or None; a model that reads in both directions writes no samples."""
    config, parts = trainer.config, list[Part]()
    if _is_due(config.sample_every, epoch) and not config.bidirectional:
        parts.append(Sample(trainer, epoch))
    if _is_due(config.inspect_every, epoch):
        with contextlib.suppress(UserError):
            parts.append(Measurement(trainer, epoch))
    return Preview(*parts) if parts else None


def _is_due(every: int, epoch: int) -> bool:
    return every > 0 and (epoch % every == 0 or epoch == 1)


def sample_prefix(trainer: Trainer) -> str:
    """The prefix of the samples: the setting, or the beginning of the corpus if none of its tokens is known."""
    prefix, corpus = trainer.config.sample_prefix, trainer.corpus
    vocabulary = corpus.vocabulary
    if prefix and len(vocabulary.unknown_tokens(prefix)) < len(set(vocabulary.split(prefix))):
        return prefix
    return vocabulary.decode(corpus.ids[: 2 if vocabulary.kind == "word" else 5].tolist())
