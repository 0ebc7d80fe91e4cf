"""A sweep: what its runs have in common, what varies, and the runs of a grid."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from core.corpus.catalogue import resolve
from core.errors import ConfigError, RunError
from core.runs.annotation import check_tags
from core.runs.store import LONGEST_NAME, check_name
from core.settings.run_config import RunConfig
from core.settings.setting import Value
from core.sweep.ranges import Varied, grid_of, parse_all_varied, short_text, value_text

PRUNERS = ("median", "hyperband", "none")
MOST_TRIALS = 100_000
MOST_JOBS = 256
LONGEST_SWEEP_NAME = 40  # that of a tag, which its runs have
# What changes the text that a perplexity is measured on.
_OF_THE_TEXT = frozenset((
    "corpus", "normalise", "tokens", "documents", "max_tokens", "min_freq", "validation_fraction", "bidirectional",
))  # fmt: skip


@dataclass(frozen=True)
class PlannedRun:
    """A run of a sweep: the values that are its own, and all its settings. ``trial`` is its number in a search."""

    name: str
    values: Mapping[str, Value]
    config: RunConfig
    trial: int = -1


@dataclass(frozen=True)
class Sweep:
    """What defines a sweep; its runs follow from it, see ``new_sweep`` for what is checked.

    Attributes:
        name: also the tag of its runs, and the beginning of their names.
        config: what the runs have in common.
        vary: the settings that vary, each as ``core.sweep.ranges`` reads it.
        trials: the number of runs of a search; 0 is a grid.
        pruner: of a search, which training is ended early: one of ``PRUNERS``.
        is_shared: whether Optuna keeps the trials in a database that ``--storage`` names, in place of a file here. The
            address is not kept: it may have a password in it.
        data: the folder in which texts are found by name; empty for the usual one.
        jobs: how many runs train side by side, unless a command says otherwise.
    """

    name: str
    config: RunConfig
    vary: tuple[str, ...]
    trials: int = 0
    pruner: str = "median"
    is_shared: bool = False
    data: str = ""
    jobs: int = 1

    @cached_property
    def varied(self) -> tuple[Varied, ...]:
        return parse_all_varied(self.vary)

    @property
    def is_grid(self) -> bool:
        """Whether every combination of the values is a run."""
        return self.trials == 0

    def same_runs(self, other: Sweep) -> bool:
        """Whether both describe the same runs; what is not of one run may change."""
        ours, theirs = (replace(item, trials=min(1, item.trials), pruner="", jobs=1) for item in (self, other))
        return ours == theirs

    def runs(self) -> list[PlannedRun]:
        """The runs of a grid, in the order of their values. Raises ConfigError for values that are in conflict."""
        grid = grid_of(self.varied)
        planned = [PlannedRun("", values, self.config_with(values)) for values in grid]
        return [replace(run, name=name) for run, name in zip(planned, _names(self.name, grid), strict=True)]

    def config_with(self, values: Mapping[str, Value]) -> RunConfig:
        """All settings of the run with ``values``. Raises ConfigError, which says with which values."""
        try:
            return self.config.replace(**values)
        except ConfigError as error:
            raise ConfigError(f"{error} (with {values_text(values)})", error.field) from None

    def trial_name(self, number: int) -> str:
        """The name of the run of a search's trial, from 0."""
        return f"{self.name}-{number + 1:03d}"


def new_sweep(
    name: str, config: RunConfig, vary: Sequence[str], *, trials: int = 0, pruner: str = "median",
    is_shared: bool = False, data: Path | None = None, jobs: int = 1,
) -> Sweep:  # fmt: skip
    """A sweep whose settings are checked, its texts found. Raises UserError for what cannot be."""
    place = str(data.absolute()) if data is not None else ""
    sweep = checked_sweep(Sweep(name, config, tuple(vary), trials, pruner, is_shared, place, jobs))
    for run in sweep.runs() if sweep.is_grid else ():
        lasting_corpus(run.config.corpus, data)
    return replace(sweep, config=config.replace(corpus=lasting_corpus(config.corpus, data)))


def checked_sweep(sweep: Sweep) -> Sweep:
    """The sweep with its values as they are written; the disk is not asked. Raises UserError for what cannot be."""
    check_sweep_name(sweep.name)
    if not 0 <= sweep.trials <= MOST_TRIALS:
        raise ConfigError(f"--trials must be between 1 and {MOST_TRIALS:,}, got {sweep.trials:,}")
    if sweep.pruner not in PRUNERS:
        raise ConfigError(f"--pruner must be one of {', '.join(PRUNERS)}, got {sweep.pruner!r}")
    if not 1 <= sweep.jobs <= MOST_JOBS:
        raise ConfigError(f"--jobs must be between 1 and {MOST_JOBS}, got {sweep.jobs:,}")
    sweep = replace(sweep, vary=tuple(item.text() for item in sweep.varied))
    if sweep.is_grid:
        sweep.runs()
        return sweep
    for item in sweep.varied:
        if item.setting.name in _OF_THE_TEXT:
            raise ConfigError(
                f"a search compares perplexities, which {item.setting.name} makes incomparable: vary it in a grid"
            )
    return sweep


def check_sweep_name(name: str) -> str:
    """Return ``name``. Raises RunError if it cannot begin the names of runs and be their tag."""
    check_name(name, "a sweep")
    if len(name) > LONGEST_SWEEP_NAME:
        raise RunError(f"the name of a sweep may have {LONGEST_SWEEP_NAME} characters, {name[:60]!r} has {len(name)}")
    check_tags((name,))
    return name


def lasting_corpus(corpus: str, data: Path | None = None) -> str:
    """``corpus`` as it is also found from another folder: a name, or an absolute path. Raises CorpusError."""
    path = resolve(corpus, data)
    return corpus if path.stem == corpus else str(path.absolute())


def values_text(values: Mapping[str, Value]) -> str:
    """``cell=gru, learning_rate=0.1``."""
    return ", ".join(f"{name}={short_text(value)}" for name, value in values.items())


def _names(sweep: str, grid: Sequence[Mapping[str, Value]]) -> list[str]:
    """The names of a grid's runs: with their values in them if these are short and differ, else numbered."""
    names = [f"{sweep}-{'-'.join(map(_word, values.values()))}" for values in grid]
    are_short = all(len(name) <= 60 and len(name.encode()) <= LONGEST_NAME for name in names)
    if are_short and len({name.casefold() for name in names}) == len(names):
        return [check_name(name) for name in names]
    return [f"{sweep}-{number:02d}" for number in range(1, len(grid) + 1)]


def _word(value: Value) -> str:
    text = value_text(value)
    text = Path(text).stem if isinstance(value, str) and os.sep in text else text
    return re.sub(r"[^\w.]+", "-", text).strip("-.") or "x"
