"""What a chart of runs can show: the figures of a journal and the axes they are drawn over. Names only, no numpy."""

from __future__ import annotations

from dataclasses import dataclass

from core.scales import LINEAR, LOG, Ends, Scale


@dataclass(frozen=True)
class Metric:
    """A figure that can be drawn: its label with the unit, the scale of its axis by default, and the axis's ends."""

    label: str
    scale: Scale = LINEAR
    ends: Ends | None = None
    """Values that the axis includes whatever the figure is; None for an axis that follows it."""


SHARE = (0.0, 1.0)

LOSSES = {
    "perplexity": Metric("training perplexity", LOG),
    "validation_perplexity": Metric("held-out perplexity", LOG),
    "loss": Metric("training loss (nats/token)"),
    "validation_loss": Metric("held-out loss (nats/token)"),
    "bits": Metric("training loss (bits/token)"),
    "validation_bits": Metric("held-out loss (bits/token)"),
}
OTHERS = {
    "gradient_norm": Metric("gradient norm", LOG),
    "learning_rate": Metric("learning rate"),
    "tokens_per_second": Metric("tokens/s"),
    "gradient_factor": Metric("gradient's factor through time"),
    "saturated": Metric("share of units saturated", ends=SHARE),
    "clipped": Metric("share of batches clipped", ends=SHARE),
    "clip_factor": Metric("factor of clipping"),
    "seconds": Metric("seconds per epoch"),
}
"""Those of clipping and of ``inspect_every`` only some runs have."""
METRICS = LOSSES | OTHERS
"""The figures of an epoch in the order of the screen: all that the journal has, and the losses in bits."""
SMOOTHINGS = (0.0, 0.6, 0.9, 0.98)
"""The weights of ``comparison.smoothed`` among which a key of a chart goes round."""
AXES = {
    "epoch": Metric("epoch"),
    "step": Metric("step (batches)"),
    "tokens": Metric("tokens seen"),
    "training": Metric("seconds of training"),
    "time": Metric("time of day"),
}
