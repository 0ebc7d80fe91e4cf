"""What a chart of runs can show: the figures of a journal and the axes they are drawn over. Names only, no numpy."""

from __future__ import annotations

from dataclasses import dataclass

from core.scales import LINEAR, LOG, Scale


@dataclass(frozen=True)
class Quantity:
    """A figure that can be drawn: its label with the unit, and the scale of its axis by default."""

    label: str
    scale: Scale = LINEAR


LOSSES = {
    "perplexity": Quantity("training perplexity", LOG),
    "validation_perplexity": Quantity("held-out perplexity", LOG),
    "loss": Quantity("training loss (nats/token)"),
    "validation_loss": Quantity("held-out loss (nats/token)"),
    "bits": Quantity("training loss (bits/token)"),
    "validation_bits": Quantity("held-out loss (bits/token)"),
}
OTHERS = {
    "gradient_norm": Quantity("gradient norm", LOG),
    "learning_rate": Quantity("learning rate"),
    "tokens_per_second": Quantity("tokens/s"),
    "gradient_factor": Quantity("gradient's factor through time"),
    "saturated": Quantity("share of units saturated"),
    "clipped": Quantity("share of batches clipped"),
    "clip_factor": Quantity("factor of clipping"),
    "seconds": Quantity("seconds per epoch"),
}
"""Those of clipping and of ``inspect_every`` only some runs have."""
METRICS = LOSSES | OTHERS
"""The figures of an epoch in the order of the screen: all that the journal has, and the losses in bits."""
SMOOTHINGS = (0.0, 0.6, 0.9, 0.98)
"""The weights of ``comparison.smoothed`` among which a key of a chart goes round."""
AXES = {
    "epoch": Quantity("epoch"),
    "step": Quantity("step (batches)"),
    "tokens": Quantity("tokens seen"),
    "training": Quantity("seconds of training"),
    "time": Quantity("time of day"),
}
