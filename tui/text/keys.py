"""The keys that sentences name: those of the bindings, or what config.toml and a browser have in their place."""

from __future__ import annotations

from collections.abc import Mapping

USUAL = {
    "app.data": "f2", "app.train": "f3", "app.generate": "f4", "app.inspect": "f5", "app.runs": "f6", "app.lab": "f7",
    "app.help": "f1",
    "train.train": "ctrl+t", "train.step": "s", "train.settings": "e", "train.vary": "v",
    "generate.read": "ctrl+o", "generate.shading": "b",
    "runs.trash": "t", "runs.restore": "u", "runs.end_filter": "esc", "runs.sweeps": "w",
    "sweep.go": "g", "sweep.compare": "c", "compare.pin": "p",
    "compare.take_out": "del",
}  # fmt: skip
"""The key of each binding that a sentence names, as it is written; a test compares them with the bindings."""
_NAMES = {"plus": "+", "minus": "-", "equals_sign": "=", "escape": "esc", "delete": "del", "question_mark": "?",
          "slash": "/", "asterisk": "*", "less_than_sign": "<", "greater_than_sign": ">"}  # fmt: skip
_changed: dict[str, str] = {}


def follow_keymap(keymap: Mapping[str, str]) -> None:
    """Name these keys from now on, by binding id; one process has one keymap."""
    _changed.clear()
    _changed.update(keymap)


def key(binding: str) -> str:
    """The key of a binding of ``USUAL``, as a sentence writes it."""
    return first_key(_changed[binding]) if binding in _changed else USUAL[binding]


def keyed(text: str) -> str:
    """A text with the keys of the bindings that it names in braces: ``{train.train} trains it``."""
    for binding in USUAL:
        text = text.replace(f"{{{binding}}}", key(binding))
    return text


def first_key(keys: str) -> str:
    """The first of the keys of a binding, as it is usually written."""
    first = keys.split(",")[0]
    return _NAMES.get(first, first)
