"""How a text is split into tokens. No numpy in this module: the screen imports it."""

from __future__ import annotations

from collections.abc import Container


def split(text: str, kind: str) -> list[str]:
    """The tokens of a text: for the kind ``char`` its characters, for ``word`` its words, separated by white space."""
    return list(text) if kind == "char" else text.split()


def unknown_tokens(text: str, kind: str, known: Container[str]) -> list[str]:
    """The distinct tokens of a text that are not among the ``known`` ones, in the order of their appearance."""
    return [token for token in dict.fromkeys(split(text, kind)) if token not in known]
