"""Curves that other programs wrote: TensorBoard's event files, and CSV with a row of names.

For comparison only: what is read here is drawn, never trained on.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core.errors import UserError, refusing
from core.export.curves import Curve
from core.export.event_file import FILE_MARK, EventFileError, Scalars, is_event_file, scalars_of
from core.files import is_broken_link, open_to_read
from core.runs.comparison import Column
from core.runs.metrics import AXES
from core.units import bytes_text, counted

LARGEST = 1 << 27
MOST_COLUMNS = 1000
MOST_FILES = 1000
_SEPARATORS = ",;\t"
# What other programs call what our journal calls otherwise; compared in lower case, with _ for / - . and blanks.
_OTHER_NAMES = {
    "step": ("global_step", "iteration", "iter", "batch"),
    "time": ("wall_time", "timestamp"),
    "loss": ("train_loss", "training_loss", "loss_train", "loss_training"),
    "validation_loss": ("val_loss", "valid_loss", "eval_loss", "test_loss", "loss_val", "loss_validation", "loss_eval"),
    "perplexity": ("ppl", "train_ppl", "train_perplexity", "perplexity_train", "training_perplexity"),
    "validation_perplexity": ("val_ppl", "valid_ppl", "eval_ppl", "val_perplexity", "eval_perplexity"),
    "learning_rate": ("lr", "train_lr", "train_learning_rate"),
    "gradient_norm": ("grad_norm", "train_grad_norm"),
}
_OURS = {other: ours for ours, others in _OTHER_NAMES.items() for other in others}


def read_curves(path: Path, remarks: list[str] | None = None) -> list[Curve]:
    """The curves in a CSV file, in an event file, or in the event files that ``event_files`` finds in a folder.

    A column or tag keeps its name and is found by the name that the journal has for it too: ``val_loss`` also as
    ``validation_loss``. A CSV with a column ``run`` holds several curves. ``remarks`` gets a sentence for each folder
    that is left out. Raises UserError with a sentence that names the file and what is wrong with it.
    """
    if os.path.isdir(path):
        return _of_folder(path, remarks)
    data = _data(path)
    if is_event_file(data):
        return [_of_events(path, _events(path, data))]
    if b"\0" in data[:4096] or FILE_MARK in path.name:
        raise UserError(f"{path} is neither an event file of TensorBoard nor a CSV file")
    return _of_table(path, data)


def _data(path: Path) -> bytes:
    """The bytes of a file of some size. Raises UserError."""
    try:
        with open_to_read(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST:
                raise UserError(f"{path} has {bytes_text(size)}: curves are read from up to {bytes_text(LARGEST)}")
            data = file.read(LARGEST)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not data.strip():
        raise UserError(f"{path} is empty")
    return data


def _named(names: list[str]) -> dict[str, str]:
    """Our name of each column that has another one, where no column has ours."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[\W_]+", "_", name.lower()).strip("_")
        ours = _OURS.get(plain, plain if plain in (*_OTHER_NAMES, *AXES) else "")
        if ours and ours not in names:
            found.setdefault(ours, name)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Event files


def event_files(folder: Path, remarks: list[str] | None = None) -> dict[Path, list[Path]]:
    """The event files of a folder, and of each folder in it: TensorBoard has a folder for each run.

    Raises UserError if there are none, or if a folder cannot be read. Broken links are left out, and so is a folder in
    it that cannot be read, where the folder has files of its own; ``remarks`` says why.
    """
    broken: list[Path] = []
    found = {folder: _event_files_in(folder, broken)}
    with refusing(f"{folder} cannot be read", UserError):
        folders = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    for inner in folders:
        with _leaving_out(inner, remarks, allowed=bool(found[folder])):
            found[inner] = _event_files_in(inner, broken)
    found = {here: files for here, files in found.items() if files}
    if not found and broken:
        raise UserError(f"{broken[0]} is a broken link")
    if remarks is not None:
        remarks += [f"{path} is a broken link: it is left out" for path in broken]
    if not found:
        raise UserError(f"{folder} contains neither a run nor an event file: name a run, or the file of a curve")
    if (number := sum(map(len, found.values()))) > MOST_FILES:
        raise UserError(f"{folder} holds {counted(number, 'event file')}: name one of them")
    return found


def _of_folder(folder: Path, remarks: list[str] | None) -> list[Curve]:
    found, curves = event_files(folder, remarks), []
    for here, files in found.items():
        with _leaving_out(here, remarks, allowed=here != folder and folder in found):
            curves.append(_of_events(here, [event for file in files for event in _events(file, _data(file))]))
    return curves


@contextmanager
def _leaving_out(folder: Path, remarks: list[str] | None, *, allowed: bool) -> Iterator[None]:
    """Go on after the block if something in ``folder`` cannot be read, where that is ``allowed``, with a remark."""
    try:
        yield
    except UserError as error:
        if not allowed:
            raise
        if remarks is not None:
            remarks.append(f"{folder.name} is left out: {error}")


def _event_files_in(folder: Path, broken: list[Path]) -> list[Path]:
    with refusing(f"{folder} cannot be read", UserError):
        named = [folder / name for name in sorted(os.listdir(folder)) if FILE_MARK in name]
    broken += filter(is_broken_link, named)
    return [path for path in named if not os.path.isdir(path) and path not in broken]


def _events(path: Path, data: bytes) -> list[Scalars]:
    """The scalars of one file; of one that is being written, those that are there. Raises UserError."""
    events: list[Scalars] = []
    try:
        for event in scalars_of(data):
            events.append(event)
    except EventFileError as error:
        if not error.is_cut or not events:
            what = "ends within its first record" if error.is_cut and not error.at else f"is damaged: its {error}"
            raise UserError(f"{path} {what}") from None
    return events


def _of_events(path: Path, events: list[Scalars]) -> Curve:
    """One row a step; if a figure was written twice for a step, the last one counts, as in TensorBoard."""
    rows: dict[int, tuple[float, dict[str, float]]] = {}
    for event in events:
        _, values = rows.get(event.step, (0.0, {}))
        rows[event.step] = (event.time, {**values, **event.values})
    if not rows:
        raise UserError(f"{path} has no scalars")
    steps = sorted(rows)
    tags = list(dict.fromkeys(tag for step in steps for tag in rows[step][1]))
    if len(tags) > MOST_COLUMNS:
        raise UserError(f"{path} has {len(tags):,} scalars, more than the {MOST_COLUMNS:,} that are read")
    columns = {tag: np.array([rows[step][1].get(tag, math.nan) for step in steps]) for tag in tags}
    columns.setdefault("step", np.array(steps, dtype=np.float64))
    columns.setdefault("time", np.array([rows[step][0] for step in steps]))
    ours = {ours: columns[name] for ours, name in _named(list(columns)).items()}
    return Curve(path.name or str(path), {**columns, **ours}, path)


# ---------------------------------------------------------------------------------------------------------------------
# CSV


def _of_table(path: Path, data: bytes) -> list[Curve]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is neither an event file nor a CSV in UTF-8") from None
    names, rows = _header(path, text)
    label = next((index for index, name in enumerate(names) if name.lower() == "run"), None)
    columns: dict[int, array[float]] = {index: array("d") for index in range(len(names)) if index != label}
    labels: list[str] = []
    for row in rows:
        labels.append("" if label is None else row[label])
        for index in list(columns):
            cell = row[index].strip()
            try:
                columns[index].append(float(cell) if cell else math.nan)
            except ValueError:
                del columns[index]  # a column of texts
    numbers = {names[index]: np.array(column) for index, column in columns.items()}
    numbers = {name: column for name, column in numbers.items() if not np.isnan(column).all()}
    if not labels:
        raise UserError(f"{path} has a row of names and no rows of figures")
    if not numbers:
        raise UserError(f"{path} has no column of numbers")
    return [_curve(path, name, numbers, rows) for name, rows in _rows_of(labels).items()]


def _rows_of(labels: list[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        found.setdefault(label, []).append(row)
    return found


def _curve(path: Path, label: str, numbers: Mapping[str, Column], rows: list[int]) -> Curve:
    columns = {name: column[rows] for name, column in numbers.items()}
    columns |= {ours: columns[name] for ours, name in _named(list(columns)).items()}
    if not any(axis in columns for axis in AXES):
        columns["step"] = np.arange(1.0, len(rows) + 1)
    return Curve(label or path.stem or path.name, columns, path)


def _header(path: Path, text: str) -> tuple[list[str], Iterator[list[str]]]:
    """The names in the first row, and the rows below it. Raises UserError for what is no table of figures."""
    first = text.lstrip().partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    lines = csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=separator)
    rows = _rows(path, lines, is_cut=not text.endswith(("\n", "\r")))
    names = [name.strip() for name in next(rows, [])]
    if len(names) > MOST_COLUMNS:
        raise UserError(f"{path} has {len(names):,} columns, more than the {MOST_COLUMNS:,} that are read")
    if not any(names) or all(_is_number(name) for name in names):
        raise UserError(f"{path} has no row of names above its figures")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path} has two columns named {twice[:60]!r}")
    return names, rows


def _rows(path: Path, lines: Iterator[list[str]], is_cut: bool) -> Iterator[list[str]]:
    """The rows, all as long as the first; a last one that is being written is left out. Raises UserError."""
    width, short = 0, ""
    try:
        for number, row in enumerate(lines, 1):
            if short:
                break
            if not row:
                continue
            width = width or len(row)
            if len(row) != width:
                short = f"row {number:,} has {counted(len(row), 'field')}, and the first has {width:,}"
                continue
            yield row
        else:
            if not short or is_cut:
                return
    except csv.Error as error:
        short = f"{error}"
    raise UserError(f"{path} is not a readable CSV file: {short}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
