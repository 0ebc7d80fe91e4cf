"""``python -m core train`` and ``resume``: a training in this process, which a playground can find and join.

Wrong settings are refused before anything but the settings is imported.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli.printing import fail
from core.errors import ConfigError
from core.output import tolerate
from core.process import resume_collection, torchrun_size
from core.runs.annotation import check_tags
from core.settings.own_presets import preset_named
from core.settings.run_config import RunConfig, live_setting, setting
from core.settings.setting import key_values

if TYPE_CHECKING:
    from core.engine.session import Session


def train(options: argparse.Namespace) -> int:
    """Train a new run; as a worker of torchrun that does not lead, help to."""
    if torchrun_size() and os.environ["RANK"] != "0":
        return _follow()
    began = time.monotonic()  # before the imports: they count into a time budget
    config = config_of(options)
    check_tags(options.tag)

    from core.engine.protocol import runtime_folder

    runtime_folder()  # an engine that could not start is refused before the run exists

    from core.engine.session import Session

    if torchrun_size():
        from core.engine.workers import remember, run_begun, torchrun_team

        torchrun_team()  # the others wait for it, and not for a large text
        if (begun := run_begun()) is not None:
            return _continue(begun, options.json)
    session = Session.create(config, options.saves, options.name, options.data, began=began, tags=options.tag)
    if torchrun_size():
        remember(session.run.path)
    return _train(session, options.json)


def config_of(options: argparse.Namespace, preset: str | None = None) -> RunConfig:
    """The settings that the flags of ``train`` and ``sweep`` name; ``preset`` is used if none is named."""
    preset = preset if options.preset is None else options.preset
    config = RunConfig() if preset is None else preset_named(preset).config
    texts = {
        "corpus": options.corpus, "num_epochs": options.epochs, "minutes": options.minutes, "seed": options.seed,
        "device": options.device, "workers": options.workers,
    }  # fmt: skip
    chosen = {name: text for name, text in texts.items() if text is not None}
    _minutes(options)
    if "num_epochs" in chosen:
        chosen["minutes"] = "0"  # in place of a preset's budget
    return config.with_texts(chosen | key_values(options.set, "num_hiddens=512"))


def _minutes(options: argparse.Namespace) -> float | None:
    """The time budget of ``--minutes``, None without one. Raises ConfigError."""
    if options.minutes is None:
        return None
    minutes = setting("minutes").parse(options.minutes)
    if not minutes:
        raise ConfigError("--minutes must be above 0: without a time budget, --epochs says where training ends")
    if options.epochs is not None:
        raise ConfigError("--epochs and --minutes exclude each other: the epochs are fitted to the minutes")
    return float(minutes)


def resume(options: argparse.Namespace) -> int:
    """Continue a run from its last checkpoint; as a worker of torchrun that does not lead, help to."""
    if torchrun_size() and os.environ["RANK"] != "0":
        return _follow()
    began = time.monotonic()
    minutes = _minutes(options)
    texts = {"num_epochs": options.epochs} if options.epochs is not None else {}
    texts |= key_values(options.set, "learning_rate=0.5")
    changes: dict[str, Any] = {name: live_setting(name).parse(text) for name, text in texts.items()}
    if minutes is not None and "num_epochs" in changes:
        raise ConfigError("num_epochs and --minutes exclude each other: the epochs are fitted to the minutes")
    workers = None if options.workers is None else int(setting("workers").parse(options.workers))
    if minutes is not None and torchrun_size():
        from core.engine.workers import run_begun

        if (begun := run_begun()) is not None:
            return _continue(begun, options.json)  # restarted: the budget has begun

    from core.runs.store import find_run

    run = find_run(options.saves, options.run)

    from core.engine.session import Session

    session = Session.open(run, workers=workers)
    if session.change is not None and session.change.as_before is not None and not options.as_before:
        print("hint: resume --as-before computes as the run did so far", file=sys.stderr)
    if minutes is not None:
        changes |= {"minutes": minutes, "began": began}
    return _train(session, options.json, as_before=options.as_before, **changes)


def _follow() -> int:
    from core.engine.workers import follow_torchrun

    return follow_torchrun()


def _continue(path: Path, as_json: bool) -> int:
    """Continue the run at ``path`` after torchrun has restarted its workers."""
    from core.engine.session import Session
    from core.events import State
    from core.runs.run import Run

    session = Session.open(Run(path))
    if session.state in (State.FINISHED, State.DIVERGED):
        session.close()
        return 0
    return _train(session, as_json)


def _train(session: Session, as_json: bool, **how: Any) -> int:
    """Train in this process with an engine's socket beside it; ctrl+c stops and saves.

    ``how``: see ``Session.train``.
    """
    from core.cli.training_report import TrainingReport
    from core.engine.engine import Engine
    from core.events import State

    resume_collection()
    tolerate()
    report = TrainingReport(session, as_json=as_json)
    engine = Engine(session, stays=False, listener=report.show)
    engine.start()
    engine.stop_on_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        events = session.train(**how)
        if "minutes" in how and torchrun_size():
            from core.engine.workers import remember

            remember(session.run.path)
        report.begin()
        for event in events:
            report.show(event)
    except BaseException:
        session.close()
        engine.server.close()
        raise
    engine.run()
    report.end()
    if session.state in (State.FAILED, State.DIVERGED):
        return fail(session.message, 1)
    return fail(session.save_problem, 2) if session.save_problem else 0
