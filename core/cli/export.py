"""``python -m core export``: runs in the formats of other tools."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from core.cli.printing import print_remarks, printable, put, safe_text
from core.errors import UserError
from core.export import figures, scripts
from core.export.destination import check_destination, write_file
from core.export.extras import library
from core.export.figures import Exported
from core.export.formats import ENDINGS, FORMATS
from core.export.picture import Chart
from core.process import resume_collection, temporary_folder
from core.runs.run import Run
from core.runs.store import find_run
from core.scales import SCALES
from core.units import bytes_text, counted

STANDARD_OUTPUT = "-"


def export(options: argparse.Namespace) -> int:
    resume_collection()
    form = options.to or _form_of(options.out)
    _check_out(options, form)
    if FORMATS[form].is_folder:
        return _export_logs(options, form)
    if FORMATS[form].is_of_one_run:
        return _export_weights(options, form)
    exported = _figures(options, form)
    print_remarks(*exported.remarks)
    if options.out == STANDARD_OUTPUT:
        _print_data(exported.data, is_text=form != "png")
        return 0
    path = Path(options.out)
    write_file(path, exported.data, replace=options.force)
    _report(options, form, path, exported.contents, remarks=exported.remarks)
    return 0


def _form_of(out: str) -> str:
    """The format that the name of the file asks for. Raises UserError."""
    form = ENDINGS.get(Path(out).suffix.lower())
    if form is None:
        endings = ", ".join(ENDINGS)
        raise UserError(f"name the format with --to, or a file that ends in {endings} with --out; got {out!r}")
    return form


def _check_out(options: argparse.Namespace, form: str) -> None:
    """Raise UserError for a place that cannot be written, before anything is computed."""
    if options.out != STANDARD_OUTPUT:
        if not FORMATS[form].is_folder:
            check_destination(Path(options.out), replace=options.force)
    elif not FORMATS[form].is_printed:
        raise UserError(f"{form} is not printed: name a {'folder' if FORMATS[form].is_folder else 'file'} with --out")
    elif form == "png" and sys.stdout.isatty():
        raise UserError("a picture is not printed on a terminal: name a file with --out")


def _runs(options: argparse.Namespace, form: str) -> list[Run]:
    """The runs that are named, each once. Raises UserError, also for a file of another program."""
    runs = []
    for source in _sources(options):
        if isinstance(source, Path):
            charts = ", ".join(name for name, item in FORMATS.items() if item.is_chart)
            raise UserError(f"{source} is no run: {form} is made of runs; a chart ({charts}) takes other curves too")
        runs.append(source)
    return runs


def _sources(options: argparse.Namespace) -> list[Run | Path]:
    """Runs, and the files of other programs: whatever each name means. Raises UserError."""
    found: dict[Path, Run | Path] = {}
    for name in options.runs:
        path = Path(name)
        if os.path.exists(path) and not Run(options.saves / name).exists() and not Run(path).exists():
            found[path.resolve()] = path
        else:
            run = find_run(options.saves, name)
            found[run.path] = run
    return list(found.values())


def _figures(options: argparse.Namespace, form: str) -> Exported:
    if form == "csv":
        return figures.table(_runs(options, form))
    if form == "text":
        return figures.samples(_runs(options, form))
    metrics, scale = tuple(dict.fromkeys(options.metric)), SCALES.get(options.scale)
    return figures.chart(_sources(options), Chart(metrics, options.axis, scale, options.smoothing, options.title), form)


def _export_logs(options: argparse.Namespace, form: str) -> int:
    written, remarks = figures.write_logs(_runs(options, form), Path(options.out), replace=options.force)
    print_remarks(*remarks)
    for path, steps in written:
        _report(options, form, path, counted(steps, "step"), remarks=remarks)
    return 0


def _export_weights(options: argparse.Namespace, form: str) -> int:
    """Write the weights of one run, and print the script that uses them."""
    runs, path = _runs(options, form), Path(options.out)
    if len(runs) != 1:
        raise UserError(f"{form} exports one run at a time, got {len(runs)}")
    (run,) = runs
    if form == "onnx":
        library("onnx", "an export as onnx")  # said before torch is loaded
    temporary_folder()  # torch needs it

    from core.engine.loading import load_model

    stored = load_model(run)
    model, vocabulary = stored.model, stored.vocabulary
    if form == "onnx":
        from core.export.onnx_step import onnx_file as file_of

        script_of = scripts.onnx_script
    else:
        from core.export.weights import weights_file as file_of

        script_of = scripts.torch_script
    script = script_of(model.config, vocabulary, run.name, str(path))
    write_file(path, file_of(model, vocabulary, run.name), replace=options.force)
    remarks = [stored.remark] if stored.remark else []
    if run.is_held():
        remarks.append(f"{run.name} is open in an engine: these are the weights of its last checkpoint")
    print_remarks(*remarks)
    if options.json:
        _report(options, form, path, remarks=remarks, script=script)
    else:
        print(script, end="")
    return 0


def _print_data(data: bytes, is_text: bool) -> None:
    if is_text:
        text = data.decode()
        sys.stdout.write(safe_text(text) if sys.stdout.isatty() else text)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _report(
    options: argparse.Namespace, form: str, path: Path, contents: str = "", *, remarks: Sequence[str], script: str = ""
) -> None:
    size = path.stat().st_size
    if options.json:
        line = {"event": "exported", "format": form, "path": str(path), "bytes": size, "remarks": list(remarks)}
        put({**line, "script": script} if script else line)
    else:
        print(printable(f"{path}: {contents}, {bytes_text(size)}"))
