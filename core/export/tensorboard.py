"""TensorBoard: the figures of a run as an event file, one scalar a figure, at the steps and times of the journal."""

from __future__ import annotations

import math
from pathlib import Path

from core.export.curves import Curve
from core.export.event_file import FILE_MARK, Scalars, event_file
from core.runs.metrics import METRICS


def events_of(curve: Curve) -> bytes:
    """The bytes of a run's event file. A tag is the name of the figure in the journal; a step counts batches."""
    steps, times = curve.required("step").tolist(), curve.required("time").tolist()
    columns = {tag: curve.columns[tag].tolist() for tag in (*METRICS, "epoch") if tag in curve.columns}
    events = [
        Scalars(
            int(steps[row]),
            0.0 if math.isnan(times[row]) else times[row],
            {tag: column[row] for tag, column in columns.items() if not math.isnan(column[row])},
        )
        for row in range(curve.rows)
    ]
    return event_file(events, _begun(curve))


def event_path(folder: Path, curve: Curve) -> Path:
    """The event file of a run in a folder of logs: a folder of its own, by which TensorBoard distinguishes runs.

    The file's name follows from the run alone, so exporting again replaces it.
    """
    return folder / curve.name / f"events.out.{FILE_MARK}.{max(0, int(_begun(curve)))}.rnn-playground"


def _begun(curve: Curve) -> float:
    first = float(curve.required("time")[0])
    return 0.0 if math.isnan(first) else first
