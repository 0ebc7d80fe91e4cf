"""The settings of a run as a form, built from ``RunConfig``: a new setting appears here without a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Select, Static

from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig, Setting, settings, shown
from tui.forms.drop_down import DropDown
from tui.forms.field import SettingField
from tui.forms.reading import Reading, idle_words, read, texts_of
from tui.panes.train.interpretation import BIDIRECTIONAL
from tui.text.safe import cell_len, clip_cells, shown_text

# What one wants at hand; everything else is one key away, in its group.
BASICS = frozenset(
    (
        "corpus", "normalise", "max_tokens", "validation_fraction", "implementation", "cell", "num_hiddens",
        "num_layers", "embedding_size", "batch_size", "num_steps", "sampling", "num_epochs", "optimiser",
        "learning_rate", "clip", "seed", "device",
    )
)  # fmt: skip
CUSTOM = "custom"
MORE = " … (i: all of it)"
# What stands below a field that has this value.
NOTES = {("bidirectional", "yes"): BIDIRECTIONAL}
ROOM_FOR_ALL = 60  # lines of a screen on which no group needs to be folded


class GroupHeading(Widget, can_focus=True):
    """The name of a group of settings, with how many more there are; enter, space or a click shows them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "unfold", "More or fewer settings", show=False)]

    changed: reactive[int] = reactive(0)
    expanded: reactive[bool] = reactive(False)

    @dataclass
    class Toggled(Message):
        """The group is to show more, or fewer, settings."""

        group: str
        expanded: bool

    def __init__(self, group: str, hidden: int) -> None:
        super().__init__(id=f"group-{group}", classes="group-heading")
        self._group = group
        self._hidden = hidden

    def render(self) -> Content:
        """``text ───── 1 changed · 5 more ▸``."""
        words = "fewer ▾" if self.expanded else f"{self._hidden} more ▸"
        if self.changed and not self.expanded:
            words = f"{self.changed} changed · {words}"
        if not self._hidden:
            words = ""
        line = "─" * max(1, self.size.width - cell_len(self._group) - cell_len(words) - 2)
        return Content.assemble((self._group, "bold"), (f" {line} ", "dim"), words)

    def action_unfold(self) -> None:
        """Show more settings, or fewer."""
        if self._hidden:
            self.expanded = not self.expanded
            self.post_message(self.Toggled(self._group, self.expanded))

    def on_click(self, event: events.Click) -> None:
        """As the keys do."""
        event.stop()
        self.action_unfold()


class Fields(VerticalScroll, can_focus=False):
    """The fields, of which the one with the focus stays visible while the lines around them come and go."""

    def on_resize(self) -> None:
        self.call_after_refresh(self.keep_focus_in_sight)

    def keep_focus_in_sight(self) -> None:
        focused = self.screen.focused
        if focused is not None and self in focused.ancestors:
            field = next((node for node in focused.ancestors if isinstance(node, SettingField)), focused)
            field.scroll_visible(animate=False)


class SettingsForm(Vertical):
    """All settings. Ask it for its ``reading``; it tells of every edit by ``Edited``."""

    @dataclass
    class Edited(Message):
        """Something in the form was changed; ``by_hand`` is the setting's name, or empty for a preset."""

        by_hand: str

    @dataclass
    class Submitted(Message):
        """Enter was pressed in the setting called ``name``."""

        name: str

    def __init__(self, config: RunConfig, corpora: Iterable[str] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._texts = texts_of(config)
        self._original = dict(self._texts)
        self._corpora = tuple(corpora)
        self._reading = read(self._texts)
        self._fields: dict[str, SettingField] = {}
        self._outside_errors: dict[str, str] = {}
        self.pending: Mapping[str, str] = {}
        self._preset = self._preset_of()
        self._ready = False
        self._helped: Setting | None = None  # the setting that the help line is about; None for the preset

    # ------------------------------------------------------------------ building

    def compose(self) -> ComposeResult:
        options = [(preset.name, name) for name, preset in PRESETS.items()]
        with Fields(id="form-scroll"):
            with Horizontal(id="preset-field", classes="field") as preset_line:
                preset_line.tooltip = "a named configuration, with the figures that were published for it"
                yield Static("preset", classes="field-label", markup=False)
                yield DropDown(
                    [*options, (CUSTOM, CUSTOM)], value=self._preset, allow_blank=False, compact=True, id="preset"
                )
            for group, members in groupby(settings(), lambda setting: setting.group):
                everything = list(members)
                hidden = [setting for setting in everything if setting.name not in BASICS]
                yield GroupHeading(group, len(hidden))
                for setting in everything:
                    if setting.name in BASICS:
                        yield self._field(setting)
                yield Vertical(id=f"more-{group}", classes="more")
        yield Static("", id="form-help", markup=False)

    def _field(self, setting: Setting) -> SettingField:
        suggestions = self._corpora if setting.name == "corpus" else ()
        field = SettingField(setting, self._texts[setting.name], suggestions)
        self._fields[setting.name] = field
        return field

    def on_mount(self) -> None:
        """Show what is known from the beginning."""
        self._ready = True
        self.call_after_refresh(self._tell_preset)
        self._show()
        if self.app.size.height >= ROOM_FOR_ALL:
            self.call_after_refresh(self._expand_all)

    async def _expand_all(self) -> None:
        for group in dict.fromkeys(setting.group for setting in settings()):
            await self._expand(group, True)

    @on(GroupHeading.Toggled)
    async def _group_toggled(self, event: GroupHeading.Toggled) -> None:
        event.stop()
        await self._expand(event.group, event.expanded)

    async def _expand(self, group: str, expanded: bool) -> None:
        more = self.query_one(f"#more-{group}", Vertical)
        if expanded and not more.children:
            members = [item for item in settings() if item.group == group and item.name not in BASICS]
            await more.mount(*(self._field(item) for item in members))
            self._show()
        more.set_class(expanded, "-open")
        self.query_one(f"#group-{group}", GroupHeading).expanded = expanded

    # ------------------------------------------------------------------ asking

    @property
    def reading(self) -> Reading:
        """What the texts mean at this moment."""
        return self._reading

    @property
    def texts(self) -> Mapping[str, str]:
        """Every setting as it stands in the form."""
        return self._texts

    @property
    def preset(self) -> str | None:
        """The name of the preset that the form agrees with, or None."""
        return None if self._preset == CUSTOM else self._preset

    def focus_first(self) -> None:
        """Put the focus on the first field."""
        next(iter(self._fields.values())).focus_editor()

    async def focus_error(self) -> None:
        """Open the group of the first error and put the focus on its field."""
        for setting in settings():
            if setting.name in self._reading.errors or setting.name in self._outside_errors:
                await self.focus_setting(setting.name)
                return

    async def focus_setting(self, name: str) -> None:
        """Put the focus on a setting, opening its group where it is hidden."""
        if name not in self._fields:
            await self._expand(next(item.group for item in settings() if item.name == name), True)
        self._fields[name].focus_editor()
        fields = self.query_one(Fields)
        self.call_after_refresh(fields.keep_focus_in_sight)

    # ------------------------------------------------------------------ changing

    def fill(self, config: RunConfig) -> None:
        """Put the settings of ``config`` into the form; they are what later edits are told from."""
        self._original = texts_of(config)
        self.change(self._original)

    def change(self, texts: Mapping[str, str]) -> None:
        """Put some texts into the form."""
        changes = {name: text for name, text in texts.items() if self._texts.get(name, text) != text}
        if changes:
            self._outside_errors.clear()
        self._texts.update(changes)
        for name, field in self._fields.items():
            field.text = self._texts[name]
        self._read()

    def show_outside_error(self, name: str, message: str) -> None:
        """An error that only the engine could find, at its setting, until any setting is another one.

        Settings are refused together: a text that is too short for its batches may be cured by either.
        """
        self._outside_errors[name] = message
        self._show()

    def clear_outside_errors(self) -> None:
        """What only the engine could find may be so no longer."""
        if self._outside_errors:
            self._outside_errors.clear()
            self._show()

    def show_pending(self, notes: Mapping[str, str]) -> None:
        """Say below settings, by name, that what stands there is not yet what the run has."""
        if notes != self.pending:
            self.pending = notes
            self._show()

    @on(SettingField.Edited)
    def _field_edited(self, event: SettingField.Edited) -> None:
        event.stop()
        self._texts[event.name] = event.text
        self._outside_errors.clear()
        self._read()
        self.post_message(self.Edited(event.name))

    @on(SettingField.Submitted)
    def _field_submitted(self, event: SettingField.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(event.name))

    @on(Select.Changed, "#preset")
    def _preset_chosen(self, event: Select.Changed) -> None:
        event.stop()
        name = str(event.value)
        if name == self._preset or name not in PRESETS:
            return
        # The machine and the text are the person's, the rest is the preset's.
        kept = {"device": self._texts["device"], "threads": self._texts["threads"]}
        self.fill(PRESETS[name].config)
        self.change(kept)
        self.post_message(self.Edited(""))

    def _read(self) -> None:
        self._reading = read(self._texts)
        self._preset = self._preset_of()
        if self._ready and (not self.has_focus_within or self._helped is None):
            self._tell_preset()
        self._show()

    def _preset_of(self) -> str:
        config = self._reading.config
        if config is not None:
            for name, preset in PRESETS.items():
                if config == preset.config.replace(device=config.device, threads=config.threads):
                    return name
        return CUSTOM

    def _show(self) -> None:
        if not self._ready:
            return
        errors = {**self._reading.errors, **self._outside_errors}
        for name, field in self._fields.items():
            field.show_error(errors.get(name, ""))
            pending = "" if name in errors else self.pending.get(name, "")
            field.show_note(pending or NOTES.get((name, self._texts[name]), ""))
            field.set_class(self._texts[name] != self._original[name], "-changed")
            field.set_class(name not in self._reading.relevant, "-idle")
        for heading in self.query(GroupHeading):
            group = str(heading.id).removeprefix("group-")
            members = [item.name for item in settings() if item.group == group and item.name not in BASICS]
            heading.changed = sum(self._texts[name] != self._original[name] for name in members)
            heading.set_class(any(name in errors for name in members), "-wrong")
        select = self.query_one("#preset", Select)
        if select.value != self._preset:
            with select.prevent(Select.Changed):
                select.value = self._preset
        if self._helped is not None:
            self._help(self._helped)

    # ------------------------------------------------------------------ help

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        field = next((node for node in event.widget.ancestors_with_self if isinstance(node, SettingField)), None)
        if field is not None:
            self._help(field.setting)
        elif event.widget.id == "preset":
            self._tell_preset()

    def _help(self, setting: Setting) -> None:
        self._helped = setting
        words = help_of(setting, idle_words(setting, self._texts))
        help_line = self.query_one("#form-help", Static)
        help_line.add_class("-setting")
        if help_line.content != words:
            help_line.update(words)

    def _tell_preset(self) -> None:
        self._helped = None
        help_line = self.query_one("#form-help", Static)
        help_line.remove_class("-setting")
        preset = PRESETS.get(self._preset)
        words = f"{preset.title}; {preset.source}. {preset.note}".strip() if preset else "settings of your own"
        room = help_line.content_size
        # Lines break at blanks, which leaves some cells unused.
        cells = max(40, (room.width - 4) * room.height)
        if cell_len(words) > cells:
            words = clip_cells(words, cells - len(MORE), "") + MORE
        help_line.update(Content(shown_text(words)))


def help_of(setting: Setting, idle: str = "") -> Content:
    """What a setting does, what it may be, and what it is by default; ``idle`` says why it has no effect now."""
    default = shown(setting.default) if setting.kind is not bool else ("no", "yes")[bool(setting.default)]
    facts = [] if setting.choices or setting.kind is bool else [setting.range_text()]
    facts.append(f"default {default}" if default else "empty by default")
    if setting.live:
        facts.append("can change while training")
    first = (f"{idle}\n", "$text-warning") if idle else ""
    return Content.assemble(first, setting.help, "\n", (" · ".join(facts), "dim"))
