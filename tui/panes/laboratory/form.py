"""The settings of the sequence laboratory as a form, built from ``SequenceConfig``."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from core.settings.laboratory_config import SequenceConfig, settings
from tui.forms.form import Fields, Form
from tui.forms.schema import Schema

SCHEMA = Schema(settings(), SequenceConfig.from_dict)
HINT = Content(
    "A model reads tau points of a noisy wave and predicts the next one. Each change of a number is computed at once."
)


class LabForm(Form[SequenceConfig]):
    """All settings of an experiment."""

    def compose(self) -> ComposeResult:
        with Fields(id="lab-fields"):
            groups = dict.fromkeys(setting.group for setting in settings())
            yield self.rows(*(place for group in groups for place in self.group_places(group)))
        yield Static(HINT, id="lab-help", classes="form-help", markup=False)
        with Horizontal(id="lab-buttons", classes="buttons"):
            yield Button("The book's", compact=True, id="lab-book",
                         tooltip="The settings of the textbook's experiment")  # fmt: skip
            yield Button("Other noise", compact=True, id="lab-noise",
                         tooltip="The same wave with other noise on it")  # fmt: skip

    def show_other_help(self, widget: Widget) -> None:
        self.show_help(HINT)
