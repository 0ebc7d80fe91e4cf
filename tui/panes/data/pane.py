"""The Data pane: choose a text and look at its tokens, statistics and batches."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.reactive import var
from textual.timer import Timer
from textual.widgets import Button, Input, OptionList, Static

from core.corpus.catalogue import DOWNLOADS, Download, Text, texts
from core.errors import CorpusError
from core.settings.run_config import RunConfig, Value, setting
from core.training.preflight import preflight
from tui.corpora.downloads import download
from tui.corpora.statistics import describe, head, text_facts
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.path_input import PathInput
from tui.forms.form import Form
from tui.forms.schema import Schema
from tui.messages import CorpusChosen, SettingsRead, TextsChanged
from tui.panes.data.corpus_facts import first_encoding
from tui.panes.data.download_card import Fetch, facts_of
from tui.panes.data.text_list import TextList
from tui.panes.data.text_panel import TextPanel
from tui.services import READ_ONLY, host, is_alive, listen
from tui.shell.lit_box import LitScroll
from tui.text.cells import clip_cells
from tui.text.safe import shown_text

SETTINGS = (
    "normalise", "tokens", "documents", "max_tokens", "min_freq", "validation_fraction", "batch_size", "num_steps",
)  # fmt: skip
DEBOUNCE = 0.25
RECENT = 10  # paths that are remembered


def _checked(values: dict[str, Value]) -> dict[str, Value]:
    RunConfig.from_dict(values)
    return values


SCHEMA = Schema(tuple(setting(name) for name in SETTINGS), _checked)


class DataPane(Horizontal):
    """Chooses a text; its statistics are computed in another process."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "use", "Use this text", id="data.use",
                tooltip="Take this text to Train, or download it first; enter in the list does the same"),
        Binding("v", "view", "Next view", tooltip="Tokens, pairs, triples, batches, text, Zipf", id="data.view"),
        Binding("p", "path", "Path", tooltip="Type the path of a file of your own", id="data.path"),
        Binding("x", "cancel_download", "Cancel download", id="data.cancel",
                tooltip="Cancel the running download; the next one continues from there"),
        Binding("escape", "texts", "Texts", key_display="esc", tooltip="Back to the list of texts", id="data.texts"),
    ]  # fmt: skip

    # The numbers shown are of another text or other settings: they are dimmed.
    _is_reading: var[bool] = var(False, toggle_class="-reading")

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._source = ""
        self._followed = ""  # the text that the Train pane had when this pane last took it
        self._is_listed = False
        self._facts: dict[str, Any] | None = None
        self._asked: dict[str, Value] | None = None
        self._timer: Timer | None = None
        self._wanted: Download | None = None  # the chosen text, if it has to be downloaded
        self._fetches: dict[str, Fetch] = {}
        self._offered = False, False  # whether it has to be downloaded, and whether it is being
        self._use_soon = False  # use the text as soon as it has been read

    def compose(self) -> ComposeResult:
        with LitScroll(id="data-form", classes="box", can_focus=False) as form:
            form.border_title = "Texts"
            texts = TextList(id="data-texts")
            texts.tooltip = "A click shows a text; a double click or enter takes it to Train"
            yield texts
            tooltip = "The path of a text file, of a folder of them, or a pattern such as texts/*.txt: tab completes it"
            yield PathInput("path of a text or folder", tooltip, recent=True, id="data-path")
            yield Form(SCHEMA, id="data-settings")
            yield Button(
                "Use this text", variant="primary", compact=True, disabled=True, id="data-use",
                tooltip="Take this text to Train, or download it first",
            )  # fmt: skip
        yield TextPanel(id="data-view")
        with VerticalScroll(id="data-beside", classes="box") as beside:
            beside.border_title = "Text"
            yield Static(id="data-head-beside", markup=False)

    def on_mount(self) -> None:
        listen(self, {SettingsRead: self._settings_read})
        self._list_texts()

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> DataPane:
        self.query_one("#data-texts").focus(scroll_visible)
        return self

    # ------------------------------------------------------------------ which text

    @work(exclusive=True, group="texts")
    async def _list_texts(self, chosen: str = "") -> None:
        found = await asyncio.to_thread(texts, host(self).data_dir)
        if not is_alive(self):
            return
        here = {text.name for text in found}
        self.query_one(TextList).show(found, [entry for entry in DOWNLOADS if entry.name not in here])
        self._is_listed = True
        if chosen:
            self._show_source(chosen)
        self._follow()

    def on_show(self) -> None:
        self._follow()

    def _settings_read(self, _event: SettingsRead) -> None:
        if self.display:
            self._follow()

    def _follow(self) -> None:
        """Take the settings of Train's form, except what the person has changed here, and its text if it is another."""
        form, wanted = self.query_one(Form), host(self).form_texts
        before, source = dict(form.texts), wanted.get("corpus", self._followed)
        form.change_defaults({name: text for name, text in wanted.items() if name in before})
        if form.texts != before:
            self._compute_soon()
        if self._is_listed and (source != self._followed or not self._source):
            self._show_source(source)
            self._followed = source

    def _show_source(self, source: str) -> None:
        """Choose a text: in the list by its name, otherwise as a path; the first text for none."""
        entry, path = self.query_one(TextList).highlight(source), self.query_one(PathInput)
        if path.value in ("", self._followed):  # nothing that the person is typing
            path.propose(source if entry is None else "")
        if entry is not None:
            self._choose_entry(entry)
        elif source:
            self._choose(source)

    @on(OptionList.OptionHighlighted, "#data-texts")
    def _text_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._choose_entry(self.query_one(TextList).entry_at(event.option_index))

    @on(OptionList.OptionSelected, "#data-texts")
    def _text_selected(self, event: OptionList.OptionSelected) -> None:
        self._choose_entry(self.query_one(TextList).entry_at(event.option_index))
        self.action_use()

    def _choose_entry(self, entry: Text | Download) -> None:
        if isinstance(entry, Download):
            self._offer(entry)
        else:
            self._choose(entry.name)

    @on(PathInput.Submitted)
    def _path_submitted(self, event: PathInput.Submitted) -> None:
        path = Path(os.path.expanduser(event.path)).absolute()
        again = str(path) == self._source
        self._choose(str(path))
        if again and not event.picked:
            self.action_use()

    def _choose(self, source: str) -> None:
        if self._wanted is not None:
            self._wanted = None
            self._show_fetches()
        if source != self._source:
            self._source = source
            self.workers.cancel_group(self, "describe")  # its answer would be taken for that of this text
            self._compute_soon()

    @on(Form.Edited)
    def _edited(self) -> None:
        self._compute_soon()

    # ------------------------------------------------------------------ its statistics

    def _compute_soon(self) -> None:
        if self._wanted is not None:
            return
        if self._timer is not None:
            self._timer.stop()
        self._is_reading = self._use_soon = False
        self._set_usable(None)
        values: dict[str, Value] | None = self.query_one(Form).value
        if values is None or not self._source:
            return
        self.workers.cancel_group(self, "describe")  # its answer would be taken for that with these settings
        self._is_reading = True
        self._timer = self.set_timer(DEBOUNCE, lambda: self._compute(self._source, values))

    @work(exclusive=True, group="describe")
    async def _compute(self, source: str, values: dict[str, Value]) -> None:
        panel = self.query_one(TextPanel)
        name = shown_text(clip_cells(Path(source).name, 40))
        panel.entitle(f"{name} · reading …")
        if self._facts is None:
            panel.say(f"Reading {name} …")
        try:
            facts = await describe(source, data_dir=host(self).data_dir, **values)  # type: ignore[arg-type]
        except CorpusError as error:
            if not is_alive(self):
                return
            panel.entitle(name)
            self._facts, self._is_reading, self._use_soon = None, False, False
            panel.say(str(error), error=True)
            return
        examples = facts["examples"]
        if examples["reason"]:  # which names settings as the command does: Train's sentence has the labels of the form
            examples["reason"] = preflight(RunConfig.from_dict(values), text_facts(facts)).problem
        beginning = await asyncio.to_thread(head, Path(str(facts["path"])), first_encoding(facts))
        if not is_alive(self):
            return
        self._facts, shown_head = facts, "\n".join(map(shown_text, beginning.split("\n")))
        panel.show(facts, shown_head)
        self.query_one("#data-head-beside", Static).update(shown_head)
        if os.path.isabs(source):
            others = (path for path in host(self).remembered.files if path != source)
            host(self).remember(files=(source, *others)[:RECENT])
        if self._is_reading:  # and the form has not become wrong meanwhile
            self._set_usable({"corpus": source, **values})
        is_wanted = self._use_soon
        self._is_reading = self._use_soon = False
        if is_wanted:
            self.action_use()

    # ------------------------------------------------------------------ downloads

    def _offer(self, entry: Download) -> None:
        if self._timer is not None:
            self._timer.stop()
        self.workers.cancel_group(self, "describe")
        self._source, self._wanted, self._facts = entry.name, entry, None
        self._is_reading = self._use_soon = False
        self._set_usable(None)
        self._show_fetches()

    def _show_fetches(self) -> None:
        """Show the progress of all downloads in the list, and of the chosen one on its card."""
        running = {name: fetch for name, fetch in self._fetches.items() if fetch.running}
        entries = {entry.name: entry for entry in DOWNLOADS}
        self.query_one(TextList).note({name: f"{fetch.share(entries[name]):.0%}" for name, fetch in running.items()})
        entry = self._wanted
        if entry is not None:
            self.query_one(TextPanel).offer(entry, self._fetches.get(entry.name))
        use = self.query_one("#data-use", Button)
        use.label = "Use this text" if entry is None else "Download …"
        use.disabled = self._asked is None if entry is None else entry.name in running
        use.display = self._may_use
        offered = entry is not None, entry is not None and entry.name in running
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    @property
    def _may_use(self) -> bool:
        """Whether the chosen text is there, or may be downloaded."""
        return self._wanted is None or not host(self).read_only

    @work(exclusive=True, group="question")
    async def _ask_and_download(self, entry: Download) -> None:
        question = ConfirmDialog(f"Download {entry.name}?", facts_of(entry), "Download")
        if await self.app.push_screen_wait(question) and is_alive(self):
            self._fetches[entry.name] = Fetch()
            self._show_fetches()
            self.run_worker(self._download(entry), group=f"download-{entry.name}", exclusive=True, exit_on_error=False)

    async def _download(self, entry: Download) -> None:
        def progress(done: int, _total: int) -> None:
            self._fetches[entry.name] = Fetch(done)
            if is_alive(self):
                self._show_fetches()

        try:
            await download(entry.name, data_dir=host(self).data_dir, progress=progress)
        except CorpusError as error:
            self._fetches[entry.name] = Fetch(running=False, error=str(error))
            if is_alive(self):
                self._show_fetches()
            return
        except asyncio.CancelledError:
            self._fetches.pop(entry.name, None)
            raise
        self._fetches.pop(entry.name, None)
        if not is_alive(self):
            return
        self.post_message(TextsChanged())
        self.notify(f"{entry.name} is downloaded", markup=False)
        chosen = self._source
        if self._wanted is entry:
            self._source, self._wanted = "", None
        self._show_fetches()
        self._list_texts(chosen)

    @on(Button.Pressed, "#download-cancel")
    def action_cancel_download(self) -> None:
        entry = self._wanted
        if entry is not None:
            self.workers.cancel_group(self, f"download-{entry.name}")
            self._fetches.pop(entry.name, None)
            self._show_fetches()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable only keys that have an effect now."""
        if action == "texts":
            return not self.query_one("#data-texts").has_focus
        if action == "use":  # which is not the path that the list of paths highlights
            return self._may_use and not self.query_one(PathInput).has_focus_within
        is_download, is_running = self._offered
        if action == "view":
            return not is_download
        if action == "cancel_download":
            return is_running
        return super().check_action(action, parameters)

    # ------------------------------------------------------------------ actions

    def _set_usable(self, settings: dict[str, Value] | None) -> None:
        self._asked = settings
        use = self.query_one("#data-use", Button)
        use.label, use.disabled = "Use this text", settings is None

    @on(Button.Pressed, "#data-use")
    @on(Button.Pressed, "#download-go")
    def action_use(self) -> None:
        """Take the text to Train, or ask whether to download it."""
        entry = self._wanted
        if entry is not None:
            fetch = self._fetches.get(entry.name)
            if host(self).read_only:
                self.notify(READ_ONLY, severity="warning", markup=False)
            elif fetch is None or not fetch.running:
                self._ask_and_download(entry)
        elif self._asked is not None:
            form = self.query_one(Form)
            # The others are Train's own, and may have been typed over there since.
            settings = {name: self._asked[name] for name in ("corpus", *form.edited)}
            form.change_defaults(form.texts)  # Train has all of it now
            self._followed = self._source
            self.post_message(CorpusChosen(settings, text_facts(self._facts) if self._facts else None))
        elif self._is_reading:  # enter or a double click came before the end of reading
            self._use_soon = True
        else:
            errors = list(self.query_one(Form).errors.values())
            why = shown_text(errors[0]) if errors else self.query_one(TextPanel).said
            self.notify(f"This text cannot be used: {why}", severity="warning", markup=False)

    def on_hide(self) -> None:
        """Do not switch to Train from another pane when the text has been read."""
        self._use_soon = False

    def action_view(self) -> None:
        self.query_one(TextPanel).next_tab()

    def action_path(self) -> None:
        self.query_one(PathInput).query_one(Input).focus()

    def action_texts(self) -> None:
        self.focus()
