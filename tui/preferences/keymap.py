"""The keys of ``config.toml``, checked against the bindings of the playground."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping

from textual.binding import Binding
from textual.keys import Keys

from core.settings.setting import shortened

EVERYWHERE = "app"
_MODIFIERS = ("ctrl", "alt", "shift", "super", "meta", "hyper")
_NAMED = frozenset(key.value.rpartition("+")[2] for key in Keys) | {"space", "enter", "tab", "escape"}


def checked_keymap(
    wanted: Mapping[str, str], bindings: Iterable[Binding], base: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[str]]:
    """The keymap for ``App.update_keymap``, and a sentence for each entry that is not used.

    ``bindings``: all of them; those without an id keep their keys. ``base``: the keymap that the app has already.
    The part of an id before the dot names where its keys act; those of ``app`` act everywhere.
    """
    defaults: dict[str, tuple[str, ...]] = {}
    labels: dict[str, str] = {}
    for number, binding in enumerate(bindings):
        name = binding.id or f"{EVERYWHERE}.{number}"  # only the app's own are without an id
        keys = (base or {}).get(binding.id or "", binding.key)
        defaults[name] = tuple(dict.fromkeys((*defaults.get(name, ()), *_keys(keys))))
        labels[name] = binding.description
    keymap, problems = {}, []
    for name, keys in wanted.items():
        wrong = [key for key in _keys(keys) if not _is_key(key)]
        if name not in defaults:
            near = difflib.get_close_matches(name[:100], defaults, n=1)
            hint = f"did you mean {near[0]}?" if near else "python -m tui --example-config lists them"
            problems.append(f"keymap: there is no binding {shortened(repr(name))}; {hint}")
        elif wrong or not _keys(keys):
            what = shortened(repr(wrong[0])) if wrong else "an empty text"
            problems.append(f"keymap {name}: {what} is no key; keys are written like a, ?, f8, ctrl+t or shift+left")
        else:
            keymap[name] = ",".join(_keys(keys))
    while clash := _clash({**defaults, **{name: _keys(keys) for name, keys in keymap.items()}}, defaults, keymap):
        name, other, key = clash
        del keymap[name]
        problems.append(f"keymap {name}: {key} is the key of {other} ({labels[other]}) already")
    # Textual takes a key from all bindings of a widget that share it with a changed one: they get it back.
    taken = {(_place(name), key) for name in keymap for key in defaults[name]}
    for name, own in defaults.items():
        has_id = not name.rpartition(".")[2].isdecimal()
        if has_id and name not in keymap and any((_place(name), key) in taken for key in own):
            keymap[name] = ",".join(own)
    return keymap, problems


def _clash(
    keys: Mapping[str, tuple[str, ...]], defaults: Mapping[str, tuple[str, ...]], changed: Iterable[str]
) -> tuple[str, str, str] | None:
    """A changed binding, one that has a key of it where both act, and the key; None if there is none."""
    for name in reversed([*changed]):
        for other in keys:
            if other == name or not _meet(name, other):
                continue
            for key in keys[name]:
                if key in keys[other] and not (key in defaults[name] and key in defaults[other]):
                    return name, other, key
    return None


def _meet(first: str, second: str) -> bool:
    """Whether two bindings may be active at the same time."""
    places = {_place(first), _place(second)}
    return len(places) == 1 or EVERYWHERE in places


def _place(name: str) -> str:
    return name.partition(".")[0]


def _keys(text: str) -> tuple[str, ...]:
    return tuple(_long_name(key) for part in text.split(",") if (key := part.strip()))


def _long_name(key: str) -> str:
    """``question_mark`` for ``?``, as Textual names it."""
    modifiers, plus, last = key.rpartition("+") if len(key) > 1 else ("", "", key)
    if len(last) == 1 and not last.isalnum():
        last = unicodedata.name(last, last).lower().replace("-", "_").replace(" ", "_")
        last = {"plus_sign": "plus", "hyphen_minus": "minus", "solidus": "slash", "reverse_solidus": "backslash",
                "commercial_at": "at", "low_line": "underscore"}.get(last, last)  # fmt: skip
    return f"{modifiers}{plus}{last}"


def _is_key(key: str) -> bool:
    *modifiers, last = key.split("+")
    if any(modifier not in _MODIFIERS for modifier in modifiers):
        return False
    if len(last) == 1:
        return last.isprintable() and not last.isspace()
    return last in _NAMED or last in _SIGNS


_SIGNS = frozenset(_long_name(chr(code)) for code in range(33, 127) if not chr(code).isalnum())
