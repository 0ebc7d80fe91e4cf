"""The actions of the Runs pane: keys, buttons, and why an action is not possible. No widgets of its own."""

from __future__ import annotations

from textual.binding import Binding, BindingType
from textual.widgets import Button

from core.events import State
from core.runs.summary import RunSummary

HELP = {
    "open": "Show this run's curve and follow it",
    "generate": "Generate text with this run",
    "resume": "Continue training this run",
    "rename": "Give this run another name",
    "duplicate": "Copy this run under another name",
    "delete": "Move this run into the trash; in the trash, delete it permanently",
    "restore": "Restore the run deleted last; in the trash, the run under the cursor",
    "remove": "Delete this run permanently",
    "empty": "Delete everything in the trash permanently",
    "trash": "Show the deleted runs, or go back to the list",
}
LIST_ACTIONS = ("open", "generate", "resume", "rename", "duplicate", "delete")
TRASH_ACTIONS = {"restore": "Restore", "remove": "Delete permanently", "empty": "Empty trash", "trash": "Back"}

KEYS: list[BindingType] = [
    Binding("g", "act('generate')", "Generate", tooltip=HELP["generate"], id="runs.generate"),
    Binding("r", "act('resume')", "Resume", tooltip=HELP["resume"], id="runs.resume"),
    Binding("n", "act('rename')", "Rename", tooltip=HELP["rename"], id="runs.rename"),
    Binding("d", "act('duplicate')", "Duplicate", tooltip=HELP["duplicate"], id="runs.duplicate"),
    # Not backspace: that is the key for a typing mistake.
    Binding("delete", "act('delete')", "Delete", key_display="del", tooltip=HELP["delete"], id="runs.delete"),
    Binding("u", "act('restore')", "Restore", tooltip=HELP["restore"], id="runs.restore"),
    Binding("e", "act('empty')", "Empty trash", tooltip=HELP["empty"], id="runs.empty"),
    Binding("t", "trash", "Trash", show=False, tooltip=HELP["trash"], id="runs.trash"),
    Binding("escape", "runs", "Runs", key_display="esc", id="runs.list"),
]  # fmt: skip


def action_button(action: str, label: str, is_loud: bool = False) -> Button:
    """The button of an action; ``is_loud``: it deletes something."""
    place = "trash" if action in ("remove", "empty", "restore") or label == "Back" else "runs"
    classes = "loud" if is_loud else ""
    return Button(label, id=f"{place}-{action}", compact=True, classes=classes, tooltip=HELP[action])


PURPOSES = {"open": "watch", "generate": "generate", "resume": "resume"}


def refusal(run: RunSummary, action: str) -> str:
    """Why ``action`` cannot be done with ``run``, in a sentence; empty if it can."""
    if run.problem and action in (*PURPOSES, "duplicate"):
        return run.problem
    if run.state in (State.TRAINING, State.PAUSED) and not run.problem and action in ("rename", "delete"):
        verb = {"rename": "renamed", "delete": "deleted"}[action]
        return f"{run.name} is {run.state}: stop it in Train first, then it can be {verb}"
    if run.state == State.TRAINING and action == "resume":
        return f"{run.name} is already training: open it to watch"
    return ""
