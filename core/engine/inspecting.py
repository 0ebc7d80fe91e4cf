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
from core.engine.loading import own_ids, stored_model
from core.engine.session import Session
from core.events import number_in
from core.files import open_to_read
from core.inspection.answers import Clipping, GradientsView, UnitsView
from core.inspection.events import Inspected, InspectionEvent, InspectionProgress
from core.inspection.options import InspectionOptions, LongText
from core.inspection.view import Inspection, looked_at
from core.models.language_model import LanguageModel
from core.runs.checkpoint_header import Opened
from core.runs.journal import last_lines
from core.runs.run import Run
from core.settings.run_config import RunConfig


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A model to look at.

    Attributes:
        run: what it belongs to.
        epoch: finished epochs of its weights; None if unknown.
        own: the ids of the run's whole text; None if that is missing.
        checkpoint: see ``InspectionOptions``.
        remark: see ``StoredModel``.
    """

    model: LanguageModel
    vocabulary: Vocabulary
    run: Run
    epoch: int | None
    own: npt.NDArray[Any] | None = None
    checkpoint: str = ""
    remark: str = ""


def live_source(session: Session) -> Source:
    """The model of a session as it is now."""
    model, vocabulary, trainer = session.model, session.vocabulary, session.trainer
    if trainer is None:
        return Source(model, vocabulary, session.run, None)
    return Source(model, vocabulary, session.run, trainer.epoch, trainer.corpus.ids)


def stored_source(
    run: Run, checkpoint: str | None, device: torch.device | str = "cpu", opened: Opened = open_to_read
) -> Source:
    """The model of a run on the disk; of a run without its text, too. See ``stored_model``."""
    stored = stored_model(run, checkpoint, device, opened)
    return Source(
        stored.model, stored.vocabulary, run, stored.epoch, checkpoint=stored.checkpoint, remark=stored.remark
    )


def with_text(source: Source) -> Source:
    """The same with the run's own text, if that can be had as it was."""
    return dataclasses.replace(source, own=own_ids(source.run))


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
        config = source.model.config
        answer = dataclasses.replace(
            answer,
            epoch=source.epoch,
            checkpoint=source.checkpoint,
            run=source.run.name,
            clip=config.clip if config.clipping == "norm" else None,
            clipping=None if source.checkpoint == "first" else last_clipping(source.run, config),
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
    text = looked_at(source.model, source.vocabulary, options, source.own)
    at = text.position(None, before_another=True) if options.at is None and options.places is None else options.at
    return dataclasses.replace(options, text=LongText(text.text), at=at)
