"""The columns of the list of runs and of the trash: what each shows, how wide it is, and which of them fit."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.events import State
from core.runs.filter import QUANTITIES
from core.runs.summary import RunSummary
from core.settings.run_config import shown
from core.units import bytes_text, count_text, date_text, moment_of, perplexity_text

# A sign beside the word, so that colour is never the only difference.
SIGNS = {
    State.IDLE: "○",
    State.TRAINING: "●",
    State.PAUSED: "‖",
    State.FINISHED: "✓",
    State.STOPPED: "■",
    State.FAILED: "✗",
    State.DIVERGED: "!",
    State.INTERRUPTED: "?",
}
GAP = 2  # cells between two columns
ARROW = 2  # cells behind the label of the column that the list is sorted by
LAST_OF_MAIN = 6  # the rank of the last main column


def state_words(run: RunSummary) -> str:
    """The state of a run with its sign; ``damaged``, not ``failed``, for a folder that cannot be read."""
    if run.problem:
        return "✗ damaged"
    return f"{SIGNS.get(run.state, '?')} {run.state}"


def age_text(created: str, now: datetime.datetime) -> str:
    """``just now``, ``5 min``, ``3 h``, ``12 d``, ``2 y``: the time since an ISO date; empty for an invalid one."""
    moment = moment_of(created)
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    for size, unit in ((31_557_600, "y"), (86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "just now"


@dataclass(frozen=True)
class RunColumn:
    """A column of the table. On a narrow screen, the columns with the highest ``rank`` are left out first.

    With a ``least``, its width is what its texts need, at most ``width``, or ``least`` where there is less room.
    ``sort`` is the key of ``core.runs.filter.sorted_runs``; without one, the column does not sort.
    """

    key: str
    label: str
    width: int
    rank: int
    text: Callable[[RunSummary, datetime.datetime], str]
    to_the_right: bool = False
    sort: str = ""
    least: int = 0

    def arrow(self, reverse: bool) -> str:
        """Which way the values of a list in this order go: ``▲`` if they grow from row to row."""
        falls = self.sort in QUANTITIES and QUANTITIES[self.sort].largest and self.key != "age"
        return "▼" if falls != reverse else "▲"


def _epochs(run: RunSummary, _: datetime.datetime) -> str:
    return "" if run.problem else f"{shown(run.epoch)}/{shown(run.num_epochs)}"


def _weights(run: RunSummary, _: datetime.datetime) -> str:
    return count_text(run.parameters) if run.parameters else ""


COLUMNS = (
    RunColumn("name", "name", 40, 0, lambda run, _: run.name, sort="name", least=16),
    RunColumn("state", "state", 13, 0, lambda run, _: state_words(run), sort="state", least=13),
    RunColumn("epochs", "epochs", 11, 1, _epochs, True, sort="epochs"),
    RunColumn("ppl", "ppl train", 9, 1, lambda run, _: perplexity_text(run.perplexity), True, sort="ppl"),
    RunColumn("held", "held out", 8, 4, lambda run, _: perplexity_text(run.validation_perplexity), True, sort="held"),
    RunColumn("tag", "tags, note", 40, 2, lambda run, _: run.annotation, sort="tag", least=10),
    RunColumn("model", "model", 22, 5, lambda run, _: run.model, sort="model", least=14),
    RunColumn("corpus", "corpus", 12, 6, lambda run, _: run.corpus, sort="corpus", least=8),
    RunColumn("weights", "weights", 7, 7, _weights, True, sort="weights"),
    RunColumn("size", "size", 8, 8, lambda run, _: bytes_text(run.bytes), True, sort="size"),
    RunColumn("age", "age", 8, 3, lambda run, now: age_text(run.created, now), True, sort="created"),
    RunColumn("created", "created", 16, 9, lambda run, _: date_text(run.created), sort="created"),
)


def layout(columns: Sequence[RunColumn], room: int, longest: Mapping[str, int]) -> tuple[tuple[RunColumn, int], ...]:
    """The columns that fit into ``room`` cells, with their widths.

    ``longest`` has the cells of the longest text of each column with a ``least``; one without a text is left out. The
    main columns come first, at their least, or narrower if their texts and label are; what is left over widens them,
    the one that lacks least first, then makes room for more columns, and at last for tags and note.
    """
    left, cells = room + GAP, dict[str, int]()
    ranked = sorted(columns, key=lambda column: column.rank)
    shown = [column for column in ranked if column.rank == 0 or not column.least or longest.get(column.key)]
    main = [column for column in shown if column.rank <= LAST_OF_MAIN]
    for some, are_widened in ((main, {"name", "model", "corpus"}), (shown[len(main) :], {"tag"})):
        for column in some if len(cells) in (0, len(main)) else ():
            needed = max(longest.get(column.key, 0), len(column.label) + ARROW)
            least = min(column.least, needed) or column.width
            if least + GAP > left and column.rank > 1:
                break
            left -= least + GAP
            cells[column.key] = least
        widened = [column for column in main if column.key in are_widened & cells.keys()]
        lacking = {column.key: min(column.width, longest.get(column.key, 0)) - cells[column.key] for column in widened}
        for key in sorted(lacking, key=lacking.__getitem__):
            more = max(0, min(lacking[key], left))
            left -= more
            cells[key] += more
    return tuple((column, cells[column.key]) for column in columns if column.key in cells)
