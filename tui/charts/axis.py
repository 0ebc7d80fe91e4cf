"""Axes: what a chart is asked to show along x and y, and the ends, ticks and labels that follow from its data.

An axis is in the units of its scale: see ``core.scales``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from core.scales import LARGEST, LINEAR, Ends, Scale
from tui.charts.ticks import count_labels, tick_labels, time_labels, time_ticks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Range: TypeAlias = tuple[float | None, float | None]
TickKind: TypeAlias = Literal["numbers", "whole", "time"]


@dataclass(frozen=True)
class ReferenceLine:
    """A labelled horizontal line at ``value``. ``stretch``: the y axis is extended to include it."""

    value: float
    label: str
    stretch: bool = True


@dataclass(frozen=True)
class FittedAxis:
    """The ends of an axis and its ticks, in its units, with the labels of the ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.high > self.low:  # the ends are so close, or so large, that their difference rounds to zero
            object.__setattr__(self, "high", self.low + max(1e-9, abs(self.low) * 1e-9))

    def places(self, values: ArrayLike, cells: int) -> NDArray[np.float64]:
        """Where values are, in cells from the middle of the first of ``cells``; those outside are at the nearer end."""
        import numpy as np

        span = self.high - self.low
        return np.clip((np.asarray(values, np.float64) - self.low) / span, 0.0, 1.0) * (cells - 1)


@dataclass(frozen=True)
class XSpan:
    """Where x is on a drawing: ``cells`` columns from ``left`` on, from ``low`` to ``high``."""

    left: int
    cells: int
    low: float
    high: float

    def value_at(self, column: int) -> float:
        """The x in the middle of a column; of one beside the canvas, that at the nearer edge."""
        place = min(max(0, column - self.left), self.cells - 1)
        return self.low + (self.high - self.low) * place / max(1, self.cells - 1)


@dataclass(frozen=True)
class _Axis:
    """What an axis shows. ``range``: values of its ends, see the classes; None for an end that follows the data."""

    label: str = ""
    scale: Scale = LINEAR
    range: Range | None = None

    @property
    def places(self) -> Range:
        """The ends of ``range`` in the units of the axis; None for an end that the axis cannot have."""

        def place(value: float | None) -> float | None:
            if value is None or not math.isfinite(value):
                return None
            found = self.scale.place(max(-LARGEST, min(LARGEST, value)))
            return found if math.isfinite(found) else None

        low, high = self.range or (None, None)
        return place(low), place(high)

    def _fitted(self, low: float, high: float, ticks: list[float], labels: Callable[..., list[str]]) -> FittedAxis:
        return FittedAxis(low, high, tuple(self.scale.place(tick) for tick in ticks), tuple(labels(ticks)))


@dataclass(frozen=True)
class XAxis(_Axis):
    """The x axis; ``range`` has its exact ends.

    Attributes:
        ticks: at numbers, only at whole ones (epochs, ranks), or at times of day: x is then in seconds since 1970.
        cross: an x at which a vertical line is drawn.
    """

    ticks: TickKind = "numbers"
    cross: float | None = None

    def ends(self, low: float, high: float) -> Ends:
        """The ends of the axis for data from ``low`` to ``high``, all in its units."""
        wanted_low, wanted_high = self.places
        low = low if wanted_low is None else wanted_low
        high = high if wanted_high is None else wanted_high
        if high - low <= 1e-12 * max(abs(low), abs(high)):
            start, high = map(self.scale.place, self.scale.around(self.scale.inverse(low)))
            low = start if wanted_low is None else low
        return low, high

    def fitted(self, low: float, high: float, cells: int) -> FittedAxis:
        """The axis with these ends over ``cells`` cells, with as many ticks as have room."""
        if self.ticks == "time":
            return self._fitted(low, high, time_ticks(low, high, max(1, cells // 12)), time_labels)
        inverse, most = self.scale.inverse, max(1, min(10, cells // 9))
        ticks = self.scale.ticks(inverse(low), inverse(high), most, self.ticks == "whole")
        return self._fitted(low, high, ticks, lambda ticks: count_labels(ticks, cells))


@dataclass(frozen=True)
class YAxis(_Axis):
    """The y axis; it includes the values of ``range`` and all data. ``lines`` are drawn across the chart.

    Data from ``ceiling`` on does not extend the axis, unless there is no other: its curve leaves at the top.
    """

    lines: Sequence[ReferenceLine] = ()
    ceiling: float = math.inf

    def fitted(self, low: float, high: float, cells: int) -> FittedAxis:
        """The axis over ``cells`` cells: round ends around ``low`` and ``high``, ticks with room between them."""
        scale, most = self.scale, max(2, cells * 2 // 5)
        first, last = scale.ends(scale.inverse(low), scale.inverse(high), max(2, min(5, most)))
        ticks = scale.ticks(first, last, min(scale.most, most), False)
        return self._fitted(scale.place(first), scale.place(last), ticks, tick_labels)
