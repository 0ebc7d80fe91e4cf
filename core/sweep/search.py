"""A search by Optuna: which values to try next, which runs to end early, and which settings matter.

Optuna's trials are kept in a file of the sweep's folder, or in a database that several machines share. A trial is one
run, whose result is its lowest loss in nats: on the held-out text, or in training if nothing is held out.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from core.errors import ConfigError, RunError, UserError
from core.events import EpochFinished, State
from core.files import open_to_append
from core.record import MALFORMED
from core.runs.run import Run
from core.settings.setting import Value
from core.sweep.driver import Plan, Taken
from core.sweep.folder import GIVEN_UP, PRUNED, Outcome, SweepFolder
from core.sweep.launch import NO_OPTUNA
from core.sweep.ranges import Varied
from core.sweep.sweep import PlannedRun, Sweep
from core.sweep.training import is_open_elsewhere, measured_loss

try:
    import optuna
except ImportError:
    raise UserError(NO_OPTUNA) from None

from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

# Seconds between two signs of life to a database, and after how many without one a trial is taken for abandoned.
HEARTBEAT_SECONDS, SILENT_SECONDS = 30, 120
# Runs that are trained to their end before one is pruned.
UNPRUNED_RUNS = 5
# Different results from which on it is said which settings matter.
FEWEST_RESULTS = 4
# The packages of the modules with which SQLAlchemy talks to databases, where they are called otherwise.
_DRIVERS = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
_RUN, _PLACE, _FAILURE, _SWEEP = "run", "place", "failure", "sweep"
_STATES = {
    TrialState.RUNNING: State.TRAINING, TrialState.COMPLETE: State.FINISHED, TrialState.PRUNED: PRUNED,
    TrialState.FAIL: State.FAILED,
}  # fmt: skip
_SILENT = "no sign of life for {} s, another run takes its place in the search"
_COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


class SearchPlan(Plan):
    """The trials of one search. Several processes, also on several machines, may work on the same study."""

    def __init__(self, sweep: Sweep, folder: SweepFolder, storage: str = "") -> None:
        """Raises UserError for a storage that cannot be used, or has another study of this name."""
        self._sweep = sweep
        self._folder = folder
        self._ours: set[str] = set()
        self._beats: dict[int, float] = {}
        self._is_shared = bool(storage)
        self._noted: dict[str, Outcome] = {}
        self._given_up: list[str] = []
        self._what = "the database that --storage names" if storage else str(folder.study_path)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        # The driver gives the signs of life that Study.optimize would give.
        warnings.filterwarnings("ignore", "Heartbeat of storage", UserWarning)
        with self._errors(*MALFORMED, AssertionError):  # a damaged file of trials, as Optuna sees it
            self._storage = _storage(folder, storage)
            self._study = optuna.create_study(
                storage=self._storage, study_name=sweep.name, load_if_exists=True, pruner=_pruner(sweep)
            )
            self._check_study()
        self._place = f"{os.uname().nodename}:{os.stat(folder.path).st_ino}"

    def _check_study(self) -> None:
        """Raise RunError if the database has another sweep of this name."""
        values = self._sweep.config.to_dict()
        known = {
            "vary": list(self._sweep.vary),
            "config": {**values, "corpus": os.path.basename(str(values["corpus"]))},
        }
        found = self._study.user_attrs.get(_SWEEP)
        if found is None:
            self._study.set_user_attr(_SWEEP, known)
        elif found != known:
            raise RunError(
                f"the storage has another sweep {self._sweep.name!r}, with other settings: choose a new name"
            )

    # ------------------------------------------------------------------ the plan of a driver

    def take(self) -> Taken | None:
        """A run that a killed process has left, or that of a new trial; None if there is none now."""
        with self._errors(), self._folder.changing():
            if isinstance(self._storage, optuna.storages.RDBStorage):
                optuna.storages.fail_stale_trials(self._study)
            trials = self._study.get_trials(deepcopy=False)
            self._note_other_machines(trials)
            return self._take_up(trials) or self._try_new(trials)

    def _take_up(self, trials: Sequence[FrozenTrial]) -> Taken | None:
        """A trial of this folder that is not finished and that no process trains."""
        names = {item.setting.name for item in self._sweep.varied}
        for trial in trials:
            name = self._sweep.trial_name(trial.number)
            if trial.state != TrialState.RUNNING or name in self._ours:
                continue
            if trial.params.keys() != names or _RUN not in trial.user_attrs:
                if not self._is_shared or _is_old(trial):  # else it may be about to begin on another machine
                    self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                continue
            if self._is_here(trial) and (taken := self._taken(name, trial.params, trial.number)) is not None:
                return taken
        return None

    def _is_here(self, trial: FrozenTrial) -> bool:
        """Whether the run of a trial is in this folder: a database has those of other folders, too."""
        return not self._is_shared or trial.user_attrs.get(_PLACE, self._place) == self._place

    def _note_other_machines(self, trials: Sequence[FrozenTrial]) -> None:
        """Write into the folder what became of the runs of other machines, and of those here that they gave up."""
        for trial in trials:
            is_here = self._is_here(trial)
            is_given_up = self._is_given_up(trial)
            name, place = self._sweep.trial_name(trial.number), str(trial.user_attrs.get(_PLACE, "")).rpartition(":")[0]
            if (
                _RUN not in trial.user_attrs
                or name in self._ours
                or trial.state not in _STATES
                or (is_here and not is_given_up)
            ):
                continue
            words = _SILENT.format(SILENT_SECONDS) if is_given_up else str(trial.user_attrs.get(_FAILURE, ""))
            losses = [trial.value, *trial.intermediate_values.values()]
            finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
            best = None if is_here else min(finite, default=None)
            state = GIVEN_UP if is_given_up else _STATES[trial.state]
            outcome = Outcome(dict(trial.params), state, words, "" if is_here else place, best)
            if outcome == self._noted.get(name) or outcome == self._folder.outcome(name):
                continue
            self._noted[name] = outcome
            self._folder.set_outcome(name, outcome)
            if is_given_up:
                self._given_up.append(f"{name} on {place} is {GIVEN_UP}: {words}")

    def _is_given_up(self, trial: FrozenTrial) -> bool:
        """Whether another machine has given up a trial, because it was silent for long."""
        return self._is_shared and trial.state == TrialState.FAIL and _FAILURE not in trial.user_attrs

    def given_up(self) -> Sequence[str]:
        found, self._given_up = self._given_up, []
        return found

    def _try_new(self, trials: Sequence[FrozenTrial]) -> Taken | None:
        """The run of a new trial, unless there are as many as are wanted. Values in conflict fail at once."""
        wanted = self._sweep.trials - sum(trial.state in _COUNTED or _FAILURE in trial.user_attrs for trial in trials)
        for _ in range(wanted):
            trial = self._study.ask()
            self._heartbeat(trial.number)
            name = self._sweep.trial_name(trial.number)
            trial.set_user_attr(_PLACE, self._place)
            # The values follow from seed, number and what is known by then: a search in turn can be repeated.
            seed = (self._sweep.config.seed * 1_000_003 + trial.number) % 2**32
            self._study.sampler = optuna.samplers.TPESampler(seed=seed)
            values = {item.setting.name: _suggested(trial, item) for item in self._sweep.varied}
            trial.set_user_attr(_RUN, name)
            try:
                self._sweep.config_with(values)
            except ConfigError as error:
                outcome = Outcome(values, State.FAILED, str(error))
                self._folder.set_outcome(name, outcome)
                self._tell(trial.number, outcome, math.inf)
                continue
            if (taken := self._taken(name, values, trial.number)) is not None:
                return taken
        return None

    def _taken(self, name: str, values: Mapping[str, Value], number: int) -> Taken | None:
        """The run with its lock; None if another process has it."""
        claim = self._folder.claim(name)
        if claim is None:
            return None
        is_running = self._study.get_trials(deepcopy=False)[number].state == TrialState.RUNNING
        if not is_running or is_open_elsewhere(Run(self._folder.saves / name)):
            claim.close()
            return None
        self._ours.add(name)
        return Taken(PlannedRun(name, values, self._sweep.config_with(values), number), claim)

    def elsewhere(self) -> int:
        """Also on other machines, which may fall silent."""
        with self._errors():
            return sum(
                trial.state == TrialState.RUNNING and self._sweep.trial_name(trial.number) not in self._ours
                for trial in self._study.get_trials(deepcopy=False)
            )

    def observe(self, planned: PlannedRun, events: Sequence[EpochFinished]) -> bool:
        """Report new epochs of a run; returns whether the pruner ends it."""
        with self._errors():
            if time.monotonic() >= self._beats.get(planned.trial, 0.0) + HEARTBEAT_SECONDS:
                self._heartbeat(planned.trial)
            reported = [event for event in events if is_reported(event.epoch)]
            try:
                for event in reported:
                    loss = measured_loss(event)
                    self._storage.set_trial_intermediate_value(self._id(planned.trial), event.epoch, loss)
            except optuna.exceptions.UpdateFinishedTrialError:
                return False  # another machine gave it up, because this one was silent for long: the run is kept
            if not reported:
                return False
            return self._study.pruner.prune(self._study, self._storage.get_trial(self._id(planned.trial)))

    def finish(self, planned: PlannedRun, outcome: Outcome, loss: float) -> Outcome:
        """Tell the study what became of a trial; one that was stopped or killed is continued by the next command.

        Optuna keeps the state of a trial that was given up, so its run, which is kept, no longer counts.
        """
        with self._errors():
            self._tell(planned.trial, outcome, loss)
            if self._is_shared and self._is_given_up(self._storage.get_trial(self._id(planned.trial))):
                return replace(outcome, state=GIVEN_UP, message=_SILENT.format(SILENT_SECONDS))
        return outcome

    def _tell(self, number: int, outcome: Outcome, loss: float) -> None:
        if outcome.state == State.FINISHED and math.isfinite(loss):
            self._study.tell(number, loss, skip_if_finished=True)
        elif outcome.state in (PRUNED, State.DIVERGED, State.FINISHED):
            # Of a failed trial the sampler learns nothing, of a pruned one that these values are bad.
            self._study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
        elif outcome.state == State.FAILED:
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                self._storage.set_trial_user_attr(self._id(number), _FAILURE, outcome.message)
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    # ------------------------------------------------------------------ what was found

    def importances(self) -> dict[str, float]:
        """The share of each setting in what makes the results differ, by Optuna; empty for too few results."""
        with self._errors():
            trials = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if len({trial.value for trial in trials}) < FEWEST_RESULTS:
                return {}
            return dict(optuna.importance.get_param_importances(self._study))

    # ------------------------------------------------------------------ the storage

    @contextlib.contextmanager
    def _errors(self, *more: type[Exception]) -> Iterator[None]:
        """Turns what Optuna and its database raise, and ``more``, into a UserError."""
        kinds: tuple[type[Exception], ...] = (
            optuna.exceptions.OptunaError, SQLAlchemyError, OSError, ImportError, *more,
        )  # fmt: skip
        try:
            yield
        except kinds as error:
            missing = getattr(error.__cause__, "name", None) if isinstance(error, ImportError) else None
            if missing:
                package = _DRIVERS.get(missing, missing)
                raise UserError(f"{self._what} needs a package that is missing: pip install {package}") from None
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise UserError(f"{self._what} cannot be used: {words[0][:300]}") from None

    def _id(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(self._sweep.name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def _heartbeat(self, number: int) -> None:
        self._beats[number] = time.monotonic()
        if isinstance(self._storage, optuna.storages.RDBStorage):
            self._storage.record_heartbeat(self._id(number))


def _is_old(trial: FrozenTrial) -> bool:
    """Whether a trial that has no run yet was begun so long ago that its process must have ended."""
    begun = trial.datetime_start
    return begun is not None and (datetime.now() - begun).total_seconds() > SILENT_SECONDS


def is_reported(epoch: int) -> bool:
    """Whether an epoch is reported to the study: each one up to 100, then 90 in each decade.

    The same epochs in all runs: a pruner compares them.
    """
    return epoch % int("1" + "0" * (len(str(epoch)) - 2)) == 0


def _suggested(trial: optuna.Trial, varied: Varied) -> Value:
    name = varied.setting.name
    if varied.values:
        chosen = trial.suggest_categorical(name, varied.values)
        assert chosen is not None
        return chosen
    if varied.setting.kind is int:
        return trial.suggest_int(name, int(varied.low), int(varied.high), log=varied.log)
    return trial.suggest_float(name, varied.low, varied.high, log=varied.log)


def _pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    # With a time budget the epochs are not known yet: hyperband then takes those of the first run.
    epochs = 0 if sweep.config.minutes else sweep.config.num_epochs
    if sweep.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_RUNS, n_warmup_steps=epochs // 10)
    if sweep.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(1, epochs // 27), max_resource=epochs or "auto")
    return optuna.pruners.NopPruner()


def _storage(folder: SweepFolder, url: str) -> optuna.storages.BaseStorage:
    if url:
        return optuna.storages.RDBStorage(url, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=SILENT_SECONDS)
    with folder.changing():
        _cut_torn_line(folder)
    return optuna.storages.JournalStorage(JournalFileBackend(str(folder.study_path)))


def _cut_torn_line(folder: SweepFolder) -> None:
    """Remove half a line at the end of Optuna's file, which a full disk has left: it could not be read any more."""
    file = open_to_append(folder.study_path, os.O_RDWR)
    try:
        size = os.fstat(file).st_size
        end = os.pread(file, 1 << 20, max(0, size - (1 << 20)))
        if end and not end.endswith(b"\n") and not folder.is_working():
            os.ftruncate(file, size - len(end) + end.rfind(b"\n") + 1)
    finally:
        os.close(file)
