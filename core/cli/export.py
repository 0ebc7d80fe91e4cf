"""``python -m core export``: runs in the formats of other tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.cli.printing import printable, put, safe_text
from core.errors import RunError, UserError
from core.export.curves import Curve, distinct_names, read_run, read_samples, require_rows, told_apart
from core.export.destination import check_destination, make_folder, write_file
from core.export.extras import library
from core.export.picture import Chart, metrics_of, picture
from core.export.reading import read_curves
from core.export.table import csv_text, samples_text
from core.export.tensorboard import event_path, events_of
from core.process import resume_collection, temporary_folder
from core.runs.run import Run
from core.runs.store import find_run
from core.units import bytes_text, counted

if TYPE_CHECKING:
    from core.corpus.vocabulary import Vocabulary
    from core.models.language_model import LanguageModel

STANDARD_OUTPUT = "-"
_ENDINGS = {".csv": "csv", ".txt": "text", ".png": "png", ".svg": "svg", ".onnx": "onnx", ".safetensors": "torch"}


@dataclass
class Exported:
    """What an export has made.

    Attributes:
        data: the file.
        remarks: sentences for the reader.
        script: a program that uses the file, or empty.
        contents: what is in it, in words.
    """

    data: bytes = b""
    remarks: list[str] = field(default_factory=list)
    script: str = ""
    contents: str = ""


def export(options: argparse.Namespace) -> int:
    """Export runs."""
    resume_collection()
    form = options.to or _form_of(options.out)
    if form == "tensorboard":
        return _export_logs(options)
    if options.out != STANDARD_OUTPUT:
        check_destination(Path(options.out), replace=options.force)
    elif form not in _TO_OUTPUT:
        raise UserError(f"{form} is not printed: name a file with --out")
    elif form == "png" and sys.stdout.isatty():
        raise UserError("a picture is not printed on a terminal: name a file with --out")
    exported = _FORMS[form](options)
    for remark in exported.remarks:
        print(printable(remark), file=sys.stderr)
    if options.out == STANDARD_OUTPUT:
        _print_data(exported.data, is_text=form != "png")
        return 0
    write_file(Path(options.out), exported.data, replace=options.force)
    _report(options, form, [Path(options.out)], exported)
    return 0


def _form_of(out: str) -> str:
    """The format that the name of the file asks for. Raises UserError."""
    form = _ENDINGS.get(Path(out).suffix.lower())
    if form is None:
        endings = ", ".join(_ENDINGS)
        raise UserError(f"name the format with --to, or a file that ends in {endings} with --out; got {out!r}")
    return form


def _print_data(data: bytes, is_text: bool) -> None:
    if is_text:
        text = data.decode()
        sys.stdout.write(safe_text(text) if sys.stdout.isatty() else text)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _report(options: argparse.Namespace, form: str, paths: Sequence[Path], exported: Exported) -> None:
    if options.json:
        for path in paths:
            line = {"event": "exported", "format": form, "path": str(path), "bytes": path.stat().st_size}
            put({**line, "script": exported.script} if exported.script else line)
    elif exported.script:
        print(exported.script, end="")
    else:
        for path in paths:
            print(printable(f"{path}: {exported.contents}, {bytes_text(path.stat().st_size)}"))


# ---------------------------------------------------------------------------------------------------------------------
# What is exported


def _runs(options: argparse.Namespace) -> list[tuple[Run, str]]:
    """The runs that are named, each once, and a name for each that no other has. Raises UserError."""
    runs = {run.path: run for run in (find_run(options.saves, name) for name in options.runs)}
    return list(zip(runs.values(), distinct_names(list(runs.values())), strict=True))


def _curves(options: argparse.Namespace) -> tuple[list[Curve], list[str]]:
    """The curves of the runs that have epochs, and remarks."""
    return require_rows(read_run(run, name) for run, name in _runs(options))


def _csv(options: argparse.Namespace) -> Exported:
    curves, remarks = _curves(options)
    contents = f"{counted(sum(curve.rows for curve in curves), 'row')} of {counted(len(curves), 'run')}"
    return Exported(_encoded(csv_text(curves)), remarks, contents=contents)


def _samples(options: argparse.Namespace) -> Exported:
    written = [(name, read_samples(run)) for run, name in _runs(options)]
    count = sum(len(samples) for _, samples in written)
    if not count:
        raise UserError(f"{', '.join(name for name, _ in written)}: no samples were written while training")
    return Exported(_encoded(samples_text(written)), contents=counted(count, "sample"))


def _encoded(text: str) -> bytes:
    """UTF-8; half a surrogate pair, as in the name of a folder that is no UTF-8, becomes an escape."""
    return text.encode("utf-8", "backslashreplace")


def _picture(form: str) -> Callable[[argparse.Namespace], Exported]:
    def drawn(options: argparse.Namespace) -> Exported:
        curves, remarks = require_rows(_curves_to_draw(options))
        metrics = tuple(dict.fromkeys(options.metric)) or metrics_of(curves)
        log = None if options.scale is None else options.scale == "log"
        chart = Chart(metrics, options.axis, log, options.smoothing, options.title)
        data, more = picture(curves, chart, form)
        return Exported(data, [*remarks, *more], contents=f"{', '.join(metrics)} of {counted(len(curves), 'curve')}")

    return drawn


def _curves_to_draw(options: argparse.Namespace) -> list[Curve]:
    """Runs, and the files of other programs: whatever each name means. Raises UserError."""
    found: dict[Path, Run | Path] = {}
    for name in options.runs:
        try:
            run = find_run(options.saves, name)
            found[run.path] = run
        except RunError:
            if not Path(name).exists():
                raise
            found[Path(name).resolve()] = Path(name)
    names = iter(distinct_names([source for source in found.values() if isinstance(source, Run)]))
    curves: list[Curve] = []
    for source in found.values():
        curves += [read_run(source, next(names))] if isinstance(source, Run) else read_curves(source)
    return told_apart(curves)


def _export_logs(options: argparse.Namespace) -> int:
    """Write an event file for each run, each in its folder of the folder of logs."""
    if options.out == STANDARD_OUTPUT:
        raise UserError("tensorboard is not printed: name a folder of logs with --out")
    curves, remarks = _curves(options)
    paths = [event_path(Path(options.out), curve) for curve in curves]
    for path in paths:
        if path.parent.is_dir():
            check_destination(path, replace=options.force)
    for remark in remarks:
        print(printable(remark), file=sys.stderr)
    for curve, path in zip(curves, paths, strict=True):
        make_folder(path.parent)
        write_file(path, events_of(curve), replace=options.force)
        _report(options, "tensorboard", [path], Exported(contents=counted(curve.rows, "step")))
    return 0


def _loaded(options: argparse.Namespace, form: str) -> tuple[LanguageModel, Vocabulary, str, list[str]]:
    """The model of the one run, its vocabulary, its name, and remarks. Raises UserError."""
    runs = _runs(options)
    if len(runs) != 1:
        raise UserError(f"{form} exports one run at a time, got {len(runs)}")
    ((run, name),) = runs
    temporary_folder()

    from core.engine.loading import load_model

    model, vocabulary = load_model(run)
    remarks = [f"{name} is open in an engine: these are the weights of its last checkpoint"] if run.is_held() else []
    return model, vocabulary, name, remarks


def _torch(options: argparse.Namespace) -> Exported:
    model, vocabulary, name, remarks = _loaded(options, "torch")

    from core.export.weights import weights_file, weights_script

    script = weights_script(model, vocabulary, name, Path(options.out))
    return Exported(weights_file(model, vocabulary, name), remarks, script)


def _onnx(options: argparse.Namespace) -> Exported:
    library("onnx", "an export as onnx")  # before torch is loaded
    model, vocabulary, name, remarks = _loaded(options, "onnx")

    from core.export.onnx_step import onnx_file, onnx_writing

    script = onnx_writing(model, vocabulary, name, Path(options.out))
    return Exported(onnx_file(model, vocabulary, name), remarks, script)


_FORMS: dict[str, Callable[[argparse.Namespace], Exported]] = {
    "csv": _csv, "text": _samples, "png": _picture("png"), "svg": _picture("svg"), "torch": _torch, "onnx": _onnx,
}  # fmt: skip
_TO_OUTPUT = ("csv", "text", "png", "svg")
