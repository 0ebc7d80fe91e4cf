"""The keys of the Inspect pane."""

from __future__ import annotations

from textual.binding import Binding, BindingType

KEYS: list[BindingType] = [
    Binding("tab", "view(1)", "View", key_display="⇥", tooltip="The next view; ⇧⇥: the one before"),
    Binding("shift+tab", "view(-1)", "View before", show=False),
    Binding("right", "token(1)", "Token", key_display="← →", tooltip="The next token, or the one before"),
    Binding("left", "token(-1)", "Token before", show=False),
    Binding("down", "row(1)", "Row", key_display="↑ ↓", tooltip="The next row of the view, or the one before"),
    Binding("up", "row(-1)", "Row above", show=False),
    Binding("pagedown", "row(10)", "Ten rows", show=False),
    Binding("pageup", "row(-10)", "Ten rows back", show=False),
    Binding("home", "end_token(0)", "First token", show=False),
    Binding("end", "end_token(-1)", "Last token", show=False),
    Binding("shift+right", "far(1, 0)", "Far", show=False, key_display="⇧ ←↑↓→",
            tooltip="Ten tokens or a line further, or back; in Tokens: move the plane"),
    Binding("shift+left", "far(-1, 0)", "Far left", show=False),
    Binding("shift+down", "far(0, 1)", "Line", show=False),
    Binding("shift+up", "far(0, -1)", "Line before", show=False),
    Binding("enter", "enter", "Look", tooltip="Step: the numbers of the row; Why: explain the selected token"),
    Binding("escape", "escape", "Back", tooltip="Back, or cancel what takes long"),
    Binding("e", "edit", "Text", tooltip="Type or paste a text to look at"),
    Binding("o", "own", "Own text", tooltip="A stretch of the run's own text, held out if there is one"),
    Binding("w", "written", "Written", tooltip="The text that Generate has just written with this run"),
    Binding("i", "do('identity')", "Identity", tooltip="Step: both ways of X W_xh + H W_hh = [X H] [W_xh; W_hh]"),
    Binding("c", "do('compare')", "Compare",
            tooltip="Gradient: compare with the initial weights, the best checkpoint, another run, nothing"),
    Binding("g", "do('quantity')", "Quantity", tooltip="Units: the hidden state H, the cell state C, or a gate"),
    Binding("slash", "search", "Find", key_display="/",
            tooltip="Units: rank by a feature, or choose a unit; Why, Tokens: type another token"),
    Binding("plus,equals_sign", "do('zoom_in')", "Zoom", key_display="+ -", tooltip="Tokens: zoom in, or out"),
    Binding("minus", "do('zoom_out')", "Zoom out", show=False),
    Binding("z", "do('whole')", "Whole", tooltip="Tokens: show the whole plane"),
    Binding("v", "do('vectors')", "Vectors", tooltip="Tokens: input or output vectors on the plane"),
    Binding("l", "do('layer')", "Layer", tooltip="The next layer, or the other direction"),
    Binding("r", "again", "Again", show=False, tooltip="Ask the engine again"),
]  # fmt: skip
