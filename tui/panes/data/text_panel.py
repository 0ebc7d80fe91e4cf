"""The chosen text: its statistics, its download, or a sentence in their place."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static, TabbedContent, TabPane

from core.corpus.catalogue import Download
from core.units import counted
from tui.charts.widget import Chart
from tui.forms.lines import next_choice
from tui.panes.data.batch_examples import BatchExamples
from tui.panes.data.corpus_facts import CorpusFacts
from tui.panes.data.download_card import DownloadCard, Fetch
from tui.panes.data.ngram_charts import bars_of, zipf_of
from tui.shell.lit_box import LitVertical
from tui.text.cells import clip_cells
from tui.text.safe import shown_text
from tui.text.wrapped_text import WrappedText

GRAMS = (("1", "Tokens"), ("2", "Pairs"), ("3", "Triples"))


class TextPanel(LitVertical):
    """Shows one of them; the frame says which text it is of."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, classes="box")

    def compose(self) -> ComposeResult:
        yield Static("Looking for texts …", id="data-notice", classes="notice", markup=False)
        yield DownloadCard(id="data-download")
        yield CorpusFacts(id="data-facts")
        with TabbedContent(id="data-tabs"):
            for order, title in GRAMS:
                with TabPane(title, id=f"data-grams-{order}"):
                    yield Chart(id=f"data-chart-{order}")
            with TabPane("Batches", id="data-batches"):
                yield BatchExamples(id="data-examples")
            with TabPane("Text", id="data-text"), VerticalScroll():
                yield WrappedText(id="data-head", markup=False)
            with TabPane("Zipf", id="data-zipf"):
                yield Chart(id="data-chart-zipf")

    def on_mount(self) -> None:
        self._show_part("data-notice")

    def entitle(self, title: str, subtitle: str = "") -> None:
        self.border_title, self.border_subtitle = Content(title), Content(subtitle)

    def show(self, facts: dict[str, Any], beginning: str) -> None:
        """Show the result of ``tui.corpora.statistics.describe``, and how the text begins."""
        name = clip_cells(shown_text(str(facts["name"])), 30)
        kind = "word" if facts["token_kind"] == "word" else "character"
        self.entitle(f"{name} · {counted(facts['tokens'], kind)}", clip_cells(shown_text(str(facts["path"])), 60))
        self._show_part("data-facts", "data-tabs")
        self.query_one(CorpusFacts).show(facts)
        self.query_one(BatchExamples).show(facts)
        self.query_one("#data-head", Static).update(beginning)
        for order, _ in GRAMS:
            self.query_one(f"#data-chart-{order}", Chart).show(bars_of(facts, order))
        self.query_one("#data-chart-zipf", Chart).show(zipf_of(facts))

    def offer(self, entry: Download, fetch: Fetch | None) -> None:
        """Show a text that can be downloaded, and its download."""
        is_running = fetch is not None and fetch.running
        self.entitle(f"{entry.name} · {'downloading' if is_running else 'not downloaded'}")
        self.query_one(DownloadCard).show(entry, fetch)
        self._show_part("data-download")

    def say(self, sentence: str, error: bool = False) -> None:
        """Show a sentence instead of the statistics."""
        notice = self.query_one("#data-notice", Static)
        notice.update("\n".join(shown_text(line) for line in sentence.split("\n")))
        notice.set_class(error, "-error")
        self._show_part("data-notice")

    @property
    def said(self) -> str:
        """The last sentence."""
        return str(self.query_one("#data-notice", Static).content)

    def _show_part(self, *names: str) -> None:
        """Show some parts and hide the others."""
        for part in ("data-notice", "data-download", "data-facts", "data-tabs"):
            self.query_one(f"#{part}").display = part in names

    def next_tab(self) -> None:
        tabs = self.query_one(TabbedContent)
        names = [pane.id or "" for pane in tabs.query(TabPane)]
        tabs.active = next_choice(names, tabs.active)
