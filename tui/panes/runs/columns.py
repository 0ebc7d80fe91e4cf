"""The columns of the list of runs and of the trash: what each shows, how wide it is, and which of them fit."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
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
LONGEST_NAME = 40
SHORTEST_NAME = 16
GAP = 2  # cells between two columns


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

    ``sort`` is the key of ``core.runs.filter.sorted_runs``; without one, the column does not sort.
    """

    key: str
    label: str
    width: int
    rank: int
    text: Callable[[RunSummary, datetime.datetime], str]
    to_the_right: bool = False
    sort: str = ""

    def arrow(self, reverse: bool) -> str:
        """Which way the values of a list in this order go: ``▲`` if they grow from row to row."""
        falls = self.sort in QUANTITIES and QUANTITIES[self.sort].largest and self.key != "age"
        return "▼" if falls != reverse else "▲"


def _epochs(run: RunSummary, _: datetime.datetime) -> str:
    return "" if run.problem else f"{shown(run.epoch)}/{shown(run.num_epochs)}"


def _weights(run: RunSummary, _: datetime.datetime) -> str:
    return count_text(run.parameters) if run.parameters else ""


COLUMNS = (
    RunColumn("name", "name", SHORTEST_NAME, 0, lambda run, _: run.name, sort="name"),
    RunColumn("state", "state", 13, 0, lambda run, _: state_words(run), sort="state"),
    RunColumn("epochs", "epochs", 11, 1, _epochs, True, sort="epochs"),
    RunColumn("ppl", "ppl train", 9, 1, lambda run, _: perplexity_text(run.perplexity), True, sort="ppl"),
    RunColumn("held", "held out", 8, 4, lambda run, _: perplexity_text(run.validation_perplexity), True, sort="held"),
    RunColumn("tag", "tags, note", 14, 2, lambda run, _: run.annotation, sort="tag"),
    RunColumn("model", "model", 22, 5, lambda run, _: run.model, sort="model"),
    RunColumn("corpus", "corpus", 12, 6, lambda run, _: run.corpus, sort="corpus"),
    RunColumn("weights", "weights", 7, 7, _weights, True, sort="weights"),
    RunColumn("size", "size", 8, 8, lambda run, _: bytes_text(run.bytes), True, sort="size"),
    RunColumn("age", "age", 8, 3, lambda run, now: age_text(run.created, now), True, sort="created"),
    RunColumn("created", "created", 16, 9, lambda run, _: date_text(run.created), sort="created"),
)


def layout(
    columns: Sequence[RunColumn], room: int, longest_name: int, has_annotations: bool
) -> tuple[tuple[RunColumn, int], ...]:
    """The columns that fit into ``room`` cells, with their widths; what is left over goes to name and note."""
    least = max(SHORTEST_NAME, min(longest_name, 24 if room >= 100 else SHORTEST_NAME))
    total, kept = least - SHORTEST_NAME - GAP, set()
    for column in sorted(columns, key=lambda column: column.rank):
        if column.key == "tag" and not has_annotations:
            continue
        if total + column.width + GAP > room and column.rank > 1:
            break
        total += column.width + GAP
        kept.add(column.key)
    spare = max(0, room - total)
    name = max(least, min(least + spare, LONGEST_NAME, longest_name))
    wider = {"name": name, "tag": min(40, 14 + spare - (name - least))}
    return tuple((column, wider.get(column.key, column.width)) for column in columns if column.key in kept)
