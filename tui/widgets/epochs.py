"""The last epochs as numbers, for screens with room for it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from core.events import EpochFinished
from tui.palette import QUIET
from tui.quantities import count_text, perplexity_text

HEADING = f"{'epoch':>7} {'ppl':>7} {'held out':>9} {'gradient':>9} {'lr':>8} {'tokens/s':>9} {'seconds':>8}"


class EpochTable(Widget):
    """One line an epoch, the newest first, as many as there is room for."""

    rows: reactive[tuple[EpochFinished, ...]] = reactive(())

    def show(self, epochs: Sequence[EpochFinished]) -> None:
        """Show the latest of ``epochs``, which are in order."""
        self.rows = tuple(epochs[-max(1, self.size.height - 1) :][::-1])

    def render(self) -> Content:
        """The heading and the lines."""
        lines = [Content.styled(HEADING, QUIET)]
        lines += [Content(epoch_words(epoch)) for epoch in self.rows[: max(0, self.size.height - 1)]]
        return Content("\n").join(lines)


def epoch_words(epoch: EpochFinished) -> str:
    """An epoch in columns as wide as those of the heading."""
    return (
        f"{epoch.epoch:>7} {perplexity_text(epoch.perplexity):>7} {perplexity_text(epoch.validation_perplexity):>9} "
        f"{epoch.gradient_norm:>9.3g} {epoch.learning_rate:>8.4g} {count_text(round(epoch.tokens_per_second)):>9} "
        f"{epoch.seconds:>8.3g}"
    )
