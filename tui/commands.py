"""What the command palette offers: each pane, and each key of each pane by its name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from tui.shell.screenshot import screenshot_soon

if TYPE_CHECKING:
    from tui.app import PaneKind, Playground


def commands(app: Playground) -> Iterable[SystemCommand]:
    """All of them, the shown pane's first."""
    from tui.app import PANES

    current = app.query_one("#header").current  # type: ignore[attr-defined]
    for pane in sorted(PANES, key=lambda pane: pane.name != current):
        words = f"To the {pane.title} pane ({pane.key})"
        yield SystemCommand(f"Show {pane.title}", words, partial(app.action_pane, pane.name))
        for binding in pane_bindings(pane):
            title = f"{pane.title}: {binding.tooltip or binding.description}"
            yield SystemCommand(title, f"Key: {key_words(binding)}", partial(_act, app, pane.name, binding.action))
    yield SystemCommand("Help", "Keys, first steps, and what the words mean (f1)", app.action_help)
    yield SystemCommand("Dark or light", "The playground's two themes (f9)", app.action_toggle_theme)
    yield SystemCommand("Screenshot", "Save a picture of the screen, as SVG", partial(screenshot_soon, app))
    yield SystemCommand("Quit", "Leave; trainings go on in their engines (q)", app.action_quit)


async def _act(app: Playground, pane: str, action: str) -> None:
    await app.action_pane(pane)
    await app.run_action(action, app.query_one(f"#pane-{pane}"))


def pane_bindings(pane: PaneKind) -> list[Binding]:
    """The keys of a pane, without those that only move about."""
    kind = getattr(import_module(pane.module), pane.class_name)
    return [binding for binding in described(kind.BINDINGS) if binding.tooltip]


def described(bindings: Iterable[BindingType]) -> list[Binding]:
    """Bindings in full; of several keys for one act, all in one."""
    return [binding if isinstance(binding, Binding) else Binding(*binding) for binding in bindings]


_NAMES = {"plus": "+", "minus": "-", "equals_sign": "=", "escape": "esc", "delete": "del"}


def key_words(binding: Binding) -> str:
    """The first key of a binding as people write it."""
    return binding.key_display or _NAMES.get(first := binding.key.split(",")[0], first)
