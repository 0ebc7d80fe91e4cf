"""The user's own words about a run, in its ``run.json``: tags, which a filter finds, and a note. No torch here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

from core.errors import RunError, refusing
from core.runs.atomic_write import write_whole
from core.runs.held_folder import HeldFolder
from core.runs.metadata import RunMetadata
from core.runs.run import METADATA, Run
from core.units import counted

MOST_TAGS = 20
LONGEST_TAG = 40
LONGEST_NOTE = 500
_SEPARATOR = re.compile(r"[\s,，、]+")


def parse_tags(text: str) -> tuple[str, ...]:
    """The tags in a typed line: with blanks or commas between them, ``#`` before them if liked. Raises RunError."""
    return check_tags(word.lstrip("#") for word in _SEPARATOR.split(text))


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags, each once, empty ones left out. Raises RunError."""
    found: dict[str, str] = {}
    for tag in filter(None, tags):
        if len(tag) > LONGEST_TAG or _SEPARATOR.search(tag) or set(tag) & set('"“”') or not _can_be_seen(tag):
            raise RunError(
                f"{tag[:60]!r} cannot be a tag: use up to {LONGEST_TAG} characters without blanks, commas and "
                "quotation marks"
            )
        found.setdefault(tag.casefold(), tag)
    if len(found) > MOST_TAGS:
        raise RunError(f"a run can have {MOST_TAGS} tags, not {len(found)}")
    return tuple(found.values())


def check_note(note: str) -> str:
    """The note without blanks around it. Raises RunError."""
    note = note.strip()
    if len(note) > LONGEST_NOTE:
        raise RunError(f"the note has {counted(len(note), 'character')} and may have {LONGEST_NOTE}")
    if not _can_be_seen(note):
        raise RunError("the note must be one line, without characters that cannot be seen")
    return note


def annotated(metadata: RunMetadata, tags: Iterable[str] | None, note: str | None) -> RunMetadata:
    """``metadata`` with these tags and this note; None keeps them. Raises RunError."""
    if tags is not None:
        metadata = replace(metadata, tags=check_tags(tags))
    return replace(metadata, note=check_note(note)) if note is not None else metadata


def annotate(run: Run, tags: Iterable[str] | None = None, note: str | None = None) -> None:
    """Change the tags and the note of a run; None keeps them.

    Raises RunError, also if an engine holds the run: it is then asked to do so, see ``requests.Annotate``.
    """
    with run.lock() as folder:
        before = run.metadata()
        after = annotated(before, tags, note)
        if after != before:
            write_annotated(folder, after)


def write_annotated(folder: HeldFolder, metadata: RunMetadata) -> None:
    """Replace ``run.json``. Raises RunError; the file is then as before."""
    with refusing(f"tags and note of {folder.path.name!r} cannot be saved"):
        write_whole(folder, METADATA, metadata.encoded())


def _can_be_seen(text: str) -> bool:
    return not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in text)
