"""A long curve at several levels of detail: any part of it is drawn from about as many points as the screen has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.charts.curve import condensed, decimate, finite_points

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tui.charts.curve import Points

FACTOR = 16
"""Of so many points the next level keeps two: the lowest and the highest."""
FEW = 4096
"""Points of the coarsest level, at most."""
ENOUGH = 16
"""Points a column at which a level shows the same picture as all points do."""


class Levels:
    """A curve and its condensed copies, made once; together they have a seventh more points than the curve."""

    def __init__(self, x: ArrayLike, y: ArrayLike) -> None:
        self._levels = [finite_points(x, y)]
        while (finest := self._levels[-1])[0].size > FEW:
            self._levels.append(condensed(finest, FACTOR))

    def __len__(self) -> int:
        return int(self._levels[0][0].size)

    @property
    def extent(self) -> tuple[float, float] | None:
        """The first and the last x; None without points."""
        x = self._levels[0][0]
        return (float(x[0]), float(x[-1])) if x.size else None

    def points(self, low: float, high: float, columns: int) -> Points:
        """At most two points a column between ``low`` and ``high``, and where the line crosses these ends."""
        import numpy as np

        for x, y in reversed(self._levels):  # noqa: B007
            within = np.searchsorted(x, high, "right") - np.searchsorted(x, low, "left")
            if within >= ENOUGH * columns:
                break
        return decimate(x, y, low, high, columns)

    def nearest(self, place: float) -> tuple[float, float] | None:
        """The point of the curve nearest to x = ``place``; None if the curve does not reach there."""
        import numpy as np

        x, y = self._levels[0]
        if not x.size or not x[0] <= place <= x[-1]:
            return None
        at = min(int(np.searchsorted(x, place)), x.size - 1)
        if at and place - x[at - 1] < x[at] - place:
            at -= 1
        return float(x[at]), float(y[at])
