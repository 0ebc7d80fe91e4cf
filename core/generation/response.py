"""The response to a request: the events that an engine sends and the command line prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from core.generation.copy_meter import Stretch, searching
from core.generation.events import Copied, Piece, Written, WrittenSample
from core.generation.transcript import Sample
from core.generation.writer import Writing

NO_TEXT = "the training text is missing or has changed, so nothing can be compared with it"


def response(
    writing: Writing, text: npt.NDArray[np.integer] | None, seconds: float = 0.02
) -> Iterator[list[Piece | Written]]:
    """Write, and yield the events of about ``seconds`` of work at a time; the last event is ``Written``.

    ``text`` is the ids that the model was trained on, for the copy meter; None if they are not available.
    Raises UserError from ``Writing``.
    """
    while not writing.finished:
        yield [*writing.advance(seconds)]
    request, samples = writing.request, []
    for sample in writing.samples:
        found = None
        if request.copy and text is not None:
            until = time.perf_counter() + seconds
            for stretch in searching(text, np.array(sample.ids, dtype=np.int64)):
                if stretch is not None:
                    found = copied(sample, stretch)
                elif time.perf_counter() >= until:
                    yield []  # the comparison with a long text takes a while
                    until = time.perf_counter() + seconds
        samples.append(WrittenSample(sample.text, len(sample.ids), sample.ended, sample.score, found))
    problem = NO_TEXT if request.copy and text is None else ""
    unknown = tuple(writing.unknown)
    yield [Written(request.prefix + writing.samples[0].text, unknown, writing.seed, tuple(samples), problem)]


def copied(sample: Sample, found: Stretch) -> Copied:
    """The longest stretch of a sample that occurs in the text, as ``searching`` has found it."""
    first, last = found.start, found.start + found.length - 1
    span = (sample.spans[first][0], sample.spans[last][1]) if found.length else (0, 0)
    return Copied(**asdict(found), span=span, text=sample.text[span[0] : span[1]])


def training_part(ids: npt.NDArray[np.integer], validation_fraction: float) -> npt.NDArray[np.integer]:
    """The ids of a text without those that are held out of training."""
    return ids[: len(ids) - int(len(ids) * validation_fraction)]
