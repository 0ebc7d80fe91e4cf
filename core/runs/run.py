"""A run: one model being trained or already trained. One folder in ``saves/``.

The folder is whole by itself: settings, vocabulary, a copy of the text (up to 16 MB), the journal and the checkpoints.
No torch in this module: the screen lists, renames and deletes runs with it.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import json
import os
import re
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.config import RunConfig
from core.errors import ConfigError, RunError
from core.events import State
from core.runs.journal import last_lines

FORMAT = 1
LARGEST_CORPUS_COPY = 16 << 20
LARGEST_RUN_FILE = 4 << 20
# Seconds after which the folder of a run in the making is nobody's any more.
LONGEST_MAKING = 3600.0
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,100}")


@dataclass(frozen=True)
class CorpusIdentity:
    """Which text a run was trained on: enough to find it again and to know that it is the same."""

    name: str
    sha256: str
    tokens: int
    vocabulary: int
    path: str


@dataclass(frozen=True)
class RunFacts:
    """The contents of ``run.json``."""

    config: RunConfig
    corpus: CorpusIdentity
    parameters: int
    created: str
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "corpus": asdict(self.corpus),
            "parameters": self.parameters,
            "created": self.created,
            "versions": dict(self.versions),
        }

    def encoded(self) -> bytes:
        """The bytes of ``run.json``. A path that is no UTF-8 has surrogates in it, and is kept."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass") + b"\n"


@dataclass(frozen=True)
class RunSummary:
    """A line of the list of runs. ``problem`` is a sentence where the folder is damaged; then little else is known."""

    name: str
    path: Path
    state: str
    epoch: int
    num_epochs: int
    perplexity: float | None
    validation_perplexity: float | None
    model: str
    corpus: str
    parameters: int
    bytes: int
    created: str
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """As ``runs --json`` prints it."""
        return {**asdict(self), "path": str(self.path)}


class Run:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.facts_path = path / "run.json"
        self.vocabulary_path = path / "vocabulary.json"
        self.corpus_path = path / "corpus.txt"
        self.journal_path = path / "metrics.jsonl"
        self.latest_path = path / "latest.safetensors"
        self.best_path = path / "best.safetensors"
        self.log_path = path / "engine.log"
        self.lock_path = path / "engine.lock"

    def exists(self) -> bool:
        """Whether there is anything of a run in the folder, be it damaged."""
        # os.path: unlike Path.exists, no error for a name too long or a folder that may not be entered.
        return any(os.path.exists(path) for path in (self.facts_path, self.journal_path, self.latest_path))

    def facts(self) -> RunFacts:
        """Read ``run.json``. Raises RunError with a sentence that names what is missing or damaged."""
        value = self._json(self.facts_path)
        try:
            if value["format"] != FORMAT:
                raise RunError(f"{self.facts_path} has format {value['format']!r}, this program knows format {FORMAT}")
            corpus = value["corpus"]
            return RunFacts(
                config=RunConfig.from_dict(value["config"]),
                corpus=CorpusIdentity(
                    str(corpus["name"]), str(corpus["sha256"]), int(corpus["tokens"]), int(corpus["vocabulary"]),
                    str(corpus["path"]),
                ),
                parameters=int(value["parameters"]),
                created=str(value["created"]),
                versions={str(name): str(version) for name, version in dict(value["versions"]).items()},
            )  # fmt: skip
        except ConfigError as error:
            raise RunError(f"{self.facts_path} holds a wrong setting: {error}") from None
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RunError(
                f"{self.facts_path} is damaged or foreign: {type(error).__name__} {str(error)[:100]}"
            ) from None

    def vocabulary_json(self) -> dict[str, Any]:
        """Read ``vocabulary.json``. Raises RunError."""
        return self._json(self.vocabulary_path, largest=1 << 28)

    def _json(self, path: Path, largest: int = LARGEST_RUN_FILE) -> dict[str, Any]:
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > largest:
                    raise RunError(f"{path} has {size:,} bytes, more than a file of this kind can have")
                value = json.loads(file.read())
        except FileNotFoundError:
            if not self.path.is_dir():
                raise RunError(f"there is no run {self.name!r} in {self.path.parent}") from None
            raise RunError(f"{path} is missing: {self.path} is no run folder, or no whole one") from None
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise RunError(f"{path} is cut or damaged: it is not valid JSON") from None
        if not isinstance(value, dict):
            raise RunError(f"{path} is foreign: it holds no JSON object")
        return value

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for oneself. Raises RunError where another engine holds it."""
        descriptor = self.acquire()
        try:
            yield
        finally:
            os.close(descriptor)

    def acquire(self) -> int:
        """Take the lock; it lasts as long as the returned descriptor is open, however the process ends."""
        try:
            descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:
            raise RunError(f"there is no run {self.name!r} in {self.path.parent}") from None
        except OSError as error:
            raise RunError(f"{self.path} cannot be written to: {error.strerror}") from None
        try:
            _lock_exclusively(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise RunError(
                    f"run {self.name!r} is open in another engine: attach to that one, or stop it first"
                ) from None
            raise RunError(f"{self.lock_path} cannot be locked: {error.strerror}") from None
        if not self._is_lock(descriptor):
            os.close(descriptor)
            raise RunError(f"run {self.name!r} has just been renamed or deleted")
        return descriptor

    def _is_lock(self, descriptor: int) -> bool:
        """Whether what was locked is still this run's: its folder may have gone between opening and locking."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.lock_path))
        except OSError:
            return False

    def is_held(self) -> bool:
        """Whether an engine has this run open at this moment."""
        try:
            file = self.lock_path.open("rb")
        except OSError:
            return False
        with file:
            try:
                # Shared, so that two who merely ask are never in each other's way.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
        return False

    def summary(self) -> RunSummary:
        """What a list of runs shows; a damaged folder gives one that says what is wrong. Never raises RunError."""
        size = _folder_size(self.path)
        try:
            facts = self.facts()
        except RunError as error:
            return RunSummary(
                self.name, self.path, State.FAILED, 0, 0, None, None, "?", "?", 0, size, "", problem=str(error)
            )
        lines, are_all = last_lines(self.journal_path)
        # Every change of state is journalled: where none is told for a long time, the run has been training.
        state = State.IDLE if are_all else State.TRAINING
        epochs: list[tuple[int, float | None, float | None]] = []
        for line in lines:
            event, number = line.get("event"), line.get("epoch")
            if event == "state" and line.get("state") in State.ALL:
                state = line["state"]
            elif event == "epoch" and isinstance(number, int):
                epochs.append((number, _number(line.get("perplexity")), _number(line.get("validation_perplexity"))))
            elif event == "resumed" and isinstance(number, int):
                epochs = [known for known in epochs if known[0] <= number] or [(number, None, None)]
        epoch, training, held_out = epochs[-1] if epochs else (0, None, None)
        if state in (State.TRAINING, State.PAUSED) and not self.is_held():
            state = State.INTERRUPTED
        config = facts.config
        layers = f" x {config.num_layers}" if config.num_layers > 1 else ""
        return RunSummary(
            name=self.name,
            path=self.path,
            state=state,
            epoch=epoch,
            num_epochs=config.num_epochs,
            perplexity=training,
            validation_perplexity=held_out,
            model=f"{config.implementation} {config.cell} {config.num_hiddens}{layers}",
            corpus=facts.corpus.name,
            parameters=facts.parameters,
            bytes=size,
            created=facts.created,
        )


def create_run(
    saves: Path, name: str, facts: RunFacts, vocabulary: Mapping[str, Any], corpus_file: Path, corpus_bytes: int
) -> Run:
    """Make the folder of a new run, whole or not at all. Raises RunError for a taken name or a full disk."""
    check_name(name)
    target = saves / name
    try:
        saves.mkdir(parents=True, exist_ok=True)
        _sweep(saves)
        if target.exists():
            raise RunError(f"there is already a run {name!r} in {saves}: choose another name")
        with _folder_in_making(saves, target) as folder:
            (folder / "run.json").write_bytes(facts.encoded())
            (folder / "vocabulary.json").write_text(
                json.dumps(vocabulary, ensure_ascii=False) + "\n", "utf-8", errors="surrogatepass"
            )
            if corpus_bytes <= LARGEST_CORPUS_COPY:
                shutil.copyfile(corpus_file, folder / "corpus.txt")
    except OSError as error:
        raise RunError(f"the run cannot be made in {saves}: {error.strerror or error}") from None
    return Run(target)


@contextlib.contextmanager
def _folder_in_making(saves: Path, target: Path) -> Iterator[Path]:
    """A hidden folder beside ``target`` that becomes it when the block ends well, and vanishes otherwise."""
    folder = Path(tempfile.mkdtemp(prefix=".making-", dir=saves))
    try:
        yield folder
        folder.chmod(0o755)
        for file in folder.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        # Fails where a folder with files in it has meanwhile taken the name: nothing is ever overwritten.
        os.rename(folder, target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def check_name(name: str) -> str:
    """Return ``name``, or raise RunError where it cannot be the name of a folder on every system."""
    if (
        not _NAME.fullmatch(name)
        or name.startswith(".")
        or name != name.strip()
        or len(name.encode("utf-8", "replace")) > 200
    ):
        raise RunError(
            f"{name!r} cannot be the name of a run: use up to 100 letters, digits, blanks or -_., "
            "not beginning with a dot and without slashes"
        )
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in name):
        raise RunError(f"{name!r} cannot be the name of a run: it has characters that cannot be seen")
    return name


def free_name(saves: Path, stem: str) -> str:
    """The first of stem-0001, stem-0002, ... that no run has."""
    stem = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "run"
    stem = stem[:60]
    taken = {entry.name for entry in _entries(saves)}
    number = 1
    while f"{stem}-{number:04d}" in taken:
        number += 1
    return f"{stem}-{number:04d}"


def list_runs(saves: Path) -> list[RunSummary]:
    """The runs in ``saves``, newest first. A folder without anything of a run in it is passed over."""
    runs = [Run(entry) for entry in _entries(saves) if not entry.name.startswith(".")]
    summaries = [run.summary() for run in runs if run.exists()]
    return sorted(summaries, key=lambda summary: (summary.created, summary.name), reverse=True)


def find_run(saves: Path, name: str) -> Run:
    """The run of that name, or at that path. Raises RunError with the names that there are."""
    for path in (saves / name, Path(name)):
        if Run(path).exists():
            return Run(path.resolve())
    names = [summary.name for summary in list_runs(saves)]
    there = "there are " + ", ".join(names[:8]) if names else "there are no runs yet"
    raise RunError(f"there is no run {name!r} in {saves}; {there}")


def rename_run(run: Run, name: str) -> Run:
    """Give a run another name. Raises RunError where the name is taken or an engine holds the run."""
    target = run.path.with_name(check_name(name))
    with run.lock():
        refuse_taken(target)
        try:
            os.rename(run.path, target)
        except OSError as error:
            raise RunError(f"{run.name!r} cannot be renamed to {name!r}: {error.strerror}") from None
    return Run(target)


def duplicate_run(run: Run, name: str) -> Run:
    """Copy a run under another name. The caller sees to it that no engine is writing it meanwhile. Raises RunError."""
    target = run.path.with_name(check_name(name))
    refuse_taken(target)
    try:
        with _folder_in_making(run.path.parent, target) as folder:
            for source in (
                run.facts_path, run.vocabulary_path, run.corpus_path, run.journal_path, run.latest_path, run.best_path,
            ):  # fmt: skip
                if source.exists():
                    shutil.copyfile(source, folder / source.name)
            (folder / "run.json").write_bytes(replace(run.facts(), created=now()).encoded())
    except OSError as error:
        raise RunError(f"{run.name!r} cannot be copied to {name!r}: {error.strerror or error}") from None
    return Run(target)


def delete_run(run: Run) -> None:
    """Remove a run for good. Raises RunError where an engine holds it or the disk refuses."""
    with run.lock():
        try:
            # First out of the list in one step, then away: a crash in between leaves no half a run to stumble over.
            grave = Path(tempfile.mkdtemp(prefix=".deleted-", dir=run.path.parent))
            try:
                os.rename(run.path, grave / run.name)
            finally:
                shutil.rmtree(grave, ignore_errors=True)
        except OSError as error:
            raise RunError(f"{run.name!r} cannot be deleted: {error.strerror}") from None


def now() -> str:
    """The time of day as run.json keeps it: ISO 8601 with the zone, to the microsecond, so that runs sort by age."""
    return datetime.datetime.now().astimezone().isoformat(timespec="microseconds")


def refuse_taken(target: Path) -> None:
    if target.exists():
        raise RunError(f"there is already a run {target.name!r} in {target.parent}: choose another name")


def _sweep(saves: Path) -> None:
    """Remove what a crash left in the midst of a deletion, and of a making that nobody is at any more."""
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


def _folder_size(path: Path) -> int:
    total = 0
    for entry in _entries(path):
        with contextlib.suppress(OSError):
            total += entry.stat().st_size
    return total


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= 1e300 else None  # neither infinite nor nan


def _lock_exclusively(descriptor: int, patience: float = 0.25) -> None:
    """Take the lock. Raises OSError where an engine holds it.

    Somebody who merely asks whether the run is held (``Run.is_held``) has it too, for some microseconds: try again.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
