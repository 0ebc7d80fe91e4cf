"""Downloads of known texts, by ``python -m core download`` in another process, which can be ended at any time."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from core.corpus.catalogue import DOWNLOADS, Download, resolve
from core.errors import CorpusError
from core.units import bytes_text
from tui.processes import core_process, sentence_of
from tui.text.keys import key

Progress = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in all."""


async def download(name: str, *, data_dir: Path | None, progress: Progress) -> None:
    """Download a text of the catalogue. Raises CorpusError with the command's sentence.

    Cancelling ends the process; the next download continues from there.
    """
    arguments = ["download", "--json", *([f"--data={data_dir}"] if data_dir is not None else []), "--", name]
    async with core_process(arguments, CorpusError) as process:
        assert process.stdout is not None and process.stderr is not None
        while line := await process.stdout.readline():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                report = json.loads(line)
                if report["event"] == "progress":
                    progress(int(report["bytes"]), int(report["total"]))
        words = (await process.stderr.read()).decode("utf-8", "replace")
        if await process.wait() != 0:
            raise CorpusError(sentence_of(words, "the download ended without a reason: try again"))


def not_here(corpus: str, data_dir: Path | None) -> Download | None:
    """The catalogue's entry of a text that must be downloaded before it can be opened, else None. Looks at the disk."""
    entry = next((entry for entry in DOWNLOADS if entry.name == corpus), None)
    if entry is not None:
        with contextlib.suppress(CorpusError):
            resolve(corpus, data_dir)
            return None
    return entry


def not_here_words(entry: Download) -> str:
    """How to get a text that is not downloaded."""
    size = bytes_text(entry.bytes).strip()
    return f"{entry.name} is not downloaded: the Data pane ({key('app.data')}) downloads it, {size}"
