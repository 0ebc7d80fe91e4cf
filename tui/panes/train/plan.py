"""What pressing Train does, given the run on screen and the settings in the form. No widgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from core.events import State
from core.settings.run_config import RunConfig, settings, shown
from tui.engines.watched_run import OPENING, WatchedRun
from tui.forms.schema import texts_of, typed
from tui.text.keys import key

Plan = Literal["new", "continue", "resume", "apply", "watch", "wait"]
LIVE = tuple(setting.name for setting in settings() if setting.live)


def plan_of(run: WatchedRun | None, texts: Mapping[str, str], config: RunConfig | None, fresh: bool) -> Plan:
    """``new``: train a new run; ``continue``: continue the open run; ``resume``: resume a paused run; ``apply``: change
    the live settings of a run in training; ``watch``: nothing, it is already training; ``wait``: nothing, the run is
    being opened.

    ``texts`` and ``config`` are the form's; ``fresh`` says that a new run was asked for. A setting that cannot change
    while a run trains and differs from the open run's makes the plan ``new``.
    """
    if run is not None and run.state == OPENING:
        return "wait"
    if run is None or run.config is None or fresh or differs(run.config, texts):
        return "new"
    if run.state in (State.TRAINING, State.PAUSED) and live_edits(run, config):
        return "apply"
    return "resume" if run.state == State.PAUSED else "watch" if run.state == State.TRAINING else "continue"


def differs(config: RunConfig, texts: Mapping[str, str]) -> bool:
    """Whether the form has another value in a setting that cannot change while a run trains."""
    return any(texts[name] != text for name, text in texts_of(config).items() if name not in LIVE)


def live_edits(run: WatchedRun, config: RunConfig | None) -> dict[str, float | int]:
    """The live settings whose value in the form differs from the run's."""
    if config is None:
        return {}
    wanted = {"learning_rate": config.learning_rate, "num_epochs": config.num_epochs}
    return {name: value for name, value in wanted.items() if value != live_values(run)[name]}


def live_values(run: WatchedRun) -> dict[str, float | int | None]:
    """The live settings of the run; None for those not known yet."""
    return {"learning_rate": run.learning_rate, "num_epochs": run.num_epochs}


def kept_texts(run: WatchedRun, texts: Mapping[str, str]) -> dict[str, str]:
    """The run's values of the live settings that differ in the form, invalid ones included."""
    kept = {name: typed(value) for name, value in live_values(run).items() if value is not None}
    return {name: text for name, text in kept.items() if texts[name] != text}


def epochs_done(run: WatchedRun) -> int:
    """The epochs of the run, by its summary until its curve is read."""
    return run.epoch or run.summary_epoch


def is_complete(run: WatchedRun, config: RunConfig) -> bool:
    """Whether the run has all the epochs that ``config`` asks for, so that more are needed to continue it."""
    return config.num_epochs <= epochs_done(run) and not run.is_fitting


def _how_to_continue(run: WatchedRun, config: RunConfig | None) -> str:
    if config is None:
        return "to continue, correct it first"
    if is_complete(run, config):
        return f"to continue with it, set epochs above {epochs_done(run):,}"
    return f"{key('train.train')} continues with it"


def pending_words(plan: Plan, run: WatchedRun | None, texts: Mapping[str, str], config: RunConfig | None) -> str:
    """One line about the settings that differ from those of the run on screen; empty if none do, or without a run.

    ``texts`` and ``config`` are the form's.
    """
    if run is None or run.config is None or plan not in ("new", "continue"):
        return ""
    if plan == "new":
        own = texts_of(run.config)
        changed = [item.label for item in settings() if not item.live and texts[item.name] != own[item.name]]
        what = f"{changed[0]} changed" if len(changed) == 1 else f"{len(changed)} settings changed"
        how = f"{key('train.train')} trains"
        first = f"{key('train.step')} its first batch"
        return f"{what}: {how} a new run, {first}" if changed else \
            f"a new run with the same settings: {how} it, {first}"  # fmt: skip
    edits = [f"{item.label} {texts[item.name]} instead of {text}" for item in settings()
             if (text := kept_texts(run, texts).get(item.name)) is not None]  # fmt: skip
    return f"{', '.join(edits)}: {_how_to_continue(run, config)}" if edits else ""


def pending_notes(plan: Plan, run: WatchedRun | None, config: RunConfig | None) -> dict[str, str]:
    """Notes below the live settings whose value in the form differs from the run's, by name."""
    if run is None or plan not in ("apply", "continue"):
        return {}
    known = live_values(run)
    applies = "not applied: enter applies it, esc takes it back"
    how = applies if plan == "apply" else _how_to_continue(run, config)
    return {
        name: f"{how}; the run has {shown(value)}"
        for name in live_edits(run, config) if (value := known[name]) is not None
    }  # fmt: skip
