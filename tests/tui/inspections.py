"""Answers of the views of Inspect, as an engine gives them: made by hand, their numbers follow from the question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from core.inspection.answers import (
    Clipping,
    Feature,
    GradientsView,
    InspectionAnswer,
    ParityView,
    SaliencyView,
    Stage,
    StepView,
    TextView,
    TokensView,
    Unit,
    UnitsView,
)

TEXT = "分开了很久\n我还在原地 abc\n"
HIDDEN = 12
VOCABULARY = 20


def inspection(fields: Mapping[str, Any], own: str = TEXT) -> InspectionAnswer:
    """The answer to a request; ``own`` is the text of the run."""
    text, view = fields.get("text") or own, fields["view"]
    at = fields["at"] if fields.get("at") is not None else 2
    is_other = bool(fields.get("checkpoint") or fields.get("run"))
    return {
        "text": lambda: text_view(text, "given" if fields.get("text") else "held out"),
        "step": lambda: step_view(text, at, fields.get("layer") or 1),
        "gradients": lambda: gradients_view(text, at, 0.5 if is_other else 0.8, fields.get("places")),
        "units": lambda: units_view(text, fields),
        "saliency": lambda: saliency_view(text, at, fields.get("token")),
        "tokens": lambda: tokens_view(text, fields.get("token") or "了", fields.get("vectors") or "input"),
        "parity": parity_view,
    }[view]()


def stage(name: str, values: list[float]) -> Stage:
    """A stage with the figures of its values."""
    norm = math.sqrt(sum(value * value for value in values))
    return Stage(name, (len(values),), norm, sum(values) / len(values), tuple(values))


def wave(shift: float, size: int = HIDDEN) -> list[float]:
    """Values between -1 and 1."""
    return [math.sin(shift + unit) for unit in range(size)]


def text_view(text: str, origin: str) -> TextView:
    """A text of characters, for a simple recurrent network of two layers."""
    ids = tuple(range(len(text)))
    places = 24 if len(text) > 200 else 0
    return TextView(text, tuple(text), ids, (0,), origin, (), 2, "rnn", ("H",), 2, 1, HIDDEN, places)


def step_view(text: str, at: int, layer: int) -> StepView:
    """A step whose numbers follow from the position."""
    following = text[at + 1] if at + 1 < len(text) else None
    likely = tuple((token, 0.5 / 2**place) for place, token in enumerate(dict.fromkeys(text)))[:10]
    stages = [stage(name, wave(at + place)) for place, name in enumerate(("X_t W_xh", "H_{t-1} W_hh", "H_t"))]
    both = stage("X_t W_xh + H_{t-1} W_hh", wave(at)), stage("[X_t H_{t-1}] [W_xh; W_hh]", wave(at))
    return StepView(
        text, at, text[at], at, (*stages, stage("softmax(Y_t)", wave(0.0, VOCABULARY))), 1.2e-7, likely, 3.0,
        following, 0.125, layer, False, (stage("H_{t-1}", wave(at - 1)),),
        Stage("X_t", (VOCABULARY,), 1.0, 1 / VOCABULARY, ()), True, *both,
    )  # fmt: skip


def gradients_view(text: str, at: int, factor: float = 0.8, places: int | None = None) -> GradientsView:
    """A gradient that shrinks by the same factor at each step; the mean over ``places`` is the same."""
    lags = tuple(range(40))
    half = math.log(0.5) / math.log(factor)
    return GradientsView(
        text, at, lags, tuple(0.1 * factor**lag for lag in lags), None, factor, 0.97, "W_hh", half,
        math.ceil(math.log(0.01) / math.log(factor)), "" if places else text[(at + 1) % len(text)], 1.5, 32, 1, False,
        places=tuple(range(10, 10 + (places or 0))),
        clipping=Clipping(1.0, 0.25, 0.5),
    )  # fmt: skip


def units_view(text: str, fields: Mapping[str, Any]) -> UnitsView:
    """Four units, the first ones strongest; the activation of a unit grows with the position."""
    strengths = [
        (3, "position in the line", 0.9),
        (0, "a blank", -0.6),
        (7, "the token '了'", 0.2),
        (5, "a blank", 0.0),
    ]
    units = tuple(
        Unit(unit, fields.get("feature") or feature, correlation, 0.1, 0.25, -1.0, 1.0, correlation == 0.0)
        for unit, feature, correlation in strengths
    )
    features = (Feature("position in the line", 4.0, 3, 0.9), Feature("a blank", 0.1, 0, -0.6))
    unit = fields.get("unit")
    activations = None if unit is None else tuple(place / len(text) - 0.5 for place in range(len(text)))
    correlations = None if unit is None else (("position in the line", 0.9), ("a blank", -0.1))
    return UnitsView(
        text, len(text), 1, False, fields.get("quantity") or "H", units, 0.25, 0.2, 0.05, 1, features,
        fields.get("feature"), unit, activations, correlations,
    )  # fmt: skip


def saliency_view(text: str, at: int, target: str | None) -> SaliencyView:
    """The token two steps before speaks for the target, the one before against it."""
    shares = [0.0] * at
    if at >= 2:
        shares[at - 2], shares[at - 1] = 0.75, -0.25
    likely = tuple(dict.fromkeys(text))[:10]
    return SaliencyView(
        text, at, 0, tuple(text[:at]), tuple(shares), tuple(map(abs, shares)), target or text[at], 1, text[at], 2.0,
        0.125, tuple((token, 0.5 / 2**place) for place, token in enumerate(likely)),
    )  # fmt: skip


def tokens_view(text: str, token: str, vectors: str) -> TokensView:
    """The characters of the text in a row, from the lower left to the upper right corner."""
    known = tuple(dict.fromkeys(text))
    points = tuple((one, float(place), float(place)) for place, one in enumerate(known))
    near = tuple((one, 0.9 - 0.1 * place) for place, one in enumerate(known[:5]))
    classes = tuple("CJK" if one > "z" else "letter" for one in known)
    return TokensView(token, 1, near, near[::-1], vectors, (0.4, 0.2), points, classes, len(known))


def parity_view() -> ParityView:
    """Differences as rounding makes them."""
    return ParityView(2e-7, 4e-7, 1e-6, 0.01, 0.02, 32, 35, "cpu", "fp32", (("weight_hh_l0", 1e-6), ("bias", 0.0)))
