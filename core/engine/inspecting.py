"""Inspections of a run: of the live model between two batches, or of a model on the disk."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import torch

from core.corpus.vocabulary import Vocabulary
from core.devices import at_home
from core.engine.session import Session
from core.errors import CorpusError, UserError
from core.events import number_in
from core.files import open_to_read
from core.inspection.answers import Clipping, GradientsView, UnitsView
from core.inspection.events import Inspected, InspectionEvent, InspectionProgress
from core.inspection.options import InspectionOptions, LongText
from core.inspection.text import own_text
from core.inspection.view import Inspection
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.runs.checkpoint import read_checkpoint
from core.runs.checkpoint_header import Opened
from core.runs.journal import last_lines
from core.runs.metadata import RunMetadata
from core.runs.recovery import Read, check_size, text_of, use_last_good, vocabulary_of, weights_of
from core.runs.run import Run
from core.settings.run_config import RunConfig
from core.training.generators import Generators
from core.training.trainer import corpus_of


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A model to look at.

    Attributes:
        run, config: what it belongs to.
        epoch: finished epochs of its weights; None if unknown.
        own: the ids of the run's whole text; None if that is missing.
        checkpoint: see ``InspectionOptions``.
    """

    model: LanguageModel
    vocabulary: Vocabulary
    run: Run
    config: RunConfig
    epoch: int | None
    own: npt.NDArray[Any] | None = None
    checkpoint: str = ""


def live_source(session: Session) -> Source:
    """The model of a session as it is now."""
    model, vocabulary, trainer = session.model, session.vocabulary, session.trainer
    if trainer is None:
        return Source(model, vocabulary, session.run, session.metadata.config, None)
    return Source(model, vocabulary, session.run, trainer.config, trainer.epoch, trainer.corpus.ids)


def stored_source(
    run: Run, checkpoint: str | None, device: torch.device | str = "cpu", opened: Opened = open_to_read
) -> Source:
    """The model of a run on the disk; of a run without its text, too. Takes no lock and no random number.

    ``checkpoint`` is one of ``CHECKPOINTS``, by default the latest; the initial weights are drawn again from the seed.
    ``opened`` opens the files. Raises RunError or another UserError.
    """
    metadata = run.metadata()
    config = at_home(metadata.config)
    vocabulary = vocabulary_of(run, metadata, _reading(metadata))
    check_size(run, metadata, len(vocabulary))
    with torch.random.fork_rng([]), Generators(config.seed, torch.device("cpu")).in_place():
        model = build_model(config, len(vocabulary))
    model = model.to(device).eval()
    epoch = 0

    def use(tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        nonlocal epoch
        model.load_state_dict(weights_of(model.state_dict(), tensors))
        epoch = int(facts.get("epoch", 0))

    if checkpoint == "best":
        use(*read_checkpoint(run.best_path, opened))
    elif checkpoint != "first":
        use_last_good(run, use, opened)
    return Source(model, vocabulary, run, config, epoch, checkpoint=checkpoint or "latest")


def with_text(source: Source) -> Source:
    """The same with the run's own text, if that can be had as it was."""
    metadata = source.run.metadata()
    with contextlib.suppress(CorpusError):
        corpus, _ = text_of(source.run, metadata, _reading(metadata))
        return dataclasses.replace(source, own=corpus.ids)
    return source


def inspection_job(session: Session, options: InspectionOptions) -> Iterator[list[InspectionEvent]]:
    """A view of the session's model, or of a checkpoint. Raises UserError."""
    source = live_source(session)
    if options.run is not None or options.checkpoint:
        is_own = options.run is None or os.path.realpath(options.run) == os.path.realpath(session.run.path)
        run = session.run if options.run is None or is_own else Run(options.run)
        opened = session.folder.open_to_read if is_own else open_to_read
        options = _with_text_of(source, options)
        source = stored_source(run, options.checkpoint, opened=opened)
    yield from inspecting(source, options)


def inspecting(source: Source, options: InspectionOptions) -> Iterator[list[InspectionEvent]]:
    """A view, a few milliseconds at a time: ``InspectionProgress`` events, at last ``Inspected``."""
    inspection, seconds = Inspection(source.model, source.vocabulary, options, source.own), 0.0
    while True:
        began = time.perf_counter()
        answer = inspection.advance()
        seconds += time.perf_counter() - began
        if answer is not None:
            break
        yield [InspectionProgress(round(inspection.progress, 3))]
    if isinstance(answer, GradientsView):
        answer = dataclasses.replace(
            answer,
            epoch=source.epoch,
            checkpoint=source.checkpoint,
            run=source.run.name,
            clip=source.config.clip if source.config.clipping == "norm" else None,
            clipping=None if source.checkpoint == "first" else last_clipping(source.run, source.config),
        )
    if isinstance(answer, UnitsView):
        answer = dataclasses.replace(answer, epoch=source.epoch, checkpoint=source.checkpoint)
    yield [Inspected(answer, round(seconds, 4))]


def last_clipping(run: Run, config: RunConfig) -> Clipping | None:
    """How the last epoch in the journal was clipped; None if it is not known, or gradients are not clipped by norm."""
    if config.clipping != "norm":
        return None
    with contextlib.suppress(OSError):
        for line in reversed(last_lines(run.journal_path)[0]):
            if line.get("event") == "epoch" and (share := number_in(line, "clipped")) is not None:
                return Clipping(config.clip, share, number_in(line, "clip_factor"))
    return None


def _with_text_of(source: Source, options: InspectionOptions) -> InspectionOptions:
    """The options with the text, and the place in it, that the run on screen shows: two runs are compared on one."""
    if options.text is not None:
        return options
    if source.own is None:
        raise UserError("the text of this run is missing or has changed: give a text to look at")
    text = own_text(source.own, source.vocabulary, source.config)
    at = text.position(None, before_another=True) if options.at is None and options.places is None else options.at
    return dataclasses.replace(options, text=LongText(text.text), at=at)


def _reading(metadata: RunMetadata) -> Read:
    """Reads a file as the run's settings say, and no further than the run read."""
    return lambda source: corpus_of(metadata.config, source=source, at_most=metadata.corpus.bytes)
