"""The figures of an experiment: losses after each epoch, published beside measured, and errors ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content
from textual.widget import Widget

from core.insight.sequence_config import PUBLISHED, SequenceConfig
from core.insight.sequence_result import Experiment, chosen_epochs, loss_text, number
from tui.palette import QUIET
from tui.text import clip_cells

NAME, CELL = 14, 8
HEIGHT = 7


class LabFigures(Widget):
    """Seven lines: four of losses, three of errors. While the training goes on, what is known of it so far."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._config = SequenceConfig()
        self._losses: Mapping[str, Sequence[float]] = {}
        self._experiment: Experiment | None = None

    def begin(self, config: SequenceConfig) -> None:
        """Another experiment has begun; the errors of the last one stay until its own are there."""
        self._config, self._losses = config, {}

    def progress(self, losses: Mapping[str, Sequence[float]]) -> None:
        """The losses so far, by model."""
        self._losses = losses
        self.refresh()

    def show(self, experiment: Experiment) -> None:
        """A finished experiment."""
        self._config, self._experiment = experiment.config, experiment
        self._losses = {one.name: one.losses for one in experiment.outcomes}
        self.refresh()

    def render(self) -> Content:
        """The tables, as many epochs as there is room for."""
        columns = max(1, (self.size.width - NAME) // CELL)
        config, done = self._config, self._experiment
        epochs = chosen_epochs(config.num_epochs, min(columns, 12))
        lines = [_line("loss, epoch", [str(epoch) for epoch in epochs], QUIET)]
        if config.is_the_books:
            lines.append(_line("  the book", [f"{PUBLISHED[epoch - 1]:.4f}" for epoch in epochs], QUIET))
        for name in ("MLP", "RNN"):
            losses = self._losses.get(name, ())
            found = [loss_text(losses[epoch - 1]) if epoch <= len(losses) else "·" for epoch in epochs]
            lines.append(_line(f"  {name}", found))
        if done is not None:
            steps = done.config.steps_ahead[: max(0, columns - 1)]
            lines.append(_line("error (RMSE)", ["multi", *(f"k={k}" for k in steps)], QUIET))
            for one in done.outcomes:
                ahead = [number(one.errors[k - 1]) for k in steps]
                lines.append(_line(f"  {one.title}", [number(one.multi_step.error(done.data)), *ahead]))
        return Content("\n").join(lines)


def _line(name: str, cells: Sequence[str], style: str = "") -> Content:
    name = clip_cells(name, NAME).ljust(NAME)
    return Content.assemble((name, QUIET), ("".join(f"{cell:>{CELL}}" for cell in cells), style))
