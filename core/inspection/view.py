"""A view of a model by its name, as requests and commands ask for it, in slices that fit between two batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.corpus.vocabulary import Vocabulary
from core.devices import one_thread
from core.errors import UserError
from core.inspection.answers import InspectionAnswer, TextView
from core.inspection.gradients import gradients
from core.inspection.options import MOST_LAGS, InspectionOptions
from core.inspection.parity import ROUNDS, batch_of, parity
from core.inspection.passes import SEGMENT
from core.inspection.places import fitting_places, pieces_of, windows_of
from core.inspection.saliency import saliency
from core.inspection.step import step
from core.inspection.text import Text, own_text, text_of
from core.inspection.tokens import tokens
from core.inspection.units import units
from core.models.language_model import LanguageModel
from core.settings.cells import CELLS

# Seconds of work between two training batches.
SLICE_SECONDS = 0.02

Ids = npt.NDArray[Any]
"""Token ids of any whole type, (tokens,)."""
Work = tuple[Generator[None, None, InspectionAnswer], int]
"""A view in slices, and about how many pieces of work it has."""


class Inspection:
    """One view in progress.

    Attributes:
        answer: None until it is finished.
    """

    def __init__(
        self, model: LanguageModel, vocabulary: Vocabulary, options: InspectionOptions, own: Ids | None = None
    ) -> None:
        """``own`` are the ids of the run's whole text; None if it is missing. Raises UserError for a wrong option."""
        self.answer: InspectionAnswer | None = None
        self._slices, self._expected = _view(model, vocabulary, options, own)
        self._done = 0

    @property
    def progress(self) -> float:
        """The share of the work that is done, estimated, between 0 and 1."""
        return 1.0 if self.answer is not None else min(self._done / max(self._expected, 1), 0.99)

    def advance(self, seconds: float = SLICE_SECONDS) -> InspectionAnswer | None:
        """Work for some milliseconds; returns the answer when it is finished. Raises UserError.

        On one thread: products of one row with a matrix are too small for more, and on a busy machine threads that wait
        for one another take a hundred times as long; parity's slices took 2 s in place of 0.1.
        """
        until = time.perf_counter() + seconds
        with one_thread():
            while self.answer is None:
                try:
                    next(self._slices)
                except StopIteration as end:
                    self.answer = end.value
                self._done += 1
                if time.perf_counter() >= until:
                    break
        return self.answer


def inspect(
    model: LanguageModel, vocabulary: Vocabulary, options: InspectionOptions, own: Ids | None = None
) -> InspectionAnswer:
    """A whole view at once, for scripts and notebooks; see ``Inspection``."""
    inspection = Inspection(model, vocabulary, options, own)
    while (answer := inspection.advance()) is None:
        pass
    return answer


def _view(model: LanguageModel, vocabulary: Vocabulary, options: InspectionOptions, own: Ids | None) -> Work:
    """The view, and about how many pieces of work it has."""
    if options.unit is not None and options.unit >= model.num_hiddens:
        raise UserError(f"unit must be between 0 and {model.num_hiddens - 1:,}, got {options.unit:,}")
    if options.view in WITHOUT_TEXT:
        if options.text is not None or options.at is not None:
            text = looked_at(model, vocabulary, options, own)
            place = text.position(options.at, before_another=False)
            if options.token is None and options.at is not None:
                options = replace(options, token=text.tokens(place, place + 1)[0])
        return WITHOUT_TEXT[options.view](model, vocabulary, options, own)
    text = looked_at(model, vocabulary, options, own)
    text.position(options.at, before_another=False)
    view, pieces = OVER_TEXT[options.view]
    return view(model, text, options), pieces(model, text, options)


def looked_at(model: LanguageModel, vocabulary: Vocabulary, options: InspectionOptions, own: Ids | None) -> Text:
    """The text that is given, or a stretch of the run's own. Raises UserError where that is missing."""
    if options.text is not None:
        return text_of(options.text, vocabulary, model.config)
    if own is None:
        raise UserError("the text of this run is missing or has changed: give a text to look at")
    return own_text(own, vocabulary, model.config)


def _passes(model: LanguageModel, tokens: int) -> int:
    """The number of pieces of work in one pass of a model over ``tokens`` tokens."""
    return model.num_layers * model.directions * tokens // SEGMENT


def _read(text: Text, options: InspectionOptions) -> int:
    """Tokens up to the place that is asked for."""
    return 1 + (text.position(None, before_another=False) if options.at is None else options.at)


def _pieces_of_saliency(model: LanguageModel, text: Text, options: InspectionOptions) -> int:
    read = _read(text, options)
    return _passes(model, read + 3 * min(read, MOST_LAGS))


def _pieces_of_units(model: LanguageModel, text: Text, options: InspectionOptions) -> int:
    return _passes(model, len(text)) * (1 if options.quantity in (None, "H") else 2) + 40


def _cut(model: LanguageModel, text: Text, options: InspectionOptions) -> Generator[None, None, TextView]:
    yield
    return TextView(
        text=text.text,
        tokens=text.tokens(),
        ids=tuple(text.ids.tolist()),
        starts=text.starts,
        origin=text.origin,
        unknown=text.unknown(),
        at=text.position(None, before_another=len(text) > 1),
        cell=model.config.cell,
        quantities=CELLS[model.config.cell].quantities,
        layers=model.num_layers,
        directions=model.directions,
        hidden=model.num_hiddens,
        places=fitting_places(model, text),
    )


def _tokens(model: LanguageModel, vocabulary: Vocabulary, options: InspectionOptions, own: Ids | None) -> Work:
    return tokens(model, vocabulary, options), 80


def _parity(model: LanguageModel, vocabulary: Vocabulary, options: InspectionOptions, own: Ids | None) -> Work:
    """Over the given or the run's own text; the differences do not depend on which, so a missing one is replaced."""
    if options.text is not None:
        ids = text_of(options.text, vocabulary, model.config).ids
    else:
        ids = np.arange(len(vocabulary)) if own is None else own
    config, device = model.config, model.output_layer()[1].device
    inputs, targets = batch_of(ids[: config.batch_size * (config.num_steps + 1)].astype(np.int64), config)
    return parity(model, inputs.to(device), targets.to(device)), 3 + 4 * ROUNDS


View = Callable[[LanguageModel, Text, InspectionOptions], Generator[None, None, InspectionAnswer]]
Pieces = Callable[[LanguageModel, Text, InspectionOptions], int]
OVER_TEXT: dict[str, tuple[View, Pieces]] = {
    "text": (_cut, lambda model, text, options: 1),
    "step": (step, lambda model, text, options: _passes(model, _read(text, options))),
    "gradients": (gradients, lambda model, text, options: pieces_of(model, windows_of(model, text, options))),
    "units": (units, _pieces_of_units),
    "saliency": (saliency, _pieces_of_saliency),
}
"""The views of a text, at a place in it, and about how many pieces of work each has."""
WITHOUT_TEXT: dict[str, Callable[[LanguageModel, Vocabulary, InspectionOptions, Ids | None], Work]] = {
    "tokens": _tokens, "parity": _parity
}  # fmt: skip
"""Those of the model, for which the text may be missing."""
