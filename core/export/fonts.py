"""Fonts for a picture: those that have every character of its names, among the fonts of this machine."""

from __future__ import annotations

from typing import Any

from core.export.extras import library

# Of the fonts for Chinese, Japanese and Korean, those that are made for screens and print; others come after them.
_PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Hiragino Sans GB",
    "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans CJK JP",
    "Noto Serif CJK SC", "AR PL UMing CN", "SimHei", "Arial Unicode MS", "Unifont",
)  # fmt: skip
_FIRST = "DejaVu Sans"  # comes with matplotlib
_BOXES = ("LastResort", "Last Resort")  # with matplotlib and on a Mac: they have a box for every character there is


def families_for(text: str) -> tuple[list[str], str]:
    """The names of fonts, in the order in which to look for a character, that have those of ``text``.

    The second value is a sentence where some characters are in no font of this machine, else empty.
    """
    manager = library("matplotlib.font_manager", "a picture")
    upright = [entry for entry in manager.fontManager.ttflist if entry.style == "normal" and not _is_box(entry)]
    # Of a family the file of usual weight. findfont would choose it too, and print a line where there is none.
    files = {entry.name: entry.fname for entry in sorted(upright, key=lambda entry: _strangeness(entry.weight))}
    families = [_FIRST]
    missing = _missing(manager, files.get(_FIRST), {character for character in text if character.isprintable()})
    for family in (*(name for name in _PREFERRED if name in files), *sorted(files.keys() - {*_PREFERRED, _FIRST})):
        if not missing:
            break
        left = _missing(manager, files[family], missing)
        if left != missing:
            families.append(family)
            missing = left
    return families, _missing_words(missing) if missing else ""


def _is_box(entry: Any) -> bool:
    return str(entry.name).lstrip(".").startswith(_BOXES)


def _strangeness(weight: int | str) -> float:
    """The usual weight, 400, comes last, and so stays in a table by names."""
    return -abs(weight - 400) if isinstance(weight, int) else -float(weight not in ("normal", "regular", "book"))


def _missing(manager: Any, file: str | None, characters: set[str]) -> set[str]:
    """The characters that a font does not have; all of them where it cannot be drawn with."""
    try:
        font = manager.get_font(file)
        known = font.get_charmap() if font.scalable else ()  # bitmaps, as of coloured emoji, cannot be drawn
    except (OSError, RuntimeError, TypeError, ValueError):
        return characters
    return {character for character in characters if ord(character) not in known}


def _missing_words(missing: set[str]) -> str:
    is_wide = any(0x2E80 <= ord(character) < 0xFB00 or ord(character) >= 0x20000 for character in missing)
    which = ", such as Noto Sans CJK" if is_wide else ""
    return f"no font of this machine has {''.join(sorted(missing)[:8])}: the picture shows boxes; install one{which}"
