"""The figures of an experiment: losses by epoch, published and measured, and errors by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from core.laboratory.outcome import Experiment, chosen_epochs, loss_text, number
from core.settings.laboratory_config import PUBLISHED, SequenceConfig
from tui.text.cells import clip_cells
from tui.themes import QUIET

NAME, CELL = 14, 8
LOSS_LINES, ERROR_LINES = 4, 3


class LabFigures(Widget):
    """Four lines of losses and three of errors; on a short screen those that belong to the view."""

    ahead: reactive[bool] = reactive(False, layout=True)
    """Whether the view shows predictions of more than one step ahead."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._config = SequenceConfig()
        self._losses: Mapping[str, Sequence[float]] = {}
        self._experiment: Experiment | None = None

    def begin(self, config: SequenceConfig) -> None:
        """Begin another experiment; the errors of the last one stay until it is finished."""
        self._config, self._losses = config, {}

    def progress(self, losses: Mapping[str, Sequence[float]]) -> None:
        self._losses = losses
        self.refresh()

    def show(self, experiment: Experiment) -> None:
        self._config, self._experiment = experiment.config, experiment
        self._losses = {one.name: one.losses for one in experiment.outcomes}
        self.refresh()

    def render(self) -> Content:
        losses, errors = self._loss_lines(), self._error_lines()
        if not self.screen.has_class("-short"):
            return Content("\n").join([*losses, *errors])
        return Content("\n").join(errors if self.ahead and errors else losses)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        if not self.screen.has_class("-short"):
            return LOSS_LINES + ERROR_LINES
        return ERROR_LINES if self.ahead else LOSS_LINES

    @property
    def _columns(self) -> int:
        return max(1, (self.size.width - NAME) // CELL)

    def _loss_lines(self) -> list[Content]:
        config = self._config
        epochs = chosen_epochs(config.num_epochs, min(self._columns, 12))
        lines = [_line("loss, epoch", [str(epoch) for epoch in epochs], QUIET)]
        if config.is_the_books:
            lines.append(_line("  the book", [f"{PUBLISHED[epoch - 1]:.4f}" for epoch in epochs], QUIET))
        for name in ("MLP", "RNN"):
            losses = self._losses.get(name, ())
            found = [loss_text(losses[epoch - 1]) if epoch <= len(losses) else "·" for epoch in epochs]
            lines.append(_line(f"  {name}", found))
        return lines

    def _error_lines(self) -> list[Content]:
        done = self._experiment
        if done is None:
            return []
        steps = done.config.steps_ahead[: self._columns - 1]
        lines = [_line("error (RMSE)", ["multi", *(f"k={k}" for k in steps)], QUIET)]
        for one in done.outcomes:
            ahead = [number(one.errors[k - 1]) for k in steps]
            lines.append(_line(f"  {one.name}", [number(one.multi_step.error(done.data)), *ahead]))
        return lines


def _line(name: str, cells: Sequence[str], style: str = "") -> Content:
    name = clip_cells(name, NAME).ljust(NAME)
    return Content.assemble((name, QUIET), ("".join(f"{cell:>{CELL}}" for cell in cells), style))
