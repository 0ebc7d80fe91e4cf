"""The settings of a run as a form, built from ``RunConfig``: a new setting appears here without a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Select, Static

from core.settings.presets import Preset, offered_presets, suggested_prefix
from core.settings.run_config import RunConfig, settings
from core.settings.setting import Settings
from tui.forms.drop_down import DropDown
from tui.forms.form import Fields, Form
from tui.forms.schema import Schema, texts_of
from tui.panes.train.interpretation import BIDIRECTIONAL
from tui.text.cells import cell_len, pad_cells
from tui.text.safe import shown_text
from tui.text.wrapping import clipped_lines

# The settings that are always visible; the others are behind the fold of their group.
BASICS = frozenset(
    (
        "corpus", "normalise", "max_tokens", "validation_fraction", "implementation", "cell", "num_hiddens",
        "num_layers", "embedding_size", "batch_size", "num_steps", "sampling", "num_epochs", "minutes", "optimiser",
        "learning_rate", "clip", "seed", "device",
    )
)  # fmt: skip
SCHEMA = Schema(
    settings(),
    RunConfig.from_dict,
    folded=frozenset(setting.name for setting in settings()) - BASICS,
    notes={("bidirectional", "yes"): BIDIRECTIONAL},
)
GROUPS = tuple(dict.fromkeys(setting.group for setting in settings()))
CUSTOM = "custom"
MORE = " … (i: all of it)"
LIST_CELLS = 75
"""Of the list of presets, on a terminal of 80 columns."""


class SettingsForm(Form[RunConfig]):
    """All settings of a run, and a drop-down of the presets that fill them in."""

    def __init__(self, config: RunConfig, corpora: Iterable[str] = (), *, id: str | None = None) -> None:
        super().__init__(SCHEMA, texts_of(config), suggestions={"corpus": tuple(corpora)}, id=id)
        self.presets: dict[str, Preset] = offered_presets()
        self._preset = self._matching_preset()
        self._is_own_prefix = False  # a sample prefix that does not go with its text

    def compose(self) -> ComposeResult:
        with Fields(id="form-scroll"):
            with Horizontal(id="preset-field", classes="field") as preset_line:
                preset_line.tooltip = "a named configuration, with the figures that were published for it"
                yield Static("preset", classes="field-label", markup=False)
                yield DropDown(self._options(), value=self._preset, allow_blank=False, compact=True, id="preset")
            yield self.rows(*(place for group in GROUPS for place in self.group_places(group)))
        yield Static("", id="form-help", classes="form-help", markup=False)

    def on_mount(self) -> None:
        self.call_after_refresh(self._open_folds)

    def on_resize(self) -> None:
        """Describe the preset as far as there is room."""
        if self.helped is None:
            self._show_preset_help()

    def _open_folds(self) -> None:
        if self.screen.has_class("-very-tall"):
            self.open_folds = frozenset(GROUPS)
            self.refresh_rows()

    def edit(self, name: str, text: str, is_typed: bool = False) -> None:
        """As in every form; a suggested sample prefix goes with its text."""
        if name == "corpus":
            self.texts["sample_prefix"] = self.prefix_for(text)
        self._is_own_prefix |= name == "sample_prefix"
        super().edit(name, text, is_typed)

    def fill(self, config: Settings) -> None:
        """As in every form; the sample prefix is that of the new settings."""
        self._is_own_prefix = False
        super().fill(config)

    def prefix_for(self, corpus: str) -> str:
        """The sample prefix with another text: that of a preset goes with its text, the person's own stays."""
        prefix = self.texts["sample_prefix"]
        # Once it is the person's, it stays so: an empty one is also that of each beginning of a text's name.
        self._is_own_prefix |= prefix != suggested_prefix(self.texts["corpus"])
        return prefix if self._is_own_prefix else suggested_prefix(corpus)

    # ------------------------------------------------------------------ presets

    @property
    def preset(self) -> str | None:
        """The name of the preset whose settings the form has, or None."""
        if self.value is None:
            return None
        return None if self._preset == CUSTOM else self._preset

    def show_own_presets(self, own: Mapping[str, Preset]) -> None:
        """Put the user's presets into the list, after the bundled ones."""
        presets = {**offered_presets(), **own}
        if presets != self.presets:
            self.presets = presets
            select = self.query_one("#preset", Select)
            with select.prevent(Select.Changed):
                select.set_options(self._options())
                self.read()

    def _options(self) -> list[tuple[Content, str]]:
        lines = [*((name, preset.title) for name, preset in self.presets.items()), (CUSTOM, "settings of your own")]
        width = max(cell_len(name) for name, _ in lines) + 2

        def brief(title: str) -> str:
            return clipped_lines(shown_text(title), max(10, LIST_CELLS - width), 1)[0]

        return [(Content.assemble(pad_cells(name, width), (brief(title), "dim")), name) for name, title in lines]

    def _matching_preset(self) -> str:
        config = self.value
        if config is not None:
            for name, preset in self.presets.items():
                # The machine is not the preset's, nor are the epochs that were fitted to its time budget.
                own = {"device": config.device, "threads": config.threads}
                own |= {"num_epochs": config.num_epochs} if config.minutes else {}
                if config == preset.config.replace(**own):
                    return name
        return CUSTOM

    @on(Select.Changed, "#preset")
    def _preset_chosen(self, event: Select.Changed) -> None:
        event.stop()
        name = str(event.value)
        if name == self._preset or name not in self.presets:
            return
        # A preset says nothing about the machine.
        kept = {"device": self.texts["device"], "threads": self.texts["threads"]}
        self.fill(self.presets[name].config)
        self.change(kept)
        self.post_message(self.Edited(""))
        self.post_message(self.Read())

    def read(self) -> None:
        """Read the texts, and show which preset they are."""
        super().read()
        self._preset = self._matching_preset()
        if not self.ready:
            return
        if not self.has_focus_within or self.helped is None:
            self._show_preset_help()
        select = self.query_one("#preset", Select)
        if select.value != self._preset:
            with select.prevent(Select.Changed):
                select.value = self._preset

    # ------------------------------------------------------------------ help

    def show_other_help(self, widget: Widget) -> None:
        """Describe the preset while its drop-down has the focus."""
        if widget.id == "preset":
            self._show_preset_help()

    def _show_preset_help(self) -> None:
        preset = self.presets.get(self._preset)
        words = f"{preset.title}; {preset.source}. {preset.note}".strip() if preset else "settings of your own"
        help_line = self.query_one("#form-help", Static)
        help_line.remove_class("-setting")  # the room is that of a preset
        room = help_line.content_size
        lines = clipped_lines(shown_text(words), room.width or 40, room.height or 1, MORE)
        self.show_help(Content("\n".join(lines)))
