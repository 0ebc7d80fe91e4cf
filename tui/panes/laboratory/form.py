"""The settings of the sequence laboratory as a form, built from their one description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Static

from core.errors import ConfigError
from core.settings.laboratory_config import SequenceConfig, settings
from tui.forms.field import SettingField
from tui.forms.reading import typed
from tui.panes.train.settings_form import help_of

HINT = "A model sees tau points of a noisy wave and says the next one. Change a number: the answer comes at once."


class LabForm(Vertical):
    """All settings. ``config`` is what they mean, or None; every edit is told by ``Edited``."""

    @dataclass
    class Edited(Message):
        """Something in the form was changed; ``at_once`` where enter was pressed as well."""

        at_once: bool = False

    def __init__(self, config: SequenceConfig, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._texts = _texts_of(config)
        self.config: SequenceConfig | None = config

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="lab-fields", can_focus=False):
            for group, members in groupby(settings(), lambda setting: setting.group):
                yield Static(group, classes="lab-group", markup=False)
                for setting in members:
                    yield SettingField(setting, self._texts[setting.name])
        yield Static(HINT, id="lab-help", markup=False)
        with Horizontal(id="lab-buttons"):
            yield Button("The book's", compact=True, id="lab-book",
                         tooltip="The settings of the textbook's experiment")  # fmt: skip
            yield Button("Other noise", compact=True, id="lab-noise",
                         tooltip="The same wave with other noise on it")  # fmt: skip

    def focus_first(self) -> None:
        """Put the focus on the first wrong field, or else on the first one."""
        fields = list(self.query(SettingField))
        next((field for field in fields if field.has_class("-wrong")), fields[0]).focus_editor()

    def change(self, **values: object) -> None:
        """Put some values into the form."""
        for name, text in _texts_of(SequenceConfig().replace(**values)).items():
            if name in values:
                self._texts[name] = text
                self.query_one(f"#field-{name}", SettingField).text = text
        self._read()

    def fill(self, config: SequenceConfig) -> None:
        """Put a whole configuration into the form."""
        self.change(**config.to_dict())

    @on(SettingField.Edited)
    def _field_edited(self, event: SettingField.Edited) -> None:
        event.stop()
        self._texts[event.name] = event.text
        self._read()
        self.post_message(self.Edited())

    @on(SettingField.Submitted)
    def _field_submitted(self, event: SettingField.Submitted) -> None:
        event.stop()
        self.post_message(self.Edited(at_once=True))

    def _read(self) -> None:
        self.config, errors = read(self._texts)
        for field in self.query(SettingField):
            name = field.setting.name
            field.show_error(errors.get(name, ""))
            field.set_class(self._texts[name] != typed(field.setting.default), "-changed")

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        field = next((node for node in event.widget.ancestors_with_self if isinstance(node, SettingField)), None)
        self.query_one("#lab-help", Static).update(help_of(field.setting) if field is not None else Content(HINT))


def _texts_of(config: SequenceConfig) -> dict[str, str]:
    return {name: typed(value) for name, value in config.to_dict().items()}


def read(texts: Mapping[str, str]) -> tuple[SequenceConfig | None, dict[str, str]]:
    """What the texts mean, or None; and what is wrong, by setting."""
    values, errors = {}, {}
    for setting in settings():
        try:
            values[setting.name] = setting.parse(texts[setting.name])
        except ConfigError as error:
            errors[setting.name] = error.labelled
    if errors:
        return None, errors
    try:
        return SequenceConfig.from_dict(values), {}
    except ConfigError as error:
        return None, {error.field or settings()[0].name: error.labelled}
