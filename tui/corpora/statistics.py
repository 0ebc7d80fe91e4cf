"""Texts as the screen needs them: their list, and the statistics and the beginning of one.

The statistics are computed by ``python -m core stats`` in a process of its own: a large text keeps neither the screen
waiting nor its memory, and a choice that has been changed meanwhile is simply killed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from core.corpus.source import TextFile, files_of
from core.errors import CorpusError
from core.training.preflight import TextFacts
from tui.processes import core_process, sentence_of

# As many n-grams as the tallest screen has rows for.
TOP = 60
HEAD_BYTES = 24_000


async def describe(
    source: str,
    *,
    normalise: str,
    tokens: str,
    max_tokens: int,
    min_freq: int,
    batch_size: int,
    num_steps: int,
    documents: str = "stream",
    validation_fraction: float = 0.0,
    data_dir: Path | None = None,
    top: int = TOP,
) -> dict[str, Any]:
    """What ``core.corpus.statistics.describe`` returns for a text. Raises CorpusError with the sentence of the command.

    Cancelled, it kills the process.
    """
    arguments = [
        "stats", "--json", f"--corpus={source}", f"--normalise={normalise}", f"--tokens={tokens}",
        f"--documents={documents}", f"--max-tokens={max_tokens}", f"--min-freq={min_freq}",
        f"--batch-size={batch_size}", f"--num-steps={num_steps}", f"--top={top}",
        f"--validation-fraction={validation_fraction}", "--vocabulary",
    ]  # fmt: skip
    if data_dir is not None:
        arguments.append(f"--data={data_dir}")
    async with core_process(arguments, CorpusError) as process:
        out, words = await process.communicate()
    if process.returncode != 0:
        raise CorpusError(sentence_of(words.decode("utf-8", "replace"), "its process ended without a message"))
    try:
        facts = json.loads(out)
    except ValueError:
        raise CorpusError("its statistics were cut off: try again") from None
    if not isinstance(facts, dict):
        raise CorpusError("its statistics are of an unknown form")
    return facts


def text_facts(facts: dict[str, Any]) -> TextFacts:
    """The sizes of a text from what ``describe`` returned."""
    poems = facts.get("poems") or {"lines": None, "longest": 0}
    known = facts.get("known_tokens")
    return TextFacts(
        int(facts["tokens"]), int(facts["vocabulary"]), poems["lines"], int(poems["longest"]),
        None if known is None else frozenset(known),
    )  # fmt: skip


def head(path: Path, encoding: str) -> str:
    """The beginning of a text, of several files that of the first; empty if it cannot be read. Waits for the disk."""
    try:
        with TextFile(files_of(path)[0].path) as file:
            text = b"".join(piece for piece, *_ in file.pieces(HEAD_BYTES)).decode(encoding, "ignore")
    except (CorpusError, OSError, LookupError):
        return ""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def matches(typed: str, limit: int = 200) -> list[str]:
    """Paths that begin with ``typed``: folders, which end in a slash, then files. It waits for the disk.

    Hidden names only come after a dot; names with characters that cannot be seen never do.
    """
    folder, slash, stem = typed.rpartition("/")
    try:
        base = Path(f"{folder}{slash}" or ".").expanduser()
        found: list[tuple[bool, str]] = []
        with os.scandir(base) as entries:
            for entry in entries:
                name = entry.name
                if not name.startswith(stem) or not name.isprintable():
                    continue
                if name.startswith(".") and not stem.startswith("."):
                    continue
                is_folder = entry.is_dir()
                found.append((not is_folder, f"{folder}{slash}{name}{'/' if is_folder else ''}"))
    except (OSError, ValueError, RuntimeError):
        return []
    return [path for _, path in sorted(found)[:limit]]
