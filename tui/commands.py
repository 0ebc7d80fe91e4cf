"""The commands of the command palette and the keys in the help: those of each pane by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode

from tui.panes import PANES, PaneKind
from tui.shell.screenshot import screenshot_soon
from tui.text.keys import first_key

# Keys of a part of a pane, which the pane's own bindings do not have.
MORE_KEYS = {
    "runs": (
        ("m x l o", "Comparing: the next figure, the next axis, logarithmic or linear, smoothing"),
        ("← → ↑ ↓", "Comparing: the crosshair, and zoom; shift+← → pan, home shows all; the mouse does the same"),
        ("p t s", "Comparing: draw a run over the others, the time to a perplexity, the same samples side by side"),
        ("a del E", "Comparing: add the curve of a CSV or of TensorBoard's files, take one out, export the chart"),
        ("pgup pgdn < >", "Comparing: scroll the table"),
        ("enter b c m", "A sweep: open the run, the best one, compare all curves, the chart of the next setting"),
        ("x g ← → < >", "A sweep: stop and save, go on, the sweep before and the next one, scroll its table"),
    ),
    "generate": (
        ("← → ↑ ↓", "In a text: the token whose details are shown; a click does the same"),
        ("home end", "In a text: its first token, its last one"),
    ),
    "inspect": (
        ("home end", "The first token of the text, the last one"),
        ("pgup pgdn", "Ten rows of the view"),
        ("mouse", "A click takes a token, a tab or a row; the wheel turns rows and zooms the plane"),
    ),
}


def commands(app: App[Any], current: str, keymap: Mapping[str, str]) -> Iterable[SystemCommand]:
    """All commands, those of the ``current`` pane first."""
    for pane in sorted(PANES, key=lambda pane: pane.name != current):
        show = partial(app.run_action, f"pane('{pane.name}')")
        yield SystemCommand(f"Show {pane.title}", f"Show the {pane.title} pane ({pane.key})", show)
        for binding in pane_bindings(pane):
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


def pane_bindings(pane: PaneKind) -> list[Binding]:
    """The keys of a pane, except those that only move around."""
    return [binding for binding in described(pane.widget_class.BINDINGS) if binding.tooltip]


def pane_keys(current: str, keymap: Mapping[str, str]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Name, title and keys of each pane for the help, the ``current`` one first."""
    return [
        (pane.name, pane.title, [*_keys(pane_bindings(pane), keymap), *MORE_KEYS.get(pane.name, ())])
        for pane in sorted(PANES, key=lambda pane: pane.name != current)
    ]


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
    import tui.dialogs.name
    import tui.dialogs.other_backend  # noqa: F401

    bindings = [*described(app.BINDINGS), Binding(app.COMMAND_PALETTE_BINDING, "", "Commands")]
    for pane in PANES:
        _ = pane.widget_class
    kinds: list[type[DOMNode]] = [DOMNode]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if kind.__module__.startswith("tui.") and kind is not app:
            bindings += [binding for binding in described(vars(kind).get("BINDINGS", ())) if binding.id]
    return bindings


def key_words(binding: Binding, keymap: Mapping[str, str]) -> str:
    """The first key of a binding as it is usually written; ``keymap`` has the keys that were changed, by id."""
    changed = keymap.get(binding.id or "")
    return (not changed and binding.key_display) or first_key(changed or binding.key)
