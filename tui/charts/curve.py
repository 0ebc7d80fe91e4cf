"""Long curves: which points of a growing series are kept, and which of them are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from core.scales import LARGEST, LINEAR, Scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Points: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]


def finite_points(x: ArrayLike, y: ArrayLike, x_scale: Scale = LINEAR, y_scale: Scale = LINEAR) -> Points:
    """The points that can be drawn, in the order of ``x``: finite, and allowed on the axes."""
    import numpy as np

    xs, ys = np.asarray(x, dtype=np.float64).ravel(), np.asarray(y, dtype=np.float64).ravel()
    size = min(xs.size, ys.size)
    xs, ys = xs[:size], ys[:size]
    good = np.isfinite(xs) & np.isfinite(ys) & x_scale.allows(xs) & y_scale.allows(ys)
    if not good.all():
        xs, ys = xs[good], ys[good]
    if xs.size and max(np.abs(xs).max(), np.abs(ys).max()) > LARGEST:
        xs, ys = np.clip(xs, -LARGEST, LARGEST), np.clip(ys, -LARGEST, LARGEST)
    if xs.size > 1 and (np.diff(xs) < 0).any():
        order = np.argsort(xs, kind="stable")
        xs, ys = xs[order], ys[order]
    return xs, ys


def pieces_below(x: NDArray[np.float64], y: NDArray[np.float64], top: float) -> list[Points]:
    """The parts of a line that are not above ``top``, up to where it crosses it."""
    import numpy as np

    is_below = y <= top
    if is_below.all():
        return [(x, y)]
    at = np.flatnonzero(is_below[1:] != is_below[:-1])
    part = (top - y[at]) / (y[at + 1] - y[at])
    x, y = np.insert(x, at + 1, x[at] + part * (x[at + 1] - x[at])), np.insert(y, at + 1, top)
    edges = np.diff((y <= top).astype(np.int8), prepend=0, append=0)
    bounds = zip(np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist(), strict=True)
    return [(x[start:end], y[start:end]) for start, end in bounds]


def _extremes(y: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Ascending indices of the lowest and the highest value of each group; ``starts`` are the first of each group."""
    import numpy as np

    sizes = np.diff(starts, append=y.size)
    groups = np.repeat(np.arange(starts.size), sizes)
    chosen = np.zeros(y.size, np.bool_)
    for extreme in (np.minimum, np.maximum):
        hits = np.flatnonzero(y == np.repeat(extreme.reduceat(y, starts), sizes))
        chosen[hits[np.diff(groups[hits], prepend=-1) != 0]] = True  # the first of each group
    return np.flatnonzero(chosen)


def _untangled(column: list[int], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lowest and the highest of each column, first the one that is nearer to the column before.

    In noise this halves the ink (down one column, up the next); a smooth line is not changed. The order of many points
    within one column is not visible.
    """
    import numpy as np

    values = y.tolist()
    for index in range(1, len(values) - 1):
        if column[index] == column[index + 1]:
            before = values[index - 1]
            if abs(values[index + 1] - before) < abs(values[index] - before):
                values[index], values[index + 1] = values[index + 1], values[index]
    return np.array(values)


def decimate(x: NDArray[np.float64], y: NDArray[np.float64], low: float, high: float, columns: int) -> Points:
    """At most two points a column, its lowest and its highest, of the finite points between ``low`` and ``high``.

    ``x`` ascends. Where the line crosses an end of the range, a point is added, so that it is drawn up to the edge.
    """
    import numpy as np

    if x.size == 0:
        return x, y
    first, last = int(np.searchsorted(x, low, "left")), int(np.searchsorted(x, high, "right"))
    edges = [edge for edge in (low, high) if x[0] < edge < x[-1]]
    inner_x, inner_y = x[first:last], y[first:last]
    if inner_x.size > 2 and high > low:
        column = np.minimum(((inner_x - low) * (columns / (high - low))).astype(np.intp), columns - 1)
        starts = np.flatnonzero(np.diff(column, prepend=-1))
        kept = _extremes(inner_y, starts)
        dense = inner_x.size > 4 * columns
        inner_x, inner_y = inner_x[kept], inner_y[kept]
        if dense:
            inner_y = _untangled(column[kept].tolist(), inner_y)
    if first > 0 and low in edges and not (inner_x.size and inner_x[0] == low):
        inner_x, inner_y = np.insert(inner_x, 0, low), np.insert(inner_y, 0, np.interp(low, x, y))
    if last < x.size and high in edges and not (inner_x.size and inner_x[-1] == high):
        inner_x, inner_y = np.append(inner_x, high), np.append(inner_y, np.interp(high, x, y))
    return inner_x, inner_y


def condensed(points: Points, size: int) -> Points:
    """The lowest and the highest of each ``size`` points; always two, even if they are the same point."""
    import numpy as np

    x, y = points
    if size <= 2:
        return points
    whole = y.size // size * size
    table = y[:whole].reshape(-1, size)
    pairs = np.stack([table.argmin(axis=1), table.argmax(axis=1)], axis=1) + np.arange(0, whole, size)[:, None]
    kept = np.append(np.sort(pairs, axis=1).ravel(), np.arange(whole, y.size))
    return x[kept], y[kept]


class GrowingCurve:
    """A series that grows without end in bounded memory.

    The whole curve is kept as the lowest and highest points of stretches of equal length, which double when there are
    more than ``2 * capacity`` points; the latest ``capacity`` points are also kept unchanged, for a near view.
    """

    def __init__(self, capacity: int = 8192) -> None:
        self._capacity = max(4, capacity)
        self.clear()

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike) -> GrowingCurve:
        """A curve of these points, in the order of ``x``."""
        curve = cls()
        curve.extend(x, y)
        return curve

    def clear(self) -> None:
        self._past: Points | None = None
        self._stretch = 2
        """How many raw points two points of the past represent."""
        self._pending: tuple[list[float], list[float]] = ([], [])
        """The latest raw points, which do not fill a stretch yet."""
        self._recent: tuple[list[float], list[float]] = ([], [])
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def latest(self) -> float:
        """The largest x so far; 0 if there is none."""
        return self._recent[0][-1] if self._recent[0] else 0.0

    def append(self, x: float, y: float) -> None:
        self.extend([x], [y])

    def extend(self, x: ArrayLike, y: ArrayLike) -> None:
        """Add points in the order of ``x``, after those of the curve. Points that are not finite are left out."""
        import numpy as np

        self._count += min(np.size(x), np.size(y))
        xs, ys = finite_points(x, y)
        capacity = self._capacity
        for kept, new in zip(self._recent, (xs, ys), strict=True):
            kept.extend(new[-capacity:].tolist())
            if len(kept) > 2 * capacity:
                del kept[:-capacity]
        step = max(self._stretch, capacity)
        for start in range(0, xs.size, step):
            for kept, new in zip(self._pending, (xs, ys), strict=True):
                kept.extend(new[start : start + step].tolist())
            self._settle()

    def _settle(self) -> None:
        """Move whole stretches from the pending points to the past, and halve the past if it is too long."""
        import numpy as np

        whole = len(self._pending[0]) // self._stretch * self._stretch
        if whole < max(self._stretch, 256):  # seldom, because it copies the past
            return
        new = (np.array(self._pending[0][:whole]), np.array(self._pending[1][:whole]))
        for kept in self._pending:
            del kept[:whole]
        new = condensed(new, self._stretch)
        past = new if self._past is None else tuple(np.concatenate(pair) for pair in zip(self._past, new, strict=True))
        while past[0].size > 2 * self._capacity:
            past = condensed((past[0], past[1]), 4)
            self._stretch *= 2
        self._past = (past[0], past[1])

    def points(self, since: float | None = None) -> Points:
        """The points to draw: all, or those from ``since`` on and the one before, so that the line enters."""
        import numpy as np

        near = since is not None and bool(self._recent[0]) and self._recent[0][0] <= since
        x, y = (np.array(values) for values in (self._recent if near else self._pending))
        if not near and self._past is not None:
            x, y = np.concatenate([self._past[0], x]), np.concatenate([self._past[1], y])
        if since is not None and x.size:
            start = max(0, int(np.searchsorted(x, since, "left")) - 1)
            x, y = x[start:], y[start:]
        return x, y
