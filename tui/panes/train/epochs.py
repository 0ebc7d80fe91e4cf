"""The last epochs as numbers, for screens with room for it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from core.events import EpochFinished
from core.units import count_text, perplexity_text, rate_text
from tui.themes import QUIET

BEST = "◂"  # behind the lowest held-out perplexity
HEADING = f"{'epoch':>7} {'ppl':>7} {'held out':>9}  {'gradient':>8} {'lr':>8} {'tokens/s':>9} {'seconds':>8}"


class EpochTable(Widget):
    """One line an epoch, the newest first, as many as there is room for."""

    rows: reactive[tuple[EpochFinished, ...]] = reactive(())
    best: reactive[int | None] = reactive(None)

    def show(self, epochs: Sequence[EpochFinished], best: int | None = None) -> None:
        """Show the latest of ``epochs``, which are in order, and mark the ``best``."""
        self.best = best
        self.rows = tuple(epochs[-max(1, self.size.height - 1) :][::-1])

    def render(self) -> Content:
        lines = [Content.styled(HEADING, QUIET)]
        for epoch in self.rows[: max(0, self.size.height - 1)]:
            is_best = epoch.epoch == self.best
            lines.append(Content.styled(epoch_words(epoch, is_best), "bold" if is_best else ""))
        return Content("\n").join(lines)


def epoch_words(epoch: EpochFinished, is_best: bool = False) -> str:
    """An epoch in columns as wide as those of the heading."""
    mark = BEST if is_best else " "
    return (
        f"{epoch.epoch:>7,} {perplexity_text(epoch.perplexity):>7} {perplexity_text(epoch.validation_perplexity):>9}"
        f"{mark} {epoch.gradient_norm:>8.3g} {rate_text(epoch.learning_rate):>8} "
        f"{count_text(round(epoch.tokens_per_second)):>9} {epoch.seconds:>8.3g}"
    )
