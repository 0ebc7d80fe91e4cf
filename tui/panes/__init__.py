"""The panes of the playground: the name, title and key of each, and its class, which is imported when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from textual.widget import Widget


@dataclass(frozen=True)
class PaneKind:
    """One pane."""

    name: str
    title: str
    key: str
    module: str
    class_name: str

    @property
    def widget_class(self) -> type[Widget]:
        """The class of the pane, imported now."""
        found: type[Widget] = getattr(import_module(self.module), self.class_name)
        return found

    @property
    def styles(self) -> list[Path]:
        return sorted(Path(__file__).with_name(self.module.split(".")[2]).glob("*.tcss"))

    @property
    def id(self) -> str:
        return f"pane-{self.name}"


PANES = (
    PaneKind("data", "Data", "f2", "tui.panes.data.pane", "DataPane"),
    PaneKind("train", "Train", "f3", "tui.panes.train.pane", "TrainPane"),
    PaneKind("generate", "Generate", "f4", "tui.panes.generate.pane", "GeneratePane"),
    PaneKind("inspect", "Inspect", "f5", "tui.panes.inspect.pane", "InspectPane"),
    PaneKind("runs", "Runs", "f6", "tui.panes.runs.pane", "RunsPane"),
    PaneKind("lab", "Lab", "f7", "tui.panes.laboratory.pane", "LabPane"),
)
