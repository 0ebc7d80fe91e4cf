"""``python -m core sweep``: many runs in one go, each trained by a process of its own."""

from __future__ import annotations

import argparse
import signal
from dataclasses import replace

from core.cli.printing import saves_flag
from core.cli.sweep_report import SweepReport
from core.cli.train import config_of
from core.errors import ConfigError, UserError
from core.output import tolerate
from core.settings.setting import key_values
from core.sweep.driver import Driver, Plan, places
from core.sweep.folder import SweepFolder, sweeps_in
from core.sweep.grid import GridPlan
from core.sweep.questions import QUESTIONS, question_named
from core.sweep.results import Results
from core.sweep.sweep import Sweep, check_sweep_name, checked_sweep, new_sweep

# The flags that say which runs there are.
_DESCRIBING = (
    "preset", "corpus", "epochs", "minutes", "seed", "device", "workers", "vary", "question", "grid", "set",
)  # fmt: skip


def sweep(options: argparse.Namespace) -> int:
    """Begin a sweep, continue or join it, or show its table."""
    question = question_named(options.question) if options.question is not None else None
    name = question.name if options.name is None and question is not None else options.name
    if name is None:
        known = ", ".join(folder.name for folder in sweeps_in(options.saves)[:8])
        there = f"; there are {known}" if known else ""
        raise ConfigError(f"name the sweep: python -m core sweep NAME --grid --vary cell=rnn,gru,lstm{there}")
    folder = SweepFolder(options.saves.absolute(), check_sweep_name(name))
    if options.show:
        return _show(folder, options)
    if options.stop:
        folder.read()
        folder.ask_to_stop()
        return 0
    wanted = _wanted(name, folder, options)
    _check_storage(wanted, options)
    if not wanted.is_grid:
        import core.sweep.search  # noqa: F401 - says that Optuna is missing before a folder is made
    return _train(folder.begin(wanted), folder, options)


def _wanted(name: str, folder: SweepFolder, options: argparse.Namespace) -> Sweep:
    """The sweep that the flags describe; with none that do, the one that is there. Raises UserError."""
    if not any(getattr(options, name) for name in _DESCRIBING):
        if options.trials is not None and not folder.exists():
            raise ConfigError("say what varies, such as --vary learning_rate=0.1..100:log, which may be repeated")
        known = folder.read()
        if known.is_grid and (options.trials is not None or options.pruner is not None):
            raise ConfigError(f"{name} is a grid: it has neither trials nor a pruner")
        trials, pruner = options.trials or known.trials, options.pruner or known.pruner
        jobs = known.jobs if options.jobs is None else options.jobs
        return checked_sweep(replace(known, trials=trials, pruner=pruner, jobs=jobs))
    question = question_named(options.question) if options.question is not None else None
    config, vary = config_of(options, question.preset if question is not None else None), options.vary
    if question is not None:
        if vary or options.trials is not None:
            raise ConfigError("--question is a grid of its own: leave --vary and --trials out")
        given = key_values(options.set, "num_hiddens=512")
        config = config.replace(**{key: value for key, value in question.changes.items() if key not in given})
        vary = question.vary
    elif options.grid and options.trials is not None:
        raise ConfigError("--grid trains every combination and --trials N chooses N of them: leave one of the two out")
    elif not options.grid and options.trials is None:
        questions = ", ".join(QUESTIONS)
        raise ConfigError(
            "say how the values are tried: --grid trains every combination, --trials N lets Optuna choose N of them; "
            f"or ask a --question that comes ready: {questions}"
        )
    if options.trials is None and options.pruner is not None:
        raise ConfigError("--pruner is of a search: a grid trains every run to its end")
    if options.trials is not None and options.trials < 1:
        raise ConfigError(f"--trials must be at least 1, got {options.trials}")
    return new_sweep(
        name, config, vary, trials=options.trials or 0, pruner=options.pruner or "median",
        is_shared=options.storage is not None, data=options.data, jobs=1 if options.jobs is None else options.jobs,
    )  # fmt: skip


def _check_storage(wanted: Sweep, options: argparse.Namespace) -> None:
    if options.storage == "":
        raise ConfigError("--storage names a database, such as sqlite:////tmp/trials.db, got ''")
    if options.storage and wanted.is_grid:
        raise ConfigError("--storage is of a search: a grid needs none")
    if wanted.is_shared and not options.storage:
        raise ConfigError(f"the trials of {wanted.name} are in a database: name it with --storage again")


def _plan(wanted: Sweep, folder: SweepFolder, options: argparse.Namespace) -> Plan:
    if wanted.is_grid:
        return GridPlan(wanted, folder)
    from core.sweep.search import SearchPlan  # imports Optuna

    return SearchPlan(wanted, folder, options.storage or "")


def _train(wanted: Sweep, folder: SweepFolder, options: argparse.Namespace) -> int:
    plan, where = _plan(wanted, folder, options), places(wanted, wanted.jobs)
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: signals.append(number))
    tolerate()
    report = SweepReport(wanted, where, as_json=options.json)
    report.begin()
    work = folder.work()
    folder.forget_stop()
    try:
        is_done = Driver(wanted, folder, plan, where, report, lambda: bool(signals)).run()
        report.end(Results(folder).read(wanted), plan.importances())
        if not is_done:
            storage = " --storage URL" if wanted.is_shared else ""
            report.say(f"stopped: python -m core sweep {wanted.name}{saves_flag(options.saves)}{storage} continues it")
    finally:
        work.close()
    return 0 if not report.failures else 1


def _show(folder: SweepFolder, options: argparse.Namespace) -> int:
    """Print the table of a sweep. What Optuna knows is left out where Optuna is missing."""
    known = folder.read()
    _check_storage(known, options)
    report = SweepReport(known, [], as_json=options.json)
    importances: dict[str, float] = {}
    if not known.is_grid:
        try:
            importances = _plan(known, folder, options).importances()
        except UserError as error:
            if options.storage:
                raise
            report.warn(str(error))
    report.end(Results(folder).read(known), importances)
    return 0
