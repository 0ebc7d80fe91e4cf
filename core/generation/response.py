"""The response to a request: the events that an engine sends and the command line prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from core.generation.copy_meter import longest_copy
from core.generation.transcript import Sample
from core.generation.writer import Writing

NO_TEXT = "the training text is missing or has changed, so nothing can be compared with it"


def response(
    writing: Writing, text: npt.NDArray[np.integer] | None, seconds: float = 0.02
) -> Iterator[list[dict[str, Any]]]:
    """Write, and yield the events of about ``seconds`` of work at a time; the last event is ``done``.

    ``text`` is the ids that the model was trained on, for the copy meter; None if they are not available. Events::

        {"event": "text", "text": ..., "sample": 0, "tokens": [{"text", "id", "surprise", "top", "model"}, ...]}
        {"event": "done", "text": prefix and first continuation, "unknown": [...], "seed": ..., "samples": [
            {"continuation", "tokens", "ended", "score", "copy": {"length", "start", "text_start", "span", "text"}}]}

    ``tokens`` is present with details. ``copy`` is null without the option, and without a text to compare with, when
    ``copy_problem`` is present. Raises UserError from ``Writing``.
    """
    while not writing.finished:
        yield [{"event": "text", **piece.to_json()} for piece in writing.advance(seconds)]
    request, samples = writing.request, []
    for sample in writing.samples:
        found = copied(sample, text) if request.copy and text is not None else None
        samples.append({**sample.to_json(), "copy": found})
        if found:
            yield []  # the comparison takes a while
    done = {
        "event": "done",
        "text": request.prefix + samples[0]["continuation"],
        "unknown": writing.unknown,
        "seed": writing.seed,
        "samples": samples,
    }
    yield [{**done, "copy_problem": NO_TEXT} if request.copy and text is None else done]


def copied(sample: Sample, text: npt.NDArray[np.integer]) -> dict[str, Any]:
    """The longest stretch of a sample that occurs in ``text``.

    ``length``, ``start`` and ``text_start`` count tokens, ``span`` is (start, end) in characters of the continuation.
    """
    found = longest_copy(text, np.array(sample.ids, dtype=np.int64))
    first, last = found.start, found.start + found.length - 1
    span = [sample.spans[first][0], sample.spans[last][1]] if found.length else [0, 0]
    return {**asdict(found), "span": span, "text": sample.text[span[0] : span[1]]}


def training_part(ids: npt.NDArray[np.integer], validation_fraction: float) -> npt.NDArray[np.integer]:
    """The ids of a text without those that are held out of training."""
    return ids[: len(ids) - int(len(ids) * validation_fraction)]
