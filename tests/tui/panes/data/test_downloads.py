"""Texts that are downloaded: asked first, shown on the way, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, OptionList, Static

from core.corpus.catalogue import DOWNLOADS
from core.errors import CorpusError
from tests.tui.pane_harness import PaneApp
from tests.tui.panes.data.harness import SIZE, Describer, computed
from tests.tui.waiting import until
from tui.dialogs.confirm import ConfirmDialog
from tui.forms.form import Form
from tui.messages import CorpusChosen, TextsChanged
from tui.panes.data import pane as data_module
from tui.panes.data.pane import DataPane


async def test_without_bundled_texts_the_downloads_stand_there(tmp_path: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), tmp_path, data=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.query_one("#data-download").display)
        assert app.query_one("#data-texts", OptionList).option_count == len(DOWNLOADS)
        assert not describer.asked


class Downloader:
    """Stands in for the process that downloads: it stops half way until ``go`` is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.error = ""
        self.cancelled = False
        self.go = asyncio.Event()

    async def __call__(self, name: str, *, data_dir: Path | None, progress: Callable[[int, int], None]) -> None:
        assert data_dir == self.folder
        self.asked.append(name)
        progress(89_489, 178_979)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error:
            raise CorpusError(self.error)
        (self.folder / "downloads").mkdir()
        (self.folder / "downloads" / f"{name}.txt").write_text("the time machine " * 40, encoding="utf-8")


@pytest.fixture
def downloader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Downloader:
    """The pane's downloads, scripted."""
    downloader = Downloader(folder)
    monkeypatch.setattr(data_module, "download", downloader)
    return downloader


def words(app: PaneApp, name: str) -> str:
    return str(app.screen.query_one(name, Static).content)


async def offered(pilot: Any, app: PaneApp) -> None:
    """Choose the first download, which stands below the two texts."""
    await computed(pilot, app)
    await pilot.press("down", "down")
    await until(pilot, lambda: app.query_one("#data-download").display)


async def confirmed(pilot: Any, app: PaneApp) -> None:
    """Ask for it, and say yes."""
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and app.screen.query("#yes"))
    await pilot.press("enter")
    await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))


async def test_nothing_is_downloaded_before_it_is_confirmed(
    folder: Path, describer: Describer, downloader: Downloader
) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        for part in ("179 kB", "public domain", "Dive into Deep Learning", "https://d2l-data", "sha256 8424"):
            assert part in words(app, "#download-facts")
        app.query_one(DataPane).query_one(Form).edit("batch_size", "5")
        await pilot.pause()
        use = app.query_one("#data-use", Button)
        assert str(use.label) == "Download …" and not use.disabled
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and app.screen.query(".dialog-body"))
        for part in ("179 kB", "public domain", "Dive into Deep Learning"):
            assert part in words(app, ".dialog-body")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))
        assert not downloader.asked and not app.of(CorpusChosen)
        assert "time-machine" not in [name for name, _ in describer.asked]


async def test_a_download_shows_how_far_it_is_and_then_opens(
    folder: Path, describer: Describer, downloader: Downloader
) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await offered(pilot, app)
        await confirmed(pilot, app)
        await until(pilot, lambda: "89.5 kB of 179 kB" in words(app, "#download-state"))
        listed = app.query_one("#data-texts", OptionList)
        assert "50%" in str(listed.get_option_at_index(2).prompt)
        await pilot.press("enter")  # once is enough
        downloader.go.set()
        await computed(pilot, app)
        assert downloader.asked == ["time-machine"] and describer.asked[-1][0] == "time-machine"
        assert app.of(TextsChanged) and "50%" not in str(listed.get_option_at_index(2).prompt)
        await pilot.press("enter")
        await until(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings["corpus"] == "time-machine"


async def test_a_download_goes_on_while_other_texts_are_looked_at(
    folder: Path, describer: Describer, downloader: Downloader
) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        assert "v" not in app.active_bindings, "there is nothing to view yet"
        await confirmed(pilot, app)
        await pilot.press("up")
        await computed(pilot, app)
        assert not app.query_one("#data-download").display and "v" in app.active_bindings
        downloader.go.set()
        await until(pilot, lambda: app.of(TextsChanged))
        await until(pilot, lambda: "not downloaded" not in str(
            app.query_one("#data-texts", OptionList).get_option_at_index(2).prompt))  # fmt: skip
        assert describer.asked[-1][0] == "second" and "time-machine is downloaded" in app.notices


async def test_a_download_can_be_cancelled(folder: Path, describer: Describer, downloader: Downloader) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        await confirmed(pilot, app)
        await until(pilot, lambda: downloader.asked)
        await pilot.press("x")
        await until(pilot, lambda: downloader.cancelled)
        await until(pilot, lambda: "not downloaded" in words(app, "#download-state"))
        assert app.query_one("#download-go").display and not app.query_one("#download-cancel").display


async def test_leaving_ends_a_download(folder: Path, describer: Describer, downloader: Downloader) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        await confirmed(pilot, app)
        await until(pilot, lambda: downloader.asked)
    assert downloader.cancelled


async def test_what_went_wrong_stands_where_the_bar_was(
    folder: Path, describer: Describer, downloader: Downloader
) -> None:
    downloader.error = "time-machine cannot be fetched, there is no way to [bold]: check the network and try again"
    downloader.go.set()
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        await confirmed(pilot, app)
        await until(pilot, lambda: words(app, "#download-state") == downloader.error)
        assert str(app.query_one("#download-go", Button).label) == "Try again …"
        downloader.error = ""
        await confirmed(pilot, app)
        await computed(pilot, app)
        assert describer.asked[-1][0] == "time-machine"
