"""What is to be known of a run before it writes: how its text begins, what its tokens are, whether it can write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.config import RunConfig
from core.errors import RunError
from core.files import open_to_read
from core.runs.run import Run

LONGEST = 24


@dataclass(frozen=True)
class WriterFacts:
    """``beginning`` is a first prefix for whoever does not know what to type; ``token_kind`` is char or word."""

    beginning: str = ""
    token_kind: str = "char"
    bidirectional: bool = False


def writer_facts(path: Path) -> WriterFacts:
    """Read them from the run's folder; of what cannot be read, the least is assumed."""
    run = Run(path)
    try:
        config = run.facts().config
    except RunError:
        return WriterFacts()
    return WriterFacts(_beginning(run, config), config.tokens, config.bidirectional)


def _beginning(run: Run, config: RunConfig) -> str:
    """The first word of the run's text, or its first two characters where it is written without blanks; else empty."""
    if config.sample_prefix:
        return config.sample_prefix
    try:
        with open_to_read(run.corpus_path) as file:
            head = file.read(256)
        # The last character may be cut.
        text = head.decode("utf-8-sig", errors="strict" if len(head) < 256 else "ignore").lstrip()
    except (OSError, UnicodeDecodeError):
        return ""
    if config.normalise == "letters":
        text = "".join(character.lower() if character.isascii() and character.isalpha() else " " for character in text)
    words = text.split()
    if not words or not words[0].isprintable():
        return ""
    return words[0][:LONGEST] if words[0].isascii() else words[0][:2]
