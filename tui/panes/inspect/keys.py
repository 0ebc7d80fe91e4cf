"""The keys of the Inspect pane."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tui.panes.inspect.subject import Subject

KEYS: list[BindingType] = [
    Binding("tab", "view(1)", "View", key_display="⇥", tooltip="The next view; ⇧⇥: the one before", id="inspect.view"),
    Binding("shift+tab", "view(-1)", "View before", show=False, id="inspect.view_before"),
    Binding("right", "token(1)", "Token", key_display="← →", id="inspect.token",
            tooltip="The next token, or the one before; a click takes one"),
    Binding("left", "token(-1)", "Token before", show=False, id="inspect.token_before"),
    Binding("down", "row(1)", "Row", key_display="↑ ↓", id="inspect.row",
            tooltip="The next row of the view, or the one before; so do a click and the wheel"),
    Binding("up", "row(-1)", "Row above", show=False, id="inspect.row_before"),
    Binding("pagedown", "row(10)", "Ten rows", show=False, key_display="pgup pgdn", tooltip="Ten rows of the view",
            id="inspect.rows"),
    Binding("pageup", "row(-10)", "Ten rows back", show=False, id="inspect.rows_before"),
    Binding("home", "end_token(0)", "First token", show=False, tooltip="The first token of the text",
            id="inspect.first"),
    Binding("end", "end_token(-1)", "Last token", show=False, tooltip="The last token of the text", id="inspect.last"),
    Binding("shift+right", "far(1, 0)", "Far", show=False, key_display="⇧ ←↑↓→",
            tooltip="Ten tokens or a line further, or back; in Tokens: move the plane", id="inspect.far"),
    Binding("shift+left", "far(-1, 0)", "Far left", show=False, id="inspect.far_before"),
    Binding("shift+down", "far(0, 1)", "Line", show=False, id="inspect.line"),
    Binding("shift+up", "far(0, -1)", "Line before", show=False, id="inspect.line_before"),
    Binding("enter", "enter", "Look", tooltip="Step: the numbers of the row; Why: explain the selected token",
            id="inspect.look"),
    Binding("escape", "escape", "Back", show=False, tooltip="Back, or cancel what takes long", id="inspect.back"),
    Binding("e", "edit", "Text", tooltip="Type or paste a text to look at", id="inspect.text"),
    Binding("o", "own", "Own", tooltip="A stretch of the run's own text, held out if there is one",
            id="inspect.own"),
    Binding("w", "written", "Wrote", tooltip="The text that Generate has just written with this run",
            id="inspect.written"),
    Binding("i", "do('identity')", "Identity", tooltip="Step: both ways of X W_xh + H W_hh = [X H] [W_xh; W_hh]",
            id="inspect.identity"),
    Binding("c", "do('compare')", "Compare",
            tooltip="Gradient: compare with the initial weights, the best checkpoint, another run, nothing",
            id="inspect.compare"),
    Binding("m", "do('mean')", "Mean",
            tooltip="Gradient: the mean over many places of the text, or the token at the cursor", id="inspect.mean"),
    Binding("g", "do('quantity')", "Quantity", tooltip="Units: the hidden state H, the cell state C, or a gate",
            id="inspect.quantity"),
    Binding("slash", "search", "Find", key_display="/",
            tooltip="Units: rank by a feature, or choose a unit; Why, Tokens: type another token", id="inspect.find"),
    Binding("plus,equals_sign", "do('zoom_in')", "Zoom", key_display="+ -", id="inspect.zoom",
            tooltip="Tokens: zoom in, or out, as the wheel does"),
    Binding("minus", "do('zoom_out')", "Zoom out", show=False, id="inspect.zoom_out"),
    Binding("z", "do('whole')", "Whole", show=False, tooltip="Tokens: show the whole plane", id="inspect.whole"),
    Binding("v", "do('vectors')", "Vectors", tooltip="Tokens: input or output vectors on the plane",
            id="inspect.vectors"),
    Binding("l", "do('layer')", "Layer", tooltip="The next layer, or the other direction", id="inspect.layer"),
    Binding("r", "again", "Again", show=False, tooltip="Ask the engine again", id="inspect.again"),
]  # fmt: skip


def is_useful(action: str, name: str, subject: Subject) -> bool:
    """Whether an action of the keys does something; ``name`` is what a view does itself."""
    view = subject.view
    match action:
        case "token" | "end_token" | "far":
            return subject.text is not None
        case "row":
            return view.rows() > 1
        case "enter":
            return view.answer is not None and view.can("enter")
        case "do":
            return subject.text is not None and view.can(name)
        case "search":
            return subject.text is not None and bool(view.sought)
        case "escape":
            return view.can("leave")
        case "own":
            return subject.source is not None
        case "edit" | "again" | "written":
            return subject.run is not None
        case _:
            return True
