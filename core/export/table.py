"""CSV: one row an epoch, with every figure that the journal has. pandas, R and spreadsheets read it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from core.events import SampleWritten
from core.export.curves import WHOLE_COLUMNS, Curve


def csv_text(curves: Iterable[Curve]) -> str:
    """The curves one after the other; the first column, ``run``, is the curve's name.

    A figure that the journal does not have is empty, a perplexity beyond floating point ``inf``. Numbers have all their
    digits: reading them gives the same floating-point numbers.
    """
    curves = list(curves)
    names = list(dict.fromkeys(name for curve in curves for name in curve.columns))
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["run", *names])
    for curve in curves:
        columns = [_texts(curve, name) for name in names]
        writer.writerows([curve.name, *row] for row in zip(*columns, strict=True))
    return lines.getvalue()


def _texts(curve: Curve, name: str) -> list[str]:
    if name not in curve.columns:
        return [""] * curve.rows
    values = curve.columns[name].tolist()
    if name in WHOLE_COLUMNS:
        return ["" if math.isnan(value) else str(int(value)) for value in values]
    return ["" if math.isnan(value) else repr(value) for value in values]


def samples_text(samples: Iterable[tuple[str, Sequence[SampleWritten]]]) -> str:
    """The texts that runs, (name, samples), wrote while they trained, each below a line with the run and the epoch."""
    parts = [
        f"== {name}, epoch {sample.epoch:,} ==\n{sample.prefix}{sample.text}\n"
        for name, written in samples
        for sample in written
    ]
    return "\n".join(parts)
