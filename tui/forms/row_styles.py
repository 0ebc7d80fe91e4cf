"""How rows look: the widths and the styles that the style sheet gives the parts of a line."""

from __future__ import annotations

from rich.style import Style as RichStyle
from textual.css.styles import RenderStyles
from textual.style import Style
from textual.widget import Widget

from tui.forms.lines import Look

OPACITY = {"idle": 0.5, "disabled": 0.45}
NAMES = (
    "label", "cursor", "wrong", "changed", "value", "wrong-value", "placeholder", "unit", "error", "note", "title",
    "fold", "fold-wrong", "bold", "dim", "chosen", "other", "focused", "chosen-focused",
)  # fmt: skip
ROW_CLASSES = frozenset(f"rows--{name}" for name in (*NAMES, "number"))
"""The component classes of a widget that draws rows."""


class RowStyles:
    """What the style sheet says of the rows of ``widget``, kept until ``clear``."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._look: Look | None = None
        self._styles: dict[str, RichStyle] = {}

    def clear(self) -> None:
        self._styles.clear()
        self._look = None

    def look(self, width: int) -> Look:
        """The columns of rows that are ``width`` cells wide."""
        if self._look is None or self._look.width != width:
            label, title, fold, number, unit = (
                self._widget.get_component_styles(f"rows--{name}")
                for name in ("label", "title", "fold", "number", "unit")
            )
            self._look = Look(
                width, _cells(label, 15), label.padding.left, _cells(number, 12), unit.display != "none",
                title.margin.top, fold.margin.top,
            )  # fmt: skip
        return self._look

    def style(self, names: str) -> RichStyle:
        """The style of a piece of a line: ``names`` are parts of ``NAMES``, at last perhaps one of ``OPACITY``."""
        found = self._styles.get(names)
        if found is None:
            parts = names.split()
            style = self._widget.get_visual_style(*(f"rows--{part}" for part in parts if part in NAMES))
            if parts[-1] in OPACITY:
                _, ground = self._widget.background_colors
                share = OPACITY[parts[-1]]
                behind = style.background or ground
                ink = behind + (style.foreground or ground)
                style += Style(background=ground.blend(behind, share), foreground=ground.blend(ink, share))
            found = self._styles[names] = style.rich_style
        return found


def _cells(styles: RenderStyles, default: int) -> int:
    return int(styles.width.value) if styles.width is not None else default
