"""The commands of the command palette and the keys in the help: those of each pane by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from functools import partial
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode

from tui.panes import PANES, PaneKind
from tui.shell.screenshot import screenshot_soon
from tui.text.keys import first_key


def commands(
    app: App[Any], current: str, keymap: Mapping[str, str], refused: Set[str] = frozenset()
) -> Iterable[SystemCommand]:
    """All commands, those of the ``current`` pane first; without those of ``refused`` ids."""
    for pane in sorted(PANES, key=lambda pane: pane.name != current):
        show = partial(app.run_action, f"pane('{pane.name}')")
        yield SystemCommand(f"Show {pane.title}", f"Show the {pane.title} pane ({pane.key})", show)
        for binding in pane_bindings(pane, refused):
            title = f"{pane.title}: {binding.tooltip or binding.description}"
            yield SystemCommand(title, f"Key: {key_words(binding, keymap)}", partial(_act, app, pane, binding.action))
    for title, words, action in (
        ("Help", "Keys, first steps and glossary (f1)", "help"),
        ("Dark or light", "Switch between the two themes of the playground (f9)", "toggle_theme"),
        ("Quit", "Quit; training continues in the background (q)", "quit"),
    ):
        yield SystemCommand(title, words, partial(app.run_action, action))
    yield SystemCommand("Screenshot", "Save the screen as an SVG file", partial(screenshot_soon, app))


async def _act(app: App[Any], pane: PaneKind, action: str) -> None:
    await app.run_action(f"pane('{pane.name}')")
    await app.run_action(action, app.query_one(f"#{pane.id}"))


def pane_bindings(pane: PaneKind, refused: Set[str] = frozenset()) -> list[Binding]:
    """The keys of a pane, except those that only move around."""
    bindings = described(pane.widget_class.BINDINGS)
    return [binding for binding in bindings if binding.tooltip and binding.id not in refused]


def part_bindings(pane: PaneKind) -> list[Binding]:
    """The keys of the parts of a pane, which act while a part has the focus."""
    whole, room = pane.widget_class, pane.module.rpartition(".")[0]
    parts = [kind for kind in _kinds() if kind is not whole and kind.__module__.startswith(f"{room}.")]
    return [binding for kind in parts for binding in described(vars(kind).get("BINDINGS", ())) if binding.tooltip]


def _kinds() -> list[type[DOMNode]]:
    """All widgets and screens that have been imported."""
    kinds: list[type[DOMNode]] = [DOMNode]
    for kind in kinds:
        kinds += (found for found in kind.__subclasses__() if found not in kinds)
    return kinds


def pane_keys(
    current: str, keymap: Mapping[str, str], refused: Set[str] = frozenset()
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Name, title and keys of each pane for the help, the ``current`` one first; without those of ``refused`` ids."""

    def keys(pane: PaneKind) -> list[tuple[str, str]]:
        bindings = (*pane_bindings(pane), *part_bindings(pane))
        return _keys((binding for binding in bindings if binding.id not in refused), keymap)

    panes = sorted(PANES, key=lambda pane: pane.name != current)
    return [(pane.name, pane.title, keys(pane)) for pane in panes]


def app_keys(everywhere: Iterable[BindingType], keymap: Mapping[str, str]) -> list[tuple[str, str]]:
    """The keys of the app, ``everywhere``, for the help."""
    keys = _keys((binding for binding in described(everywhere) if binding.tooltip), keymap)
    return [*keys, ("ctrl+p", "Every command by its name, themes too")]


def _keys(bindings: Iterable[Binding], keymap: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(key_words(binding, keymap), binding.tooltip) for binding in bindings]


def described(bindings: Iterable[BindingType]) -> list[Binding]:
    """The bindings as ``Binding`` objects; one for all keys of an action."""
    return [binding if isinstance(binding, Binding) else Binding(*binding) for binding in bindings]


def all_bindings(app: type[App[Any]]) -> list[Binding]:
    """All bindings with an id, of panes, their parts and dialogs, and all of the app."""
    import tui.dialogs.confirm
    import tui.dialogs.help
    import tui.dialogs.name  # noqa: F401

    bindings = [*described(app.BINDINGS), Binding(app.COMMAND_PALETTE_BINDING, "", "Commands")]
    for pane in PANES:
        _ = pane.widget_class
    for kind in _kinds():
        if kind.__module__.startswith("tui.") and kind is not app:
            bindings += [binding for binding in described(vars(kind).get("BINDINGS", ())) if binding.id]
    return bindings


def key_words(binding: Binding, keymap: Mapping[str, str]) -> str:
    """The first key of a binding as it is usually written; ``keymap`` has the keys that were changed, by id."""
    changed = keymap.get(binding.id or "")
    return (not changed and binding.key_display) or first_key(changed or binding.key)
