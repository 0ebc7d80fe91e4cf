"""The keys of the Train pane, and the labels of its button."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from core.scales import SCALE_LABELS
from tui.charts.explorer import explorer_keys
from tui.panes.train.plan import Plan

KEYS: list[BindingType] = [
    Binding("ctrl+t", "train", "Train", tooltip="Train a new run with these settings, or continue the open run",
            id="train.train"),
    Binding("space", "pause", "Pause", tooltip="Pause, or resume", id="train.pause"),
    Binding("s", "step", "Step", tooltip="Train one batch, of a new run if the settings were changed", id="train.step"),
    Binding("x", "stop", "Stop", tooltip="Stop training and save", id="train.stop"),
    Binding("plus,equals_sign", "scale_rate(1)", "lr up", key_display="+", tooltip="Learning rate x 1.25",
            group=Binding.Group("lr", compact=True), id="train.rate_up"),
    Binding("minus", "scale_rate(-1)", "lr down", key_display="-", tooltip="Learning rate / 1.25",
            group=Binding.Group("lr", compact=True), id="train.rate_down"),
    Binding("r", "recover('r')", "lr / 10", tooltip="After divergence or a failure: continue from the last good "
            "checkpoint with a tenth of the learning rate", id="train.tenth"),
    Binding("h", "recover('h')", "lr / 2", tooltip="The same with half the learning rate", id="train.half"),
    Binding("ctrl+s", "save", "Save", tooltip="Save now, or save a copy under another name", id="train.save"),
    Binding("e,ctrl+o", "settings", "Edit", tooltip="Edit the settings", id="train.settings"),
    Binding("ctrl+n", "new_run", "New", tooltip="Prepare a new run with these settings; the open run is kept",
            id="train.new"),
    Binding("n", "name", "Name", tooltip="Give the next new run a name before it is trained", show=False,
            id="train.name"),
    Binding("i", "about", "About", tooltip="About the preset: source, published and measured results, traps",
            show=False, id="train.about"),
    Binding("p", "save_preset", "Preset", tooltip="Save the settings as a preset of your own, or delete it", show=False,
            id="train.preset"),
    Binding("E", "export", "Export", tooltip="Export the run: its curves as a picture, a table or TensorBoard's files, "
            "its weights", show=False, id="train.export"),
    Binding("v", "vary", "Sweep", tooltip="Train many runs that differ in some settings: a grid, or a search",
            show=False, id="train.vary"),
    Binding("m", "figure", "Figure", tooltip="Chart: the next figure: perplexity, loss, gradient norm, learning rate, "
            "tokens/s, …", show=False, id="train.figure"),
    Binding("o", "smooth", "Smooth", tooltip="Chart: smooth the curve, or smooth it more", show=False,
            id="train.smooth"),
    Binding("l", "scale", "Log", tooltip=f"Chart: {SCALE_LABELS}", show=False, id="train.log"),
    Binding("w", "window", "Window", tooltip="Chart: all epochs, the last 200, 50, 20", show=False, id="train.window"),
    *explorer_keys("train"),
    Binding("escape", "curve", "Curve", tooltip="Back to the curve; hide its crosshair", show=False, id="train.curve"),
]  # fmt: skip

LABELS: dict[Plan, str] = {
    "new": "Train new run", "continue": "Continue", "resume": "Resume", "apply": "Apply", "watch": "Training …",
    "wait": "Opening …",
}  # fmt: skip
