"""Gradient: how far back a loss reaches, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.inspection.answers import GradientsView, InspectionAnswer
from core.scales import LOG
from core.settings.setting import shown as value_text
from core.units import counted
from tui.charts import Series, XAxis, YAxis, line_chart
from tui.charts.drawing import Drawing, Row
from tui.forms.lines import next_choice
from tui.panes.inspect.rows import beside, drawn, number, paragraph
from tui.panes.inspect.view import LayerView
from tui.text.cells import clip_cells, pad_cells
from tui.text.safe import shown_text, token_name
from tui.themes import QUIET

WIDE = 92  # cells from which on the figures are beside the chart
FIGURES_WIDTH = 44
CHECKPOINTS = {"first": "initial weights", "best": "best checkpoint"}
COMPARING = "c compares with the initial weights, the best checkpoint, another run or nothing."
MEAN, ONE = "m shows the token at the cursor alone.", "m shows the mean over many places of the text."
NAME_CELLS = 10  # of the weights, where the figures are below the chart
LIVE_PLACES = 8  # of the mean while the model trains: it is looked at more often
LEAST_LAGS = 12
SMALLEST = 1e-9  # of the first norm: what is drawn of a gradient that vanishes


class Gradient(LayerView[GradientsView]):
    """The norms over the lag, as the mean over many places or from the one at the cursor; beside them those of other
    weights, which ``compared`` names."""

    name = "gradients"
    title = "Gradient"
    help = "the gradient on its way back through time, now and with other weights"

    def __init__(self) -> None:
        super().__init__()
        self.is_mean = True
        self.compared = "first"
        self.others: tuple[tuple[str, str], ...] = ()  # other runs: folder and name
        self.other: GradientsView | None = None
        self.other_failure = ""

    # ------------------------------------------------------------------ asking

    @property
    def places(self) -> int:
        """Over how many places the mean is; 0 for the one at the cursor."""
        places = self.place.text.places if self.is_mean and self.place.text is not None else 0
        return min(LIVE_PLACES, places) if self.place.is_training else places

    @property
    def follows_cursor(self) -> bool:
        """Only without the mean."""
        return not self.places

    def options(self) -> dict[str, Any]:
        return {"places": self.places or None, **super().options()}

    def other_options(self) -> dict[str, Any] | None:
        if not self.compared:
            return None
        return {"checkpoint": self.compared} if self.compared in CHECKPOINTS else {"run": self.compared}

    def take_other(self, answer: InspectionAnswer | None, failure: str = "") -> None:
        """Keep the answer for the other weights, or why there is none."""
        self.other = answer if isinstance(answer, GradientsView) else None
        self.other_failure = failure

    def forget(self) -> None:
        super().forget()
        self.compared, self.is_mean = "first", True
        self.take_other(None)

    def do_mean(self) -> bool:
        self.is_mean = not self.is_mean
        self.take_other(None)
        return True

    def do_compare(self) -> bool:
        known = ["", *CHECKPOINTS, *(path for path, _ in self.others)]
        self.compared = next_choice(known, self.compared)
        self.take_other(None)
        return True

    def can(self, name: str) -> bool:
        """The mean only of a text that is long enough."""
        has_mean = self.place.text is not None and self.place.text.places > 0
        return has_mean if name == "mean" else super().can(name)

    # ------------------------------------------------------------------ what is said

    def sentence(self, answer: GradientsView) -> str:
        """How fast the gradient shrinks, and what training leaves of it."""
        start = f"Over {counted(len(answer.places), 'place')} of the text" if answer.places else "From this token"
        cut = f"Training cuts it after {answer.num_steps:,} steps."
        if answer.vanishes:
            return f"{start}, the gradient vanishes at once: nothing is left after one step. {cut}"
        if answer.factor is None:
            return "One step is too few to see how the gradient shrinks: move the cursor to the right."
        if answer.half_life is None:
            return f"{start}, the gradient does not shrink: a step multiplies it by {answer.factor:.3f}. {cut}"
        if answer.half_life < 1:
            speed = f"each step leaves {100 * 0.5 ** (1 / answer.half_life):.0f} % of the gradient"
        else:
            speed = f"the gradient halves every {_steps(answer)} steps"
        return f"{start}, {speed}. {_from_here(answer)} {cut}"

    def edge(self, answer: GradientsView) -> str:
        return self.place.layer_words(answer.layer, answer.reverse)

    @property
    def compared_name(self) -> str:
        runs = {path: shown_text(name) for path, name in self.others}
        return CHECKPOINTS.get(self.compared, runs.get(self.compared, "another run"))

    @property
    def _short_name(self) -> str:
        return self.compared if self.compared in CHECKPOINTS else self.compared_name

    # ------------------------------------------------------------------ drawing

    def paint(self, answer: GradientsView, width: int, height: int) -> Drawing:
        """The chart, and the figures beside or below it."""
        if width >= WIDE:
            side = FIGURES_WIDTH
            left = width - side - 2
            return beside(self._chart(answer, left, height), drawn(self._figures(answer, side), side, height))
        lines = self._lines(answer, width)
        chart = self._chart(answer, width, height - len(lines))
        return Drawing([*chart.rows, *drawn(lines, width, len(lines)).rows], width)

    def _chart(self, answer: GradientsView, width: int, height: int) -> Drawing:
        lags = self._shown(answer)
        series = [_series("|dL/dH| now", answer.norms, lags, "$accent", "solid")]
        if answer.cell_norms is not None:
            series.append(_series("|dL/dC| now", answer.cell_norms, lags, "$text-success", "dotted"))
        if self.other is not None:
            series.append(_series(clip_cells(self.compared_name, 20), self.other.norms, lags, "$secondary", "dashed"))
        ends = [
            norm
            for one in ([answer] if self.other is None else [answer, self.other])
            for norm in _kept(one.norms, lags)
        ]
        if answer.num_steps <= lags and ends:
            ends = [min(ends), max(ends)]
            cut = [float(answer.num_steps)] * 2
            series.append(Series(f"cut at {answer.num_steps:,}", cut, ends, "$text-warning", "dotted"))
        x = XAxis("steps back", range=(0.0, float(max(LEAST_LAGS, lags))), ticks="whole")
        y = YAxis(LOG.named("gradient norm"), LOG)
        return line_chart(series, width, height, x, y, placeholder="the gradient is zero")

    @staticmethod
    def _shown(answer: GradientsView) -> int:
        """The last lag that is drawn: somewhat beyond the cut and beyond where next to nothing is left."""
        far = max(answer.num_steps * 1.25, 2.0 * (answer.negligible_after or 0), LEAST_LAGS)
        return min(answer.lags[-1] if answer.lags else 0, round(far)) if answer.half_life else len(answer.lags) - 1

    def _figures(self, answer: GradientsView, width: int) -> list[Row]:
        """The figures of these weights and of the others, in columns."""
        other = self.other
        columns = [answer] if other is None else [answer, other]
        label = 22
        cells = max(9, (width - label) // 2)
        names = ["now", clip_cells(self._short_name, cells - 1)]
        radius, loss = f"spectral radius {answer.matrix}", f"{_loss_name(answer)}, nats"
        labels = ("factor per step", "half-life, steps", "1 % left, steps", radius, loss)
        head = pad_cells("", label) + "".join(pad_cells(name, cells, "right") for name in names[: len(columns)])
        rows: list[Row] = [((head, "bold"),)]
        for name, values in zip(labels, zip(*map(_figures, columns), strict=True), strict=True):
            shown = "".join(pad_cells(value, cells, "right") for value in values)
            rows.append(((pad_cells(name, label), QUIET), (shown, "")))
        rows += [(), *paragraph(self._clipping_words(answer), width)]
        if self.other_failure:
            rows += [(), *paragraph(f"{self.compared_name}: {self.other_failure}", width, "$text-warning")]
        meaning = (MEAN if answer.places else ONE) if self.can("mean") else ""
        return [*rows, (), *paragraph(f"{COMPARING} {meaning}".strip(), width)]

    def _lines(self, answer: GradientsView, width: int) -> list[Row]:
        named = [("now", answer), *([(self._short_name, self.other)] if self.other is not None else [])]
        head = "".join(
            word.rjust(12) for word in ("factor", "half-life", "1 % left", f"radius {answer.matrix}", "loss")
        )
        rows: list[Row] = [((" " * NAME_CELLS, ""), (head, QUIET))]
        for name, one in named:
            shown = "".join(figure.rjust(12) for figure in _figures(one))
            rows.append(((pad_cells(name, NAME_CELLS), "bold"), (shown, "")))
        if self.other_failure:
            rows += paragraph(f"{self.compared_name}: {self.other_failure}", width, "$text-warning")
        return [*rows, *paragraph(self._clipping_words(answer), width)]

    @staticmethod
    def _clipping_words(answer: GradientsView) -> str:
        clipping = answer.clipping
        if clipping is None:
            return f"Clipping: no {'limit is set for the norm' if answer.clip is None else 'epoch has been measured'}."
        limit = value_text(clipping.limit)
        if clipping.factor is None or not clipping.share:
            return f"Clipping: no batch of the last epoch was over {limit}."
        return (
            f"Clipping: {100 * clipping.share:.0f} % of the last epoch's batches were over {limit}: "
            f"scaled by {clipping.factor:.2f} on average."
        )


def _series(name: str, norms: Sequence[float], last: int, color: str, marker: Any) -> Series:
    """The norms up to a lag, without those that have vanished beside the largest."""
    kept = _kept(norms, last)
    return Series(name, [float(lag) for lag in range(len(kept))], kept, color, marker)


def _kept(norms: Sequence[float], last: int) -> list[float]:
    """The norms up to the lag ``last``, up to the first that has vanished beside the largest."""
    kept = list(norms[: last + 1])
    floor = SMALLEST * max((norm for norm in kept if norm == norm), default=0.0)
    end = next((lag for lag, norm in enumerate(kept) if not norm > floor), len(kept))
    return kept[:end]


def _from_here(answer: GradientsView) -> str:
    if answer.negligible_after is None:
        return f"1 % or more is left after all {counted(answer.lags[-1], 'step')} measured."
    return f"Less than 1 % is left beyond {counted(answer.negligible_after, 'step')}."


def _loss_name(answer: GradientsView) -> str:
    return f"loss of {token_name(answer.target)}" if answer.target else "mean loss"


def _figures(answer: GradientsView) -> tuple[str, ...]:
    radius = number(answer.spectral_radius, 0)
    return number(answer.factor, 0), _steps(answer), _count(answer), radius, f"{answer.loss:.2f}"


def _steps(answer: GradientsView) -> str:
    steps = answer.half_life
    if answer.vanishes:
        return "at once"
    if answer.factor is None:
        return "–"
    if steps is None:
        return "never"
    return f"{steps:.1f}" if steps < 100 else f"{steps:,.0f}"


def _count(answer: GradientsView) -> str:
    """Steps after which less than 1 % is left."""
    if answer.negligible_after is not None:
        return f"{answer.negligible_after:,}"
    if answer.factor is None:
        return "–"
    return "never" if answer.half_life is None else f"> {answer.lags[-1]:,}"
