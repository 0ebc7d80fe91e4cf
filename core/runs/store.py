"""Runs in ``saves/``: creating, naming, finding, listing, renaming, copying.

The folder of a run is whole by itself: settings, vocabulary, a copy of the text (up to 16 MB), the journal and the
checkpoints. No torch in this module: the screen lists and renames runs with it.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import RunError, refusing
from core.files import FOLDER_MODE, make_folders, open_to_read, sync_folder
from core.runs.checkpoint_header import Opened
from core.runs.held_folder import HeldFolder
from core.runs.metadata import RunMetadata
from core.runs.run import LARGEST_VOCABULARY, METADATA, VOCABULARY, Run
from core.runs.saves import check_saves
from core.runs.summaries import summaries_of
from core.runs.summary import RunSummary
from core.runs.trash import is_deleted, remove_outdated
from core.settings.run_config import RunConfig
from core.units import counted

LONGEST_NAME = 200  # bytes; most file systems permit 255
LARGEST_CORPUS_COPY = 16 << 20
# Seconds after which the folder of an unfinished new run is taken for one that a crash has left.
LONGEST_MAKING = 3600.0
_PIECE = 1 << 20
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,100}")


@contextlib.contextmanager
def run_in_making(saves: Path, name: str | None, stem: str = "run", cannot: str = "") -> Iterator[HeldFolder]:
    """The locked folder of a new run. It gets its name at the end of the block, and is removed if the block raises.

    Until then no list shows it. Without ``name`` it gets the next free one after ``stem``, which other processes may be
    looking for too. After the block it is still locked: the caller closes it. Raises RunError for a taken name, and if
    the disk fails; ``cannot`` is then the beginning of the sentence.
    """
    cannot = cannot or f"the run cannot be made in {saves}"
    folder = None
    try:
        make_folders(saves)
        _sweep(saves)
        remove_outdated(saves)
        if name is not None:
            refuse_taken(saves / check_name(name))
        hidden = saves / f".making-{secrets.token_hex(8)}"
        hidden.mkdir(FOLDER_MODE)
        try:
            folder = HeldFolder(hidden)
            yield folder
            _sync_files(folder)
            _give_name(folder, saves, name, stem)
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
    except BaseException as error:
        if folder is not None:
            folder.close()
        if isinstance(error, OSError):
            raise RunError(f"{cannot}: {error.strerror or error}") from None
        raise


def _sync_files(folder: HeldFolder) -> None:
    for name in folder.names():
        with folder.open_to_read(Path(name)) as file:
            os.fsync(file.fileno())
    folder.sync()


def _give_name(folder: HeldFolder, saves: Path, name: str | None, stem: str) -> None:
    """Rename the folder of a new run to ``name``, or to a free name, and sync. Raises OSError, RunError."""
    parent = os.open(saves, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            target = saves / (name or free_name(saves, stem))
            if name is not None:
                refuse_taken(target)
            elif os.path.lexists(target):
                continue  # another program has just taken it
            try:
                folder.move(parent, target)
                break
            except OSError:
                if name is not None or not os.path.lexists(target):
                    raise
    finally:
        os.close(parent)
    sync_folder(saves)


def write_description(folder: HeldFolder, metadata: RunMetadata, vocabulary: Mapping[str, Any]) -> None:
    """Write ``run.json`` and ``vocabulary.json`` of a new run. Raises OSError, RunError."""
    words = vocabulary_bytes(vocabulary)
    if len(words) > LARGEST_VOCABULARY:
        sentence = "the vocabulary takes {size} and may take {limit:,}: choose a greater {min_freq}, or {tokens}=char"
        size = counted(len(words), "byte")
        raise RunError.of(RunConfig.refusal("min_freq", sentence, size=size, limit=LARGEST_VOCABULARY))
    for name, data in ((METADATA, metadata.encoded()), (VOCABULARY, words)):
        with folder.open_new(name) as file:
            file.write(data)


def vocabulary_bytes(vocabulary: Mapping[str, Any]) -> bytes:
    return json.dumps(vocabulary, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def check_name(name: str, of: str = "a run") -> str:
    """Return ``name``, or raise RunError if it cannot be the name of a folder on every system."""
    size = len(name.encode("utf-8", "replace"))
    wrong = ""
    if not _NAME.fullmatch(name) or name.startswith(".") or name != name.strip():
        wrong = "use up to 100 letters, digits, blanks or -_., not beginning with a dot and without slashes"
    elif size > LONGEST_NAME:
        wrong = f"it takes {size} bytes in UTF-8 and may take {LONGEST_NAME}: use fewer characters"
    elif any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in name):
        wrong = "it has characters that cannot be seen"
    if wrong:
        raise RunError(f"{name!r} cannot be the name of {of}: {wrong}")
    return name


def free_name(saves: Path, stem: str) -> str:
    """The first free name of stem-0001, stem-0002, ..."""
    stem = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "run"
    stem = stem[:60].encode("utf-8", "ignore")[: LONGEST_NAME - 20].decode("utf-8", "ignore")
    taken = {entry.name for entry in _entries(saves)}
    return next(name for number in itertools.count(1) if (name := f"{stem}-{number:04d}") not in taken)


def list_runs(saves: Path) -> list[RunSummary]:
    """The runs in ``saves``, newest first; folders without any file of a run are ignored."""
    return list(summaries_of(saves).look())


def find_run(saves: Path, name: str) -> Run:
    """The run of that name, or at that path. Raises RunError with the known names."""
    for path in (saves / name, Path(name)):
        if Run(path).exists():
            return Run(path.resolve())
    check_saves(saves)
    names = [summary.name for summary in list_runs(saves)]
    there = "there are " + ", ".join(names[:8]) if names else "there are no runs yet"
    if is_deleted(saves, name):
        there = "it is in the trash: python -m core runs restore brings it back"
    raise RunError(f"there is no run {name!r} in {saves}; {there}")


def rename_run(run: Run, name: str) -> Run:
    """Rename a run. Raises RunError if the name is taken or an engine holds the run."""
    target = run.path.with_name(check_name(name))
    with run.lock():
        refuse_taken(target)
        with refusing(f"{run.name!r} cannot be renamed to {name!r}"):
            os.rename(run.path, target)
    return Run(target)


def duplicate_run(run: Run, name: str, opened: Opened = open_to_read) -> Run:
    """Copy a run, which no engine may be writing. ``opened``: see ``read_checkpoint``. Raises RunError."""
    cannot = f"{run.name!r} cannot be copied to {name!r}"
    with run_in_making(run.path.parent, check_name(name), cannot=cannot) as folder:
        for source in (
            run.vocabulary_path, run.corpus_path, run.journal_path, run.latest_path, run.best_path,
            run.waiting_best_path,
        ):  # fmt: skip
            if os.path.lexists(source):
                with opened(source) as old, folder.open_new(source.name) as new:
                    shutil.copyfileobj(old, new, _PIECE)
        with folder.open_new(METADATA) as file:
            file.write(replace(run.metadata(), created=now()).encoded())
    folder.close()
    return Run(folder.path)


def now() -> str:
    """The time as in run.json: ISO 8601 with the zone, to the microsecond, so that runs sort by age."""
    return datetime.datetime.now().astimezone().isoformat(timespec="microseconds")


def refuse_taken(target: Path) -> None:
    """Raise RunError if the name is taken, even by a broken link."""
    if os.path.lexists(target):
        raise RunError(f"there is already a run {target.name!r} in {target.parent}: choose another name")


def _sweep(saves: Path) -> None:
    """Remove what crashes have left: partly deleted runs, and unfinished new runs."""
    for entry in _entries(saves):
        with contextlib.suppress(OSError):
            is_old = time.time() - entry.lstat().st_mtime > LONGEST_MAKING
            if entry.name.startswith(".deleted-") or (entry.name.startswith(".making-") and is_old):
                shutil.rmtree(entry, ignore_errors=True)


def _entries(saves: Path) -> list[Path]:
    try:
        return list(saves.iterdir())
    except OSError:
        return []
