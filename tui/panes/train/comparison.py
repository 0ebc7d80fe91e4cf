"""Published beside measured: the figures of a book, and this run's at the same epochs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.content import Content
from textual.widgets import Static

from core.settings.presets import PRESETS, Preset
from core.settings.run_config import RunConfig, settings
from core.units import perplexity_text
from tui.charts import GrowingCurve
from tui.themes import QUIET

# A run is comparable with a book's whatever these are, which change it in its rounding at most; another precision is
# named beside it, and on another text it is not comparable.
NO_MATTER = (
    "seed", "num_epochs", "minutes", "device", "threads", "workers", "precision", "cpu_path", "gpu_path",
    "sample_every", "sample_prefix", "sample_length", "inspect_every", "checkpoint_seconds",
)  # fmt: skip


class Comparison(Static):
    """Three short lines; hidden where nothing was published for these settings, or nothing is measured yet."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id)
        self.display = False

    def show(self, published: Mapping[int, float], measured: GrowingCurve, precision: str = "") -> None:
        """Show ``published`` by epoch beside what ``measured`` has there; ``precision``: see ``other_precision``."""
        reached = [epoch for epoch in published if measured.latest >= epoch]
        self.display = bool(reached)
        if not reached:
            return
        values = values_at(measured, reached)
        rows = (
            ("epoch", [str(epoch) for epoch in reached]),
            ("published", [perplexity_text(published[epoch]) for epoch in reached]),
            ("measured", [perplexity_text(values.get(epoch)) for epoch in reached]),
        )
        lines = [
            Content.assemble((f"{name:<10}", QUIET), "".join(f"{word:>8}" for word in words)) for name, words in rows
        ]
        text = Content("\n").join(lines) + Content.styled(f"  {precision}" if precision else "", QUIET)
        if self.content != text:
            self.update(text)


def values_at(curve: GrowingCurve, epochs: list[int]) -> dict[int, float]:
    """The values of a curve at those of ``epochs`` that it still knows exactly."""
    import numpy as np

    x, y = curve.points()
    found = np.searchsorted(x, epochs)
    return {epoch: float(y[at]) for epoch, at in zip(epochs, found, strict=True) if at < x.size and x[at] == epoch}


def preset_of(config: RunConfig | None, but_for: Iterable[str] = ()) -> Preset | None:
    """The preset whose figures are for these very settings, whatever ``but_for`` is set to."""
    if config is None:
        return None
    ignored = {*NO_MATTER, *but_for}
    names = [item.name for item in settings() if item.name not in ignored]
    return next(
        (
            item
            for item in PRESETS.values()
            if all(getattr(item.config, name) == getattr(config, name) for name in names)
        ),
        None,
    )


def other_precision(config: RunConfig | None, preset: Preset | None) -> str:
    """The precision of a run if it is not that of its preset, otherwise empty."""
    if config is None or preset is None or config.precision == preset.config.precision:
        return ""
    return config.precision
