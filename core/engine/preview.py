"""What a run does after an epoch, in steps of a few milliseconds: it generates a sample, and measures itself."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from core.errors import UserError
from core.events import Event, Measured, SampleWritten
from core.generation.options import GenerationRequest, Sampling
from core.generation.writer import Writing
from core.inspection.answers import GradientsView, InspectionAnswer, UnitsView
from core.inspection.options import InspectionOptions
from core.inspection.view import Inspection
from core.training.trainer import Trainer

# Seconds that a sample is generated for before the engine looks at its requests again.
WRITING_SECONDS = 0.02

Preview = Iterator[Event | None]
"""Each step takes some milliseconds, and yields the event of a part that is done. Training waits for the last one."""


def preview_after(trainer: Trainer, epoch: int) -> Preview:
    """What is due after an epoch, if anything; a model that reads in both directions writes no samples.

    Raises UserError as ``Writing``.
    """
    config = trainer.config
    if _is_due(config.sample_every, epoch) and not config.bidirectional:
        yield from _sample(trainer, epoch)
    if _is_due(config.inspect_every, epoch):
        yield from _measurement(trainer, epoch)


def _is_due(every: int, epoch: int) -> bool:
    return every > 0 and (epoch % every == 0 or epoch == 1)


def _sample(trainer: Trainer, epoch: int) -> Preview:
    prefix, pieces = sample_prefix(trainer), list[str]()
    request = GenerationRequest(prefix, trainer.config.sample_length, Sampling("greedy"))
    writing = Writing(trainer.model, trainer.corpus.vocabulary, request)
    while not writing.finished:
        pieces += [piece.text for piece in writing.advance(WRITING_SECONDS)]
        yield SampleWritten(epoch, prefix, "".join(pieces)) if writing.finished else None


def _measurement(trainer: Trainer, epoch: int) -> Preview:
    """The gradient's factor and the saturation, as the command ``inspect`` shows them."""
    gradients = yield from _view(trainer, "gradients")  # a poem of one token has no loss to look back from
    units = yield from _view(trainer, "units")
    if isinstance(units, UnitsView):
        yield Measured(epoch, gradients.factor if isinstance(gradients, GradientsView) else None, units.saturated)


def _view(trainer: Trainer, name: str) -> Generator[None, None, InspectionAnswer | None]:
    """A view of the run's own text; None if that has nothing to measure on."""
    try:
        view = Inspection(trainer.model, trainer.corpus.vocabulary, InspectionOptions(name), trainer.corpus.ids)
        while view.advance() is None:
            yield
    except UserError:
        return None
    return view.answer


def sample_prefix(trainer: Trainer) -> str:
    """The prefix of the samples: the setting, or the beginning of the corpus if none of its tokens is known."""
    prefix, corpus = trainer.config.sample_prefix, trainer.corpus
    vocabulary = corpus.vocabulary
    if prefix and len(vocabulary.unknown_tokens(prefix)) < len(set(vocabulary.split(prefix))):
        return prefix
    return vocabulary.decode(corpus.ids[: 2 if vocabulary.kind == "word" else 5].tolist())
