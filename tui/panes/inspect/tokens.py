"""Tokens: the neighbours of a token, and all tokens on a plane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from core.inspection.answers import CLASSES, InspectionAnswer, TokensView
from core.units import counted
from tui.charts.drawing import Drawing, Row, Run
from tui.charts.grid import Grid
from tui.panes.inspect.rows import beside, drawn, heading
from tui.panes.inspect.view import View
from tui.text.cells import cell_len, clip_cells, pad_cells
from tui.text.safe import token_name
from tui.themes import QUIET

LIST_WIDTH = 26
NARROW = 50  # cells below which only the plane is drawn
SHORT = 4  # rows below which only the plane is drawn
LARGEST_ZOOM = 64.0
PAN = 0.2  # of the plane that is visible
OUTLIERS = 0.01  # of the points at each end of an axis: they are drawn at the edge, else all others would be one heap
LABEL = 12  # cells of a label at most
POINT = "·"
STYLES = {
    "space": "$foreground 50%",
    "letter": "$primary",
    "capital": "$text-warning",
    "digit": "$text-success",
    "punctuation": "$text-error",
    "CJK": "$secondary",
    "word": "$primary",
    "reserved": "$foreground 50%",
    "other": "$foreground 50%",
}


class Tokens(View[TokensView]):
    """A plane of labelled points, and two lists of neighbours."""

    name = "tokens"
    title = "Tokens"
    help = "tokens as vectors: the neighbours of the one at the cursor, and all of them on a plane"
    sought = "the token to look at; empty: the one at the cursor"

    def __init__(self) -> None:
        super().__init__()
        self.vectors = "input"
        self.token: str | None = None  # that was searched for
        self._token_at = -1
        self.zoom = 1.0
        self.centre = (0.5, 0.5)  # of what is visible, in shares of the plane

    # ------------------------------------------------------------------ asking

    def options(self) -> dict[str, Any]:
        """The token: the one that was searched for, as long as the cursor stays, or the one at the cursor."""
        if self._token_at != self.place.at:
            self.token = None
        return {"token": self.token or self.place.token or None, "vectors": self.vectors, "text": None, "at": None}

    def take(self, answer: InspectionAnswer) -> None:
        """Keep an answer: no axis is mirrored against the last one, and a zoomed plane follows the token."""
        before = self.answer
        super().take(answer)
        if before is None or self.answer is None:
            return
        if before.vectors == self.answer.vectors:
            self.answer = replace(self.answer, points=_turned_as(before, self.answer))
        if before.token != self.answer.token and self.zoom > 1:
            self.centre = self._place_of_token() or self.centre
            self.pan(0, 0)

    def forget(self) -> None:
        super().forget()
        self.token = None
        self.do_whole()

    def search(self, words: str) -> str:
        answer = self.answer
        has_all = answer is not None and len(answer.points) == answer.num_tokens
        if words and answer is not None and has_all and words not in {token for token, _, _ in answer.points}:
            return f"The vocabulary has no token ‘{token_name(words)}’."
        self.token, self._token_at = words or None, self.place.at
        return ""

    def take_back(self) -> bool:
        """Look at the token at the cursor."""
        refused, self.token = self.token, None
        return refused is not None and self.answer is not None

    def do_vectors(self) -> bool:
        self.vectors = "output" if self.vectors == "input" else "input"
        self.do_whole()
        return True

    # ------------------------------------------------------------------ zoom

    def do_whole(self) -> bool:
        self.zoom, self.centre = 1.0, (0.5, 0.5)
        return False

    def do_zoom_in(self) -> bool:
        return self._change_zoom(2.0)

    def do_zoom_out(self) -> bool:
        return self._change_zoom(0.5)

    def scroll(self, by: int) -> bool:
        return self._change_zoom(0.5 if by > 0 else 2.0)

    def _change_zoom(self, factor: float) -> bool:
        """Zoom in or out: around the token if it is visible, otherwise around the middle."""
        before, self.zoom = self.zoom, min(LARGEST_ZOOM, max(1.0, self.zoom * factor))
        at, half = self._place_of_token(), 0.5 / before
        if at is not None and factor > 1 and max(abs(at[0] - self.centre[0]), abs(at[1] - self.centre[1])) <= half:
            self.centre = at
        self.pan(0, 0)
        return False

    def pan(self, x: int, y: int) -> bool:
        """Move what is visible by a part of it, to the right and down."""
        half = 0.5 / self.zoom
        moved = (self.centre[0] + x * PAN / self.zoom, self.centre[1] - y * PAN / self.zoom)
        self.centre = (min(1 - half, max(half, moved[0])), min(1 - half, max(half, moved[1])))
        return True

    def _place_of_token(self) -> tuple[float, float] | None:
        answer = self.answer
        if answer is None:
            return None
        return next((place for token, place in _places(answer) if token == answer.token), None)

    # ------------------------------------------------------------------ what is said

    def sentence(self, answer: TokensView) -> str:
        """The nearest tokens, and how much of the vectors the plane shows."""
        parts = []
        for what, near in (("is read like", answer.neighbours), ("is expected like", answer.output_neighbours)):
            if near:
                parts.append(f"{what} ‘{token_name(near[0][0])}’ (cosine {near[0][1]:.2f})")
        both = 100 * sum(answer.axes)
        shown = f"The plane shows {both:.0f} % of the variance of the {answer.vectors} vectors."
        return f"‘{token_name(answer.token)}’ {' and '.join(parts)}. {shown}" if parts else shown

    def edge(self, answer: TokensView) -> str:
        """Which vectors, how many points, how far zoomed in."""
        count, of = len(answer.points), answer.num_tokens
        points = counted(count, "token") if count >= of else f"the {count:,} most frequent of {counted(of, 'token')}"
        return ", ".join([f"{answer.vectors} vectors", points, *([f"zoom {self.zoom:g}"] if self.zoom > 1 else [])])

    # ------------------------------------------------------------------ drawing

    def paint(self, answer: TokensView, width: int, height: int) -> Drawing:
        """The plane at the left, the neighbours at the right."""
        if width < NARROW or height < SHORT:
            return Drawing(self._plane(answer, width, height), width)
        left = width - LIST_WIDTH - 2
        plane = self._plane(answer, left, height - 1)
        legend = drawn([self._legend(answer, left)], left, 1)
        both = Drawing([*plane, *legend.rows], left)
        return beside(both, drawn(self._lists(answer, height), LIST_WIDTH, height))

    def _plane(self, answer: TokensView, width: int, height: int) -> list[Row]:
        """The points as labels: first the token and its neighbours, then frequent ones; a dot where no room is left."""
        grid = Grid(width, height)
        near = {token for token, _ in (answer.neighbours if answer.vectors == "input" else answer.output_neighbours)}
        free = [[True] * width for _ in range(height)]
        visible = list(self._visible(answer, width, height))
        ranks = {"token": 0, "near": 1, "": 2}
        ordered = sorted(visible, key=lambda one: ranks[_kind(one[0], answer.token, near)])  # stable: by frequency
        for token, of_class, column, row in ordered:
            kind = _kind(token, answer.token, near)
            label = clip_cells(token_name(token), LABEL)
            cells = cell_len(label)
            column = min(column, width - cells)
            style = STYLES[of_class]
            if kind:
                style = "$background on $accent bold" if kind == "token" else f"{style} bold underline"
            if column >= 0 and all(free[row][max(0, column - 1) : column + cells + 1]):
                grid.write(row, column, label, style)
                free[row][column : column + cells] = [False] * cells
            elif 0 <= column < width and free[row][column]:
                grid.write(row, column, POINT, STYLES[of_class])
        return grid.rows()

    def _visible(self, answer: TokensView, width: int, height: int) -> Iterator[tuple[str, str, int, int]]:
        """Token, class, column and row of the points on screen."""
        low = (self.centre[0] - 0.5 / self.zoom, self.centre[1] - 0.5 / self.zoom)
        for (token, (x, y)), of_class in zip(_places(answer), answer.classes, strict=False):
            across, up = (x - low[0]) * self.zoom, (y - low[1]) * self.zoom
            if -1e-9 <= across <= 1 + 1e-9 and -1e-9 <= up <= 1 + 1e-9:
                yield token, of_class, round(across * (width - 1)), round((1 - up) * (height - 1))

    @staticmethod
    def _legend(answer: TokensView, width: int) -> Row:
        counts = Counter(answer.classes)
        parts = [(of_class, STYLES[of_class]) for of_class in CLASSES if counts[of_class]]
        parts += [(f"{POINT} a token without room", QUIET), ("outliers at the edges", QUIET)]
        runs: list[Run] = []
        for words, style in parts:
            if sum(cell_len(text) for text, _ in runs) + len(words) <= width:
                runs += [(words, style), ("  ", "")]
        return tuple(runs[:-1])

    @staticmethod
    def _lists(answer: TokensView, height: int) -> list[Row]:
        rows: list[Row] = []
        room = max(1, (height - 3) // 2)
        for title, near in (("read like it", answer.neighbours), ("expected like it", answer.output_neighbours)):
            rows.append(heading(title))
            for token, cosine in near[:room]:
                cells = max(0, round(8 * cosine))
                rows.append((
                    (pad_cells(token_name(token), LIST_WIDTH - 15), ""), (f"{cosine:>5.2f} ", ""),
                    ("█" * cells, "$primary 70%"),
                ))  # fmt: skip
            rows.append(())
        return rows


def _kind(token: str, chosen: str, near: set[str]) -> str:
    return "token" if token == chosen else "near" if token in near else ""


def _turned_as(before: TokensView, answer: TokensView) -> tuple[tuple[str, float, float], ...]:
    """The points with the sign of each axis that fits those of ``before``: an axis is known up to its sign."""
    known = {token: (x, y) for token, x, y in before.points}
    both = [(known[token], (x, y)) for token, x, y in answer.points if token in known]
    across, up = (1 if sum(old[axis] * new[axis] for old, new in both) >= 0 else -1 for axis in (0, 1))
    return tuple((token, across * x, up * y) for token, x, y in answer.points)


def _places(answer: TokensView) -> Iterator[tuple[str, tuple[float, float]]]:
    """The points in shares of the plane, from 0 to 1 in each direction; outliers are at its edges."""
    xs, ys = [x for _, x, _ in answer.points], [y for _, _, y in answer.points]
    (left, across), (low, up) = _span(xs), _span(ys)
    for token, x, y in answer.points:
        yield token, (min(1.0, max(0.0, (x - left) / across)), min(1.0, max(0.0, (y - low) / up)))


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The smallest value, and how far the largest is from it, without outliers; never zero."""
    if not values:
        return 0.0, 1.0
    ordered, out = sorted(values), int(OUTLIERS * len(values))
    return ordered[out], (ordered[-1 - out] - ordered[out]) or 1.0
