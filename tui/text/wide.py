"""Wide characters, kept whole on the screen: Textual blanks those that an edge crosses, even one that is not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class WholeCharacters:
    """Mixed into a screen, which then cuts no wide character in two but where a widget covers half of it.

    Not a screen itself: Textual looks up a widget's styles by its first base that is a widget.
    """

    _compositor: Compositor

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._compositor = _Compositor()


class _Compositor(Compositor):
    """Textual's, which cuts the lines of a list at the edges of all that is beneath it.

    It has no public name, nor another place where the lines are cut.
    """

    @property
    def cuts(self) -> list[list[int]]:
        """The edges that are seen: of each line, where another widget begins to be the upper one."""
        if self._cuts is None:
            width, height = self.size
            upper: list[list[Widget | None]] = [[None] * width for _ in range(height)]
            for widget, (region, clip) in reversed(self.visible_widgets.items()):
                seen = region.intersection(clip).intersection(self.size.region)
                for y in seen.line_range:
                    upper[y][seen.x : seen.right] = [widget] * seen.width
            self._cuts = [
                [0, *(x for x, (before, here) in enumerate(pairwise(line), 1) if before is not here), width]
                for line in upper
            ]
        return self._cuts

    def _render_chops(self, crop: Region, is_rendered_line: Callable[[int], bool]) -> Sequence[Mapping[int, Strip]]:
        """The pieces of each line by their beginnings, each of the first widget, from above, that covers it."""
        chops: list[dict[int, Any]] = [dict.fromkeys(cuts[:-1]) for cuts in self.cuts]
        for region, clip, strips in self._get_renders(crop):
            seen = region.intersection(clip)
            for y, strip in zip(seen.line_range, strips, strict=False):
                if is_rendered_line(y):
                    for start, end in pairwise(self.cuts[y]):
                        if seen.x <= start and end <= seen.right and chops[y][start] is None:
                            chops[y][start] = strip.crop(start - seen.x, end - seen.x)
        return chops

    def render_partial_update(self) -> ChopsUpdate | None:
        """As Textual's, but a piece is written to its end: what is written of it would end in half a character."""
        update = super().render_partial_update()
        if update is not None:
            update.spans = [
                (y, start, next((cut for cut in self.cuts[y] if cut >= end), end)) for y, start, end in update.spans
            ]
        return update
