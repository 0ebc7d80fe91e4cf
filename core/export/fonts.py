"""Fonts for a picture: those that have every character of its names, among the fonts of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.export.extras import library

# Of the fonts for Chinese, Japanese and Korean, those that are made for screens and print; others come after them.
_PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Hiragino Sans GB",
    "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans CJK JP",
    "Noto Serif CJK SC", "AR PL UMing CN", "SimHei", "Arial Unicode MS", "Unifont",
)  # fmt: skip
_FIRST = "DejaVu Sans"  # comes with matplotlib


def families_for(text: str) -> tuple[list[str], str]:
    """The names of fonts, in the order in which to look for a character, that have those of ``text``.

    The second value is a sentence where some characters are in no font of this machine, else empty.
    """
    manager = library("matplotlib.font_manager", "a picture")
    families = [_FIRST]
    missing = _missing(manager, _FIRST, {character for character in text if character.isprintable()})
    if not missing:
        return families, ""
    installed = {entry.name for entry in manager.fontManager.ttflist}
    for family in (*(name for name in _PREFERRED if name in installed), *sorted(installed - {*_PREFERRED, _FIRST})):
        left = _missing(manager, family, missing)
        if left != missing:
            families.append(family)
            missing = left
        if not missing:
            return families, ""
    shown = "".join(sorted(missing)[:8])
    return families, f"no font of this machine has {shown}: the picture shows boxes; install one, such as Noto Sans CJK"


def _missing(manager: Any, family: str, characters: Iterable[str]) -> set[str]:
    """The characters that a font does not have; all of them where it cannot be read."""
    characters = set(characters)
    try:
        known = manager.get_font(manager.findfont(family, fallback_to_default=False)).get_charmap()
    except (OSError, RuntimeError, ValueError):
        return characters
    return {character for character in characters if ord(character) not in known}
