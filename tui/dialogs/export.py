"""The dialog that exports: it asks for a format and a place, and stays open until the file is written."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from core.errors import UserError
from core.export.destination import REPLACEABLE, write_file
from core.export.formats import FORMATS
from core.runs.metrics import METRICS
from core.units import bytes_text, counted
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.path_dialog import PlaceDialog
from tui.dialogs.path_input import PathInput
from tui.forms.choice import Choice
from tui.processes import core_process, sentence_of
from tui.services import READ_ONLY, host, is_alive
from tui.text.safe import shown_text

FIGURES = {"perplexities": (), **{item.label: (f"--metric={name}",) for name, item in METRICS.items()}}
"""What a picture can show, and the flags for it."""


@dataclass(frozen=True)
class Exportable:
    """What can be exported.

    Attributes:
        title: what it is, for the title of the dialog.
        name: the name of the file that is proposed, without its ending.
        sources: the folders of runs.
        formats: of ``FORMATS``; those of one run are left out where there are several.
        chart: the flags of ``python -m core export`` that draw the chart as it is on the screen; where there is none,
            the figure of a picture is asked for.
        text: what ``text`` exports in place of the samples of the runs.
        files: of other programs, which a chart also shows.
    """

    title: str
    name: str
    sources: tuple[Path, ...]
    formats: tuple[str, ...] = tuple(FORMATS)
    chart: tuple[str, ...] = ()
    text: str = ""
    files: tuple[Path, ...] = ()

    @property
    def offered(self) -> tuple[str, ...]:
        return tuple(form for form in self.formats if len(self.sources) == 1 or not FORMATS[form].is_of_one_run)


@dataclass(frozen=True)
class Exported:
    """An export that is written: in which ``folder``, and the lines that say where, which are text from outside."""

    lines: tuple[str, ...]
    folder: Path


def exportable_runs(paths: Sequence[Path], chart: Sequence[str] = (), files: Sequence[Path] = ()) -> Exportable:
    """The runs at ``paths``; ``chart`` and ``files``: see ``Exportable``."""
    (title, name) = (paths[0].name, paths[0].name) if len(paths) == 1 else (counted(len(paths), "run"), "runs")
    return Exportable(f"Export {title}", name, tuple(paths), chart=tuple(chart), files=tuple(files))


async def ask_to_export(widget: Widget, what: Exportable) -> None:
    """Ask how and where to export, do it, and say where the result is."""
    if host(widget).read_only:
        widget.notify(READ_ONLY, severity="error", markup=False)
        return
    done = await widget.app.push_screen_wait(ExportDialog(what, host(widget).remembered.export_folder))
    if done is not None and is_alive(widget):
        host(widget).remember(export_folder=str(done.folder))
        widget.notify("\n".join(map(shown_text, done.lines)), title="Exported", timeout=10, markup=False)


class _ExportChoice(Choice):
    """A choice where enter exports; what is typed or pasted is for the path."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "screen.finish", "Export", show=False)]

    def on_key(self, event: events.Key) -> None:
        if event.is_printable and event.character not in (None, " "):
            event.stop()
            self._type(event.character or "")

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self._type(event.text)

    def _type(self, text: str) -> None:
        if isinstance(self.screen, ExportDialog):
            self.screen.type_path(text)


class ExportDialog(PlaceDialog[Exported]):
    """``folder``: of the last export; empty for the working folder."""

    AUTO_FOCUS = "#export-formats"
    takes_picked = False

    def __init__(self, what: Exportable, folder: str = "") -> None:
        super().__init__("Export", PathInput("the file to write", id="export-place"), "say where: the path of a file")
        self._what = what
        self._folder = folder or os.getcwd()
        self._formats = _ExportChoice(what.offered, id="export-formats")
        self._figures = _ExportChoice(tuple(FIGURES), id="export-figures")
        self._meaning = Static("", classes="quiet", markup=False)
        self._proposed = ""

    def compose(self) -> ComposeResult:
        with self.box(Content(shown_text(self._what.title)), "export"):
            yield self._formats
            yield self._meaning
            yield self._figures
            yield self._place
            yield from self.foot("← → choose   tab completes a path")

    def on_mount(self) -> None:
        self._chosen()

    def type_path(self, text: str) -> None:
        """Put what was typed beside the line onto it, in place of the path that is proposed."""
        self._place.begin(text if self._place.value == self._proposed else self._place.value + text)

    @on(Choice.Changed)
    def _chosen(self) -> None:
        """Explain the format, and give the proposed path its ending; a path that was typed stays."""
        form = self._formats.value
        self._explain()
        self._figures.display = FORMATS[form].is_chart and not self._what.chart
        self.show_problem("")
        if self._place.value == self._proposed:
            self._proposed = self._proposal(form)
            self._place.propose(self._proposed)

    def _explain(self) -> None:
        form = self._formats.value
        self._meaning.update("what was written here" if form == "text" and self._what.text else FORMATS[form].meaning)

    def _proposal(self, form: str) -> str:
        folder, home = self._folder, os.path.expanduser("~")
        shown = f"~{folder.removeprefix(home)}" if f"{folder}/".startswith(f"{home}/") else folder
        name = self._what.name if self._what.name.isprintable() else "run"
        return f"{shown.rstrip('/')}/{name}{FORMATS[form].ending}"

    def action_finish(self) -> None:
        self.finish()

    async def result(self, path: Path) -> Exported | None:
        form = self._formats.value
        try:
            return await self._write(form, path)
        except UserError as error:
            self._explain()
            if not str(error).endswith(REPLACEABLE):
                raise
            body = str(error).removesuffix(f": {REPLACEABLE}")
        sure = ConfirmDialog("Replace it?", Content(shown_text(f"{body}.")), "Replace", danger=True)
        try:
            return await self._write(form, path, replace=True) if await self.app.push_screen_wait(sure) else None
        except UserError:
            self._explain()
            raise

    async def _write(self, form: str, path: Path, replace: bool = False) -> Exported:
        """Write the file. Raises UserError."""
        self.show_problem("")
        self._yes.disabled = True
        self._meaning.update(f"writing {shown_text(path.name)} …")
        if form == "text" and self._what.text:
            data = self._what.text.encode("utf-8", "backslashreplace")
            await asyncio.to_thread(lambda: write_file(path, data, replace=replace))
            return Exported((f"{path}, {bytes_text(len(data))}",), path.parent)
        arguments = ["export", "--json", f"--to={form}", f"--out={path}", f"--saves={self._what.sources[0].parent}"]
        arguments += ["--force"] if replace else []
        arguments += (self._what.chart or FIGURES[self._figures.value]) if FORMATS[form].is_chart else ()
        sources = (*self._what.sources, *(self._what.files if FORMATS[form].is_chart else ()))
        async with core_process([*arguments, "--", *map(str, sources)]) as process:
            out, words = await process.communicate()
        if process.returncode != 0:
            raise UserError(sentence_of(words.decode("utf-8", "replace"), "the export ended without a reason"))
        reports = [json.loads(line) for line in out.splitlines()]
        script = "".join(report.get("script", "") for report in reports)
        where = await _beside(path, script, replace) if script else _places(path, reports)
        remarks = words.decode("utf-8", "replace").strip().splitlines()
        return Exported((where, *remarks), path.parent)


def _places(path: Path, reports: Sequence[dict[str, object]]) -> str:
    size = bytes_text(sum(int(str(report["bytes"])) for report in reports))
    if FORMATS[str(reports[0]["format"])].is_folder:
        return f"{counted(len(reports), 'event file')}, {size}: tensorboard --logdir {shlex.quote(str(path))}"
    return f"{path}, {size}"


async def _beside(path: Path, script: str, replace: bool) -> str:
    """Write the script that uses the weights beside them. The weights are there already: it does not raise."""
    place = path.with_name(f"{path.name}.py")  # those of torch and of onnx do not meet
    try:
        await asyncio.to_thread(lambda: write_file(place, script.encode(), replace=replace))
    except UserError as error:
        return f"{path}; without its script: {error}"
    return f"{path}, and {place.name}, which uses it"
