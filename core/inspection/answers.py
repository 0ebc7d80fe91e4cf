"""The answers of the views: what the library returns, the engine sends, the command prints and the pane shows.

Each is a frozen dataclass and, by ``core.record``, a JSON object with the keys of its fields; a number that is not
finite becomes null there. Positions, ids and units count from 0, layers from 1. No torch in this module: the screen
imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.record import read_record, record_as_json


@dataclass(frozen=True)
class InspectionAnswer:
    """The base of all views; ``view`` names it."""

    kind: ClassVar[str] = ""

    @property
    def view(self) -> str:
        return self.kind

    def to_json(self) -> dict[str, Any]:
        return {"view": self.kind, **record_as_json(self)}


@dataclass(frozen=True)
class TextView(InspectionAnswer):
    """The text as the model reads it, token by token, for a cursor to move over.

    Attributes:
        text: as it was given or found.
        tokens, ids: each token and its id. If each line is a poem of its own, its start and end tokens are among them.
        starts: positions at which the state begins with zeros: 0, and each further start token.
        origin: ``given``, ``held out`` or ``training``.
        unknown: the distinct tokens that the vocabulary lacks; the model reads ``<unk>`` for them.
        at: the position that the other views take if none is given.
        quantities: what ``units`` can show of this cell.
        layers, directions, hidden: of the model.
        places: over how many ``gradients`` can take the mean in a few seconds; 0 if the text is too short for it.
    """

    kind: ClassVar[str] = "text"
    text: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    starts: tuple[int, ...]
    origin: str
    unknown: tuple[str, ...]
    at: int
    cell: str
    quantities: tuple[str, ...]
    layers: int
    directions: int
    hidden: int
    places: int = 0


@dataclass(frozen=True)
class Stage:
    """A vector of the computation: a row of the step view.

    Attributes:
        name: in the symbols of the textbook: ``X_t W_xh``, ``H_t``.
        shape: (hidden,), or (vocabulary,) for the scores.
        norm: Euclidean; mean: of the values. NaN where the values are not finite.
        values: all of them, as the model has them.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    mean: float
    values: tuple[float, ...]


@dataclass(frozen=True)
class StepView(InspectionAnswer):
    """One step of the recurrence, the one that reads the token at position ``at``.

    Attributes:
        token, id: the token that X_t encodes, and its id.
        stages: the intermediate results in the order in which the cell's equations are computed; each is named by its
            expression or, where an equation gives it a name, by that name (``R_t``, ``H_t``). Then the output layer's:
            ``H_t W_hq``, ``Y_t``; the last is ``softmax(Y_t)``.
        identity_difference: the largest difference between X W_xh + H W_hh and [X H] [W_xh; W_hh], over all gates.
        next: the ten most likely next tokens with their probabilities, the most likely first.
        surprise_bits: -log2 of the probability of the token that follows; null if none does.
        following: that token; null if none follows.
        probability: its probability.
        layer, reverse: of the layer that ``stages`` belong to; the output layer reads the top one.
        previous: ``H_{t-1}`` and, for the LSTM, ``C_{t-1}``.
        inputs: X_t; its ``values`` are empty if it is one-hot: then row ``id`` of W_xh is ``X_t W_xh``.
        is_one_hot: whether X_t is one-hot, of shape (vocabulary,).
        separate, concatenated: both ways of the identity, for the gate of the first equation.
    """

    kind: ClassVar[str] = "step"
    text: str
    at: int
    token: str
    id: int
    stages: tuple[Stage, ...]
    identity_difference: float
    next: tuple[tuple[str, float], ...]
    surprise_bits: float | None
    following: str | None
    probability: float | None
    layer: int
    reverse: bool
    previous: tuple[Stage, ...]
    inputs: Stage
    is_one_hot: bool
    separate: Stage
    concatenated: Stage


# ---------------------------------------------------------------------------------------------------------------------
# Gradients through time


@dataclass(frozen=True)
class Clipping:
    """How the gradients of the last epoch were clipped.

    Attributes:
        limit: the largest norm allowed.
        share: of the batches whose gradient norm was over it.
        factor: the mean factor that those batches' gradients were multiplied by; null if there were none.
    """

    limit: float
    share: float
    factor: float | None


@dataclass(frozen=True)
class GradientsView(InspectionAnswer):
    """How far back a loss reaches (Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013).

    Attributes:
        lags: 0, 1, 2, ...: steps before position ``at``, back to the beginning of the text or ``MOST_LAGS``.
        places: the positions over which norms and loss are means; empty for the one at ``at``, otherwise ``at`` is the
            last of them.
        norms: the Euclidean norm of dLoss/dH, H the hidden state so many steps before; Loss in nats.
        cell_norms: the same for the cell state C of an LSTM, counting its way through H of the same step; else null.
        factor: the geometric mean ratio of a norm to the one before it; null if there is none.
        spectral_radius: the largest absolute eigenvalue of ``matrix``: W_hh, of the LSTM W_hc.
        half_life: steps in which the norm halves, log(1/2) / log(factor), on its way to 1 %: what is left after that
            often shrinks more slowly and counts only for ``factor``. Null if it does not shrink.
        negligible_after: the first lag whose norm is below 1 % of lag 0's and stays so; null if that is beyond the lags
            measured.
        target: the token whose loss it is; empty for the mean over places.
        loss: in nats.
        num_steps: where truncated back-propagation cuts, in training.
        layer, reverse: of H; with ``reverse`` a lag is a step to the right.
        epoch: finished epochs of the weights; checkpoint: ``""`` for the weights as they are now.
        run: name of the run.
        clipping: of the last epoch; null if it is unknown or nothing is clipped by norm.
        clip: the largest norm allowed in training; null if nothing is clipped by norm.
    """

    kind: ClassVar[str] = "gradients"
    text: str
    at: int
    lags: tuple[int, ...]
    norms: tuple[float, ...]
    cell_norms: tuple[float, ...] | None
    factor: float | None
    spectral_radius: float | None
    matrix: str
    half_life: float | None
    negligible_after: int | None
    target: str
    loss: float
    num_steps: int
    layer: int
    reverse: bool
    epoch: int | None = None
    checkpoint: str = ""
    run: str = ""
    places: tuple[int, ...] = ()
    clipping: Clipping | None = None
    clip: float | None = None

    @property
    def vanishes(self) -> bool:
        """Whether nothing at all is left after one step."""
        return len(self.norms) > 1 and self.norms[0] > 0 and self.norms[1] == 0


# ---------------------------------------------------------------------------------------------------------------------
# Units


@dataclass(frozen=True)
class Unit:
    """A hidden unit in the list.

    Attributes:
        feature: what it follows best, or the feature that was searched for; empty if the text has none.
        correlation: Pearson's, of its activation with that feature; between -1 and 1.
        mean: of its activation over the text.
        saturated: share of the tokens at which it is saturated: beyond 0.9 in absolute value or, a gate, beyond 0.9 or
            below 0.1.
        minimum, maximum: of its activation.
        is_dead: whether its activation hardly changes over the text.
    """

    unit: int
    feature: str
    correlation: float
    mean: float
    saturated: float
    minimum: float
    maximum: float
    is_dead: bool


@dataclass(frozen=True)
class Feature:
    """Something that a unit may follow.

    Attributes:
        name: ``position in the line``, ``inside quotes``, ``the token 'e'``.
        mean: of its values over the text: for a yes-or-no feature, the share of tokens that have it.
        unit, correlation: the unit that follows it best.
    """

    name: str
    mean: float
    unit: int
    correlation: float


@dataclass(frozen=True)
class UnitsView(InspectionAnswer):
    """What each hidden unit follows (Karpathy, Johnson & Fei-Fei 2015), over a text.

    Attributes:
        text: the text; num_tokens: how many it has.
        layer, reverse, quantity: what was looked at.
        units: strongest first.
        saturated: mean share over all units; high, low: shares of values beyond 0.9 and, for a gate, below 0.1 (else
            below -0.9).
        dead: how many units are dead; null of fewer than 50 tokens, and then no unit is marked.
        features: those of this text, the one that is followed best first.
        feature: the feature searched for, or null.
        unit: the chosen unit, or null; then ``activations`` has its value at every token, and ``correlations`` its
            correlation with every feature, strongest first.
        tokens: the text's, with ``activations``.
        epoch: finished epochs of the weights; checkpoint: ``""`` for the weights as they are now.
    """

    kind: ClassVar[str] = "units"
    text: str
    num_tokens: int
    layer: int
    reverse: bool
    quantity: str
    units: tuple[Unit, ...]
    saturated: float
    high: float
    low: float
    dead: int | None
    features: tuple[Feature, ...]
    feature: str | None = None
    unit: int | None = None
    activations: tuple[float, ...] | None = None
    correlations: tuple[tuple[str, float], ...] | None = None
    tokens: tuple[str, ...] | None = None
    epoch: int | None = None
    checkpoint: str = ""


# ---------------------------------------------------------------------------------------------------------------------
# Saliency


@dataclass(frozen=True)
class SaliencyView(InspectionAnswer):
    """Which tokens decided the one at position ``at``: gradient times input (Simonyan, Vedaldi & Zisserman 2014; Li,
    Chen, Hovy & Jurafsky 2016).

    Attributes:
        begin: position of the first of ``tokens``; they end before position ``at``. A bidirectional model reads what
            follows too: then they are all tokens of the text.
        tokens: what was read.
        shares: signed; the absolute values add up to 1. A positive one spoke for the target. All are 0 if the target's
            score depends on no token.
        absolute: the absolute values.
        target, target_id: the token that is explained: the one at ``at`` or another one.
        actual: the token at ``at``.
        score: the target's score Y before softmax; probability: its probability.
        next: the ten most likely tokens at this place with their probabilities.
    """

    kind: ClassVar[str] = "saliency"
    text: str
    at: int
    begin: int
    tokens: tuple[str, ...]
    shares: tuple[float, ...]
    absolute: tuple[float, ...]
    target: str
    target_id: int
    actual: str
    score: float
    probability: float
    next: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class TokensView(InspectionAnswer):
    """Tokens as vectors: neighbours, and all of them on a plane.

    Attributes:
        token, id: whose neighbours they are.
        neighbours: the ten tokens with the most similar input vectors, and the cosine of the angle between them.
        output_neighbours: the same by output vectors.
        vectors: ``input`` or ``output``: those that are on the plane. The input vector of a token is its row of the
            embedding or of W_x (all gates), the output vector its column of W_hq.
        axes: shares of the variance on the first and the second principal component.
        points: (token, x, y), most frequent tokens first.
        classes: the class of each point, see ``CLASSES``.
        num_tokens: size of the vocabulary; there may be fewer points.
    """

    kind: ClassVar[str] = "tokens"
    token: str
    id: int
    neighbours: tuple[tuple[str, float], ...]
    output_neighbours: tuple[tuple[str, float], ...]
    vectors: str
    axes: tuple[float, float]
    points: tuple[tuple[str, float, float], ...]
    classes: tuple[str, ...]
    num_tokens: int


CLASSES = ("space", "letter", "capital", "digit", "punctuation", "CJK", "word", "reserved", "other")
"""Classes of tokens; ``word`` is a token of several characters."""


# ---------------------------------------------------------------------------------------------------------------------
# Parity


@dataclass(frozen=True)
class ParityView(InspectionAnswer):
    """The same weights in the model from scratch and in torch.nn, over one batch.

    Attributes:
        output_difference, state_difference, gradient_difference: the largest difference between the logits, the last
            states, and the gradients of all parameters, divided by the largest absolute value of torch.nn's; a gradient
            by the largest of its own parameter.
        scratch_seconds, torch_seconds: forward and backward pass, median of five; on a processor, of one thread.
        scratch_range, torch_range: the shortest and the longest.
        batch_size, num_steps, device, precision: what was computed, and where.
        gradients: the difference by parameter.
    """

    kind: ClassVar[str] = "parity"
    output_difference: float
    state_difference: float
    gradient_difference: float
    scratch_seconds: float
    torch_seconds: float
    batch_size: int
    num_steps: int
    device: str
    precision: str
    gradients: tuple[tuple[str, float], ...]
    scratch_range: tuple[float, float] | None = None
    torch_range: tuple[float, float] | None = None


_BY_VIEW: dict[str, type[InspectionAnswer]] = {
    kind.kind: kind for kind in (TextView, StepView, GradientsView, UnitsView, SaliencyView, TokensView, ParityView)
}


def read_inspection(value: Mapping[str, Any]) -> InspectionAnswer:
    """The answer in a JSON object. Raises one of ``core.record.MALFORMED``."""
    return read_record(_BY_VIEW[str(value["view"])], value)
