"""How the text of a run begins: a first prefix for whoever does not know what to type."""

from __future__ import annotations

from pathlib import Path

from core.errors import RunError
from core.runs.run import Run

LONGEST = 24


def beginning(path: Path) -> str:
    """The first word of the run's text, or its first two characters where it is written without blanks; else empty."""
    run = Run(path)
    try:
        config = run.facts().config
        with run.corpus_path.open("rb") as file:
            head = file.read(256)
    except (OSError, RunError):
        return ""
    if config.sample_prefix:
        return config.sample_prefix
    try:
        # The last character may be cut.
        text = head.decode("utf-8-sig", errors="strict" if len(head) < 256 else "ignore").lstrip()
    except UnicodeDecodeError:
        return ""
    if config.normalise == "letters":
        text = "".join(character.lower() if character.isascii() and character.isalpha() else " " for character in text)
    words = text.split()
    if not words or not words[0].isprintable():
        return ""
    return words[0][:LONGEST] if words[0].isascii() else words[0][:2]
