"""The dialog that exports: formats, places, what is in the way, and where the result is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Button, Input

from core.errors import UserError
from core.export.formats import FORMATS
from tests.run_folders import make_run
from tests.tui.pane_harness import PaneApp
from tests.tui.waiting import until
from tui.dialogs import export as dialog_module
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.export import Exportable, ExportDialog, Exported, exportable_runs
from tui.forms.choice import Choice
from tui.panes.runs.compare import Compare
from tui.panes.runs.compare_chart import RunsChart
from tui.panes.runs.pane import RunsPane
from tui.services import READ_ONLY


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    for number, name in enumerate(("月亮忘记了", "two")):
        make_run(tmp_path / "saves", name, held_out=number == 0, created=f"2026-01-0{3 - number}T03:04:05+00:00")
    return tmp_path / "saves"


class RunsApp(PaneApp):
    def __init__(self, saves: Path, out: Path) -> None:
        super().__init__(RunsPane(), saves)
        self.remember(export_folder=str(out))

    @property
    def dialog(self) -> ExportDialog:
        assert isinstance(self.screen, ExportDialog)
        return self.screen

    @property
    def line(self) -> Input:
        return self.dialog.query_one("#path-line", Input)

    @property
    def problem(self) -> str:
        return str(self.dialog.query_one("#dialog-error").content)  # type: ignore[attr-defined]


async def opened(pilot: Any, app: RunsApp, *keys: str) -> None:
    await until(pilot, lambda: len(app.pane.table.runs) == 2)  # type: ignore[attr-defined]
    await pilot.press(*keys, "E")
    await until(pilot, lambda: isinstance(app.screen, ExportDialog) and app.line.value)


async def test_a_run_is_exported_replaced_and_refused(saves: Path, tmp_path: Path, forked_programs: None) -> None:
    out = tmp_path / "out"
    out.mkdir()
    app = RunsApp(saves, out)
    table = out / "月亮忘记了.csv"
    async with app.run_test(size=(80, 24)) as pilot:
        for count, size in enumerate(((200, 60), (120, 40), (80, 24)), 1):
            await pilot.resize_terminal(*size)
            await opened(pilot, app)
            assert app.line.value.endswith("/out/月亮忘记了.png")
            await pilot.press("right", "right")
            await until(pilot, lambda: app.line.value.endswith("/out/月亮忘记了.csv"))
            await pilot.press("enter")
            await until(pilot, lambda count=count: len(app.notices) == count)
            assert "月亮忘记了.csv, " in app.notices[-1]
            assert table.read_text("utf-8").startswith("run,epoch") and not list(out.glob(".*")), size
            if size != (80, 24):
                table.unlink()
        table.write_text("mine", encoding="utf-8")
        await opened(pilot, app)
        await pilot.press("right", "right", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("enter")  # the safe answer has the focus
        await until(pilot, lambda: not app.dialog.query_one("#yes", Button).disabled)
        assert table.read_text("utf-8") == "mine"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("left", "enter")
        await until(pilot, lambda: len(app.notices) == 4)
        assert table.read_text("utf-8").startswith("run,epoch")
        await opened(pilot, app)
        await pilot.press("right", "right", "right", "enter")
        await until(pilot, lambda: any("tensorboard --logdir" in notice for notice in app.notices))
        await opened(pilot, app)
        app.line.value = f"{out}/nowhere/x.csv"
        app.dialog.query_one("#export-formats").value = "csv"  # type: ignore[attr-defined]
        app.line.focus()
        await pilot.press("enter")
        await until(pilot, lambda: "make it first" in app.problem)
        assert app.line.value == f"{out}/nowhere/x.csv", "what was typed is kept"


async def test_a_path_may_be_typed_or_pasted_at_once(saves: Path, tmp_path: Path) -> None:
    app = RunsApp(saves, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        for is_pasted in (False, True):
            await opened(pilot, app)
            wanted = tmp_path / f"一 {is_pasted}.png"
            if is_pasted:
                assert app.focused is not None
                app.focused.post_message(events.Paste(str(wanted)))
                await until(pilot, lambda: app.line.has_focus)
            else:
                await pilot.press(*str(wanted))
            assert app.line.value == str(wanted)
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, ExportDialog))


async def test_a_chart_is_exported_as_it_stands(saves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []

    @contextlib.asynccontextmanager
    async def refuse(arguments: list[str]) -> AsyncIterator[Any]:
        asked.append(arguments)
        raise UserError("a picture needs matplotlib, which is not installed")
        yield

    monkeypatch.setattr(dialog_module, "core_process", refuse)
    app = RunsApp(saves, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(app.pane.table.runs) == 2)  # type: ignore[attr-defined]
        await pilot.press("asterisk", "c")
        chart = app.query_one(RunsChart)
        await until(pilot, lambda: len(chart.shown.lines) == 2 and app.query_one(Compare).has_focus)
        await pilot.press("x", "l", "o", "E")
        await until(pilot, lambda: isinstance(app.screen, ExportDialog) and app.line.value)
        assert app.dialog.query_one("#export-formats").options == tuple(FORMATS)[:-2], "weights are of one run"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: "matplotlib" in app.problem)
        assert {"--metric=perplexity", "--axis=step", "--scale=linear", "--smoothing=0.6", "--to=png"} <= set(asked[0])
        names = asked[0][asked[0].index("--") + 1 :]
        assert [Path(name).name for name in names] == ["月亮忘记了", "two"]
        figures = app.dialog.query_one("#export-figures", Choice)
        assert not figures.display, "the chart has one"
        await pilot.press("escape")
        await until(pilot, lambda: app.query_one(Compare).has_focus)
        await pilot.press("escape")
        await until(pilot, lambda: app.pane.table.has_focus)  # type: ignore[attr-defined]
        for moves, metrics in ((0, []), (1, ["--metric=perplexity"]), (4, ["--metric=validation_loss"])):
            await opened(pilot, app)
            await pilot.press("down", *["right"] * moves, "enter")
            await until(pilot, lambda: "matplotlib" in app.problem)
            assert [flag for flag in asked[-1] if flag.startswith("--metric")] == metrics
            await pilot.press("home", "up", "end")
            figures = app.dialog.query_one("#export-figures", Choice)
            await until(pilot, lambda figures=figures: not figures.display)
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, ExportDialog))


async def test_a_written_text_goes_to_a_file_and_read_only_exports_nothing(saves: Path, tmp_path: Path) -> None:
    what = Exportable("Export", "song", (saves / "two",), ("text", "torch"), text="分开\n")
    app = RunsApp(saves, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        results: list[Exported | None] = []
        app.push_screen(ExportDialog(what, str(tmp_path)), results.append)
        await until(pilot, lambda: isinstance(app.screen, ExportDialog) and app.line.value)
        await pilot.press("enter")
        await until(pilot, lambda: results)
        assert results[0] is not None and "song.txt" in results[0].lines[0] and results[0].folder == tmp_path
        assert (tmp_path / "song.txt").read_text("utf-8") == "分开\n"
        type(app).read_only = True
        try:
            await pilot.press("E")
            await until(pilot, lambda: READ_ONLY in app.notices)
        finally:
            type(app).read_only = False


async def test_weights_come_with_their_script(saves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Process:
        returncode = 0

        async def communicate(self) -> tuple[bytes, bytes]:
            report = {"event": "exported", "format": "onnx", "path": "x", "bytes": 9, "script": "print(1)\n"}
            return json.dumps(report).encode(), b"two is open in an engine\n"

    @contextlib.asynccontextmanager
    async def answer(arguments: list[str]) -> AsyncIterator[Process]:
        yield Process()

    monkeypatch.setattr(dialog_module, "core_process", answer)
    app = RunsApp(saves, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app, "down")
        await pilot.press("end")
        await until(pilot, lambda: app.line.value.endswith("two.onnx"))
        await pilot.press("enter")
        await until(pilot, lambda: app.notices)
        assert (tmp_path / "two.onnx.py").read_text() == "print(1)\n"
        assert app.notices[0].endswith("two.onnx.py, which uses it\ntwo is open in an engine")


def test_the_weights_of_several_runs_are_not_offered() -> None:
    assert exportable_runs([Path("a")]).offered == tuple(FORMATS)
    assert not {"torch", "onnx"} & set(exportable_runs([Path("a"), Path("b")]).offered)
