"""What can be exported of runs without their weights: a table, their samples, a chart, TensorBoard's logs. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.export.curves import Curve, distinct_names, read_run, read_samples, require_rows, with_distinct_names
from core.export.destination import check_destination, make_folder, write_file
from core.export.picture import Chart, picture
from core.export.reading import read_curves
from core.export.table import csv_text, samples_text
from core.export.tensorboard import event_path, events_of
from core.runs.run import Run
from core.units import counted


@dataclass(frozen=True)
class Exported:
    """A file that is not written yet.

    Attributes:
        data: its bytes.
        contents: what is in it, in a few words.
        remarks: sentences for the reader: what was left out, and why.
    """

    data: bytes
    contents: str
    remarks: tuple[str, ...] = ()


def table(runs: Sequence[Run]) -> Exported:
    """The figures of runs as CSV. Raises UserError where no run has an epoch, as all below do."""
    curves, remarks = require_rows(_curves(runs))
    contents = f"{counted(sum(curve.rows for curve in curves), 'row')} of {counted(len(curves), 'run')}"
    return Exported(_encoded(csv_text(curves)), contents, tuple(remarks))


def samples(runs: Sequence[Run]) -> Exported:
    """The texts that runs wrote while they trained."""
    written = [(name, read_samples(run)) for run, name in zip(runs, distinct_names(runs), strict=True)]
    count = sum(len(texts) for _, texts in written)
    if not count:
        raise UserError(f"{', '.join(name for name, _ in written)}: no samples were written while training")
    return Exported(_encoded(samples_text(written)), counted(count, "sample"))


def chart(sources: Sequence[Run | Path], what: Chart, form: str) -> Exported:
    """A picture, ``png`` or ``svg``, of runs and of files that other programs wrote: see ``reading``."""
    runs = [source for source in sources if isinstance(source, Run)]
    named = iter(distinct_names(runs))
    curves: list[Curve] = []
    unread: list[str] = []
    for source in sources:
        curves += [read_run(source, next(named))] if isinstance(source, Run) else read_curves(source, unread)
    trained, remarks = require_rows(with_distinct_names(curves))
    data, more, drawn = picture(trained, what, form)
    contents = counted(len(curves), "curve")
    return Exported(data, contents if drawn == len(curves) else f"{drawn} of {contents}", (*unread, *remarks, *more))


def write_logs(runs: Sequence[Run], folder: Path, *, replace: bool = False) -> tuple[list[tuple[Path, int]], list[str]]:
    """Write an event file for each run, each in a folder of its own in ``folder``, which may hold others' already.

    Returns the files with the number of their steps, and remarks. Raises UserError; what exists is refused before
    anything is written.
    """
    curves, remarks = require_rows(_curves(runs))
    paths = [event_path(folder, curve) for curve in curves]
    for path in paths:
        if path.parent.is_dir():
            check_destination(path, replace=replace)
    for curve, path in zip(curves, paths, strict=True):
        make_folder(path.parent)
        write_file(path, events_of(curve), replace=replace)
    return [(path, curve.rows) for curve, path in zip(curves, paths, strict=True)], remarks


def _curves(runs: Sequence[Run]) -> Iterable[Curve]:
    return (read_run(run, name) for run, name in zip(runs, distinct_names(runs), strict=True))


def _encoded(text: str) -> bytes:
    """UTF-8; half a surrogate pair, as in the name of a folder that is no UTF-8, becomes an escape."""
    return text.encode("utf-8", "backslashreplace")
