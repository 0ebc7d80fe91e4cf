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
    "annotate": "Give this run tags and a note; several marked runs get tags",
    "export": "Export this run or the marked ones: a picture, a table, TensorBoard's files, the weights",
    "delete": "Move this run or the marked ones into the trash; in the trash, delete it permanently",
    "restore": "Restore what was deleted last; in the trash, the run under the cursor",
    "remove": "Delete this run permanently",
    "empty": "Delete everything in the trash permanently",
    "trash": "Show the deleted runs, or go back to the list",
    "filter": "Show only the runs with these words, or with cell:lstm, ppl<3, tag:best, ...",
}
LIST_ACTIONS = ("open", "generate", "resume", "rename", "duplicate", "delete")
WIDE_ACTIONS = {"export": "Export", "annotate": "Tags", "filter": "Filter"}  # buttons where there is room for them
LOOKING = ("open", "filter", "trash")  # change nothing
TRASH_ACTIONS = {"restore": "Restore", "remove": "Delete permanently", "empty": "Empty trash", "trash": "Back"}

KEYS: list[BindingType] = [
    Binding("slash", "filter", "Filter", key_display="/", tooltip=HELP["filter"], id="runs.filter"),
    Binding("space", "mark", "Mark", id="runs.mark",
            tooltip="Mark or unmark this run, to act on several at once"),
    Binding("asterisk", "mark_all", "Mark all", key_display="*", show=False, id="runs.mark_all",
            tooltip="Mark all runs that are shown, or none"),
    Binding("c", "compare", "Compare", tooltip="Compare the marked runs in one chart and a table, and their samples",
            id="runs.compare"),
    Binding("escape", "back", "Back", key_display="esc", id="runs.list", tooltip="From the trash to the list"),
    Binding("escape", "end_filter", "End filter", key_display="esc", id="runs.end_filter",
            tooltip="Show all runs again"),
    Binding("escape", "unmark", "Unmark", key_display="esc", id="runs.unmark", tooltip="Remove all marks"),
    Binding("w", "sweeps", "Sweeps", show=False, id="runs.sweeps",
            tooltip="Show a sweep: its runs, the best first, each setting against the result"),
    Binding("s", "sort", "Sort", show=False, tooltip="Sort by the next column; a click on a heading does too",
            id="runs.sort"),
    Binding("S", "sort_reverse", "Reverse", show=False, tooltip="Sort the other way round", id="runs.sort_reverse"),
    Binding("a", "act('annotate')", "Tags", show=False, tooltip=HELP["annotate"], id="runs.annotate"),
    Binding("E", "export", "Export", tooltip=HELP["export"], id="runs.export"),
    Binding("g", "act('generate')", "Generate", tooltip=HELP["generate"], id="runs.generate"),
    Binding("r", "act('resume')", "Resume", show=False, tooltip=HELP["resume"], id="runs.resume"),
    Binding("n", "act('rename')", "Rename", show=False, tooltip=HELP["rename"], id="runs.rename"),
    Binding("d", "act('duplicate')", "Duplicate", show=False, tooltip=HELP["duplicate"], id="runs.duplicate"),
    # Not backspace: that is the key for a typing mistake.
    Binding("delete", "act('delete')", "Delete", key_display="del", tooltip=HELP["delete"], id="runs.delete"),
    Binding("u", "act('restore')", "Restore", tooltip=HELP["restore"], id="runs.restore"),
    Binding("e", "act('empty')", "Empty trash", tooltip=HELP["empty"], id="runs.empty"),
    Binding("t", "trash", "Trash", show=False, tooltip=HELP["trash"], id="runs.trash"),
    Binding("shift+up", "details(-1)", "Details up", show=False, tooltip="Scroll the details of the run up",
            id="runs.details_up"),
    Binding("shift+down", "details(1)", "Details down", show=False, tooltip="Scroll the details of the run down",
            id="runs.details_down"),
]  # fmt: skip


def action_button(action: str, label: str, is_loud: bool = False) -> Button:
    """The button of an action; ``is_loud``: it deletes something."""
    place = "trash" if action in ("remove", "empty", "restore") or label == "Back" else "runs"
    classes = ("loud" if is_loud else "", "" if action in LOOKING else "changes")
    return Button(label, id=f"{place}-{action}", compact=True, classes=" ".join(classes), tooltip=HELP[action])


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
