"""A line of the list of runs, for a whole or a damaged run; of its files only the ends are read."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import RunError
from core.events import NO_CHECKPOINT, PERPLEXITIES, State, number_in, perplexity_in
from core.runs.checkpoint_header import read_header
from core.runs.journal import NAME as JOURNAL
from core.runs.journal import journal_ends, parsed_line
from core.runs.run import BEST, LATEST, Run
from core.units import moment_of


@dataclass(frozen=True)
class RunSummary:
    """A line of the list of runs.

    A perplexity beyond the range of floating point is infinite; ``loss`` and ``validation_loss`` are in nats.
    ``problem`` is a sentence if ``run.json`` is damaged: then only the end of its curve is known. ``remark`` is one if
    a checkpoint or the journal is damaged, and says from which checkpoint the run can continue, if from any.
    ``restored`` is the epoch whose weights a run that diverged has again, and ``from_best`` that of the best
    checkpoint, where the latest one is damaged.
    """

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
    remark: str = ""
    loss: float | None = None
    validation_loss: float | None = None
    cell: str = ""
    num_hiddens: int = 0
    num_layers: int = 0
    tags: tuple[str, ...] = ()
    note: str = ""
    restored: int | None = None
    from_best: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether none of its checkpoints can be read."""
        return self.remark.endswith(NO_CHECKPOINT)

    @property
    def created_at(self) -> float:
        """``created`` in seconds since 1970, so that dates of different zones compare; 0 if it is malformed."""
        moment = moment_of(self.created)
        return moment.timestamp() if moment is not None else 0.0

    @property
    def annotation(self) -> str:
        """``#best #paper it rhymes``: the tags and the note."""
        return " ".join([*(f"#{tag}" for tag in self.tags), self.note]).strip()

    def to_json(self) -> dict[str, Any]:
        """As ``runs --json`` prints it; a perplexity beyond floating point is null, and its loss is known."""
        values = {**vars(self), "path": str(self.path)}
        return values | {name: None for name, _ in PERPLEXITIES if values[name] == math.inf}


def weights_of(epoch: int) -> str:
    """``weights of epoch 30``: what a run that diverged has again."""
    return f"weights of epoch {epoch:,}" if epoch else "initial weights"


def from_best_words(wrong: str, epoch: int) -> str:
    """What is said wherever the best checkpoint is used; ``wrong`` is what is wrong with the latest one."""
    return f"{wrong}; the run continues from its best checkpoint, epoch {epoch:,}"


@dataclass(frozen=True)
class _End:
    """The last state and epoch of a journal or a checkpoint."""

    state: str
    epoch: int
    perplexity: float | None = None
    validation_perplexity: float | None = None
    loss: float | None = None
    validation_loss: float | None = None
    restored: int | None = None


@dataclass(frozen=True)
class Reading:
    """What the files of a run say: its summary if no process holds the run, and ``held``, the one if a process does.

    ``held`` is None if that makes no difference.
    """

    summary: RunSummary
    held: RunSummary | None = None

    def now(self, run: Run) -> RunSummary:
        """The summary that is true now: the lock is asked, the files are not read."""
        return self.held if self.held is not None and run.is_held() else self.summary


def run_summary(run: Run) -> RunSummary:
    """The summary of a run; of a damaged one, what is wrong with it. Never raises RunError."""
    return read_summary(run).now(run)


def read_summary(run: Run) -> Reading:
    """Read the files of a run. Never raises RunError."""
    unreadable, sizes = "", _sizes(run.path)
    try:
        end = _end_of_journal(run.journal_path)
        if sizes.get(JOURNAL) is None and (checkpoint := _end_of_checkpoint(run)).epoch:
            end, unreadable = checkpoint, "journal missing"
    except OSError as error:
        end, unreadable = _end_of_checkpoint(run), f"journal unreadable: {error.strerror or error}"
    known: dict[str, Any] = {
        "name": run.name,
        "path": run.path,
        "bytes": sum(filter(None, sizes.values())),
        **vars(end),
    }
    try:
        metadata = run.metadata()
    except RunError as error:
        curve = f"its curve is still there, up to epoch {end.epoch:,}" if end.epoch else ""
        known |= {"state": State.FAILED, "problem": "; ".join(filter(None, (str(error), unreadable or curve)))}
        return Reading(RunSummary(**known, num_epochs=0, model="?", corpus="?", parameters=0, created=""))
    config = metadata.config
    remark, from_best = _remark(run, sizes.keys(), 0 if unreadable else end.epoch)
    if remark and end.restored is not None:
        known["restored"] = from_best
    summary = RunSummary(
        **known,
        num_epochs=config.num_epochs,
        model=config.model_name,
        corpus=metadata.corpus.name,
        parameters=metadata.parameters,
        created=metadata.created,
        remark="; ".join(filter(None, (unreadable, remark))),
        from_best=from_best,
        cell=config.cell,
        num_hiddens=config.num_hiddens,
        num_layers=config.num_layers,
        tags=metadata.tags,
        note=metadata.note,
    )
    if end.state not in (State.TRAINING, State.PAUSED):
        return Reading(summary)
    is_complete = unreadable and end.epoch >= config.num_epochs
    free = replace(summary, state=State.FINISHED if is_complete else State.INTERRUPTED)
    return Reading(free, held=replace(summary, remark=unreadable, from_best=None))


def _end_of_journal(path: Path) -> _End:
    found, is_all = _End("", 0), True
    for lines, are_all in journal_ends(path):
        is_all = are_all
        found, has_epochs = _end_of_lines(lines)
        if has_epochs:
            break
    # Every change of state is in the journal: a long end without one is that of a training.
    return found if found.state else replace(found, state=State.IDLE if is_all else State.TRAINING)


def _end_of_lines(lines: list[bytes]) -> tuple[_End, bool]:
    """The end that these lines tell of, its state empty if it is not in them, and whether any of them is an epoch."""
    state, undone_from, resumed_at, has_epochs = "", math.inf, 0, False
    restored: int | None = None
    last: dict[str, Any] | None = None
    # From the end: epochs after that of a later resume were undone.
    for raw in reversed(lines):
        # A name in JSON can be written with escapes: such a line is parsed too.
        if last is not None and b'"state"' not in raw and b"\\" not in raw:
            continue
        if (line := parsed_line(raw)) is None:
            continue
        event, number = line.get("event"), line.get("epoch")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**63:
            number = -1
        if event == "state" and not state and line.get("state") in State.ALL:
            state = line["state"]
            restored = number if state == State.DIVERGED and number >= 0 else None
        if last is not None:
            number = -1
        has_epochs |= event == "epoch"
        if event == "epoch" and 0 <= number <= undone_from:
            last = line
        if event == "resumed" and 0 <= number < undone_from:
            undone_from, resumed_at = number, number
        if last is not None and state:
            break
    if last is None:
        return _End(state, resumed_at, restored=restored), has_epochs
    known = {name: perplexity_in(last, name, loss) for name, loss in PERPLEXITIES}
    known |= {loss: number_in(last, loss) for _, loss in PERPLEXITIES}
    return _End(state, last["epoch"], restored=restored, **known), True


def _end_of_checkpoint(run: Run) -> _End:
    """The epoch of the last checkpoint, for a run without a readable journal; its state is unknown."""
    for path in (run.latest_path, run.best_path):
        with contextlib.suppress(RunError):
            if (epoch := _epoch_of(path)) is not None:
                return _End(State.TRAINING, epoch)
    return _End(State.TRAINING, 0)


def _epoch_of(path: Path) -> int | None:
    """The epoch of a checkpoint, by its header; None if that does not say. Raises RunError if it is damaged."""
    epoch = read_header(path).fact("epoch")
    return epoch if isinstance(epoch, int) and not isinstance(epoch, bool) and 0 <= epoch < 2**63 else None


def _remark(run: Run, files: Collection[str], epoch: int) -> tuple[str, int | None]:
    """The damage of the checkpoints, by their headers, and the epoch of the best one if that is used.

    Empty if the last one looks whole.
    """
    has_best = BEST in files
    if not has_best and LATEST not in files:
        return "", None  # killed before its first checkpoint: it starts again
    try:
        read_header(run.latest_path)
        return "", None
    except RunError as error:
        wrong = str(error)
    try:
        best = _epoch_of(run.best_path) if has_best else None
    except RunError as error:
        wrong, best = f"{wrong}; {error}", None
    if best is not None:
        return from_best_words(wrong, best), best
    curve = f"its curve is still there, up to epoch {epoch:,}" if epoch else ""
    return "; ".join(filter(None, (wrong, curve, NO_CHECKPOINT))), None


def _sizes(path: Path) -> dict[str, int | None]:
    """The files of a folder and their bytes; None where a name leads nowhere."""
    found: dict[str, int | None] = {}
    try:
        names = os.listdir(path)
    except OSError:  # a folder that may only be entered
        names = [name for name in (JOURNAL, LATEST, BEST) if os.path.lexists(f"{path}/{name}")]
    for name in names:
        try:
            found[name] = os.stat(f"{path}/{name}").st_size
        except OSError:
            found[name] = None
    return found
