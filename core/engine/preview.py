"""The sample that a run generates after an epoch, in steps of a few milliseconds."""

from __future__ import annotations

from core.events import SampleWritten
from core.generation.options import GenerationRequest, Sampling
from core.generation.writer import Writing
from core.training.trainer import Trainer

# Seconds that a sample is generated for before the engine looks at its requests again.
WRITING_SECONDS = 0.02


class Preview:
    """A sample at the end of ``epoch``; training waits for it."""

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


def preview_after(trainer: Trainer, epoch: int) -> Preview | None:
    """The preview after an epoch; None if none is due, or the model reads in both directions."""
    every = trainer.config.sample_every
    is_due = every and (epoch % every == 0 or epoch == 1) and not trainer.config.bidirectional
    return Preview(trainer, epoch) if is_due else None


def sample_prefix(trainer: Trainer) -> str:
    """The prefix of the samples: the setting, or the beginning of the corpus if none of its tokens is known."""
    prefix, corpus = trainer.config.sample_prefix, trainer.corpus
    vocabulary = corpus.vocabulary
    if prefix and len(vocabulary.unknown_tokens(prefix)) < len(set(vocabulary.split(prefix))):
        return prefix
    return vocabulary.decode(corpus.ids[: 2 if vocabulary.kind == "word" else 5].tolist())
