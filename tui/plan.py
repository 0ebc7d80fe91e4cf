"""What pressing Train would do, given the run on screen and the settings that stand in the form. No widgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from core.config import RunConfig, settings
from core.events import State
from tui.form_state import texts_of
from tui.watched_run import WatchedRun

Plan = Literal["new", "go on", "resume", "apply", "watch"]
LIVE = tuple(setting.name for setting in settings() if setting.live)


def plan_of(run: WatchedRun | None, texts: Mapping[str, str], config: RunConfig | None, fresh: bool) -> Plan:
    """``new``: train a new run; ``go on``: train the open one further; ``resume``: a paused one; ``apply``: change the
    live settings of one that trains; ``watch``: nothing, it trains already.

    ``texts`` and ``config`` are the form's; ``fresh`` says that a new run was asked for. A setting that cannot change
    in mid-run and differs from the open run's makes it a new one.
    """
    if run is None or run.config is None or fresh or differs(run.config, texts):
        return "new"
    if run.state == State.PAUSED:
        return "resume"
    if run.state == State.TRAINING:
        return "apply" if live_edits(run, config) else "watch"
    return "go on"


def differs(config: RunConfig, texts: Mapping[str, str]) -> bool:
    """Whether the form has another value in a setting that cannot change in mid-run."""
    return any(texts[name] != text for name, text in texts_of(config).items() if name not in LIVE)


def live_edits(run: WatchedRun, config: RunConfig | None) -> dict[str, float | int]:
    """The live settings that stand otherwise in the form than in the run."""
    if config is None:
        return {}
    wanted = {"learning_rate": config.learning_rate, "num_epochs": config.num_epochs}
    known = {"learning_rate": run.learning_rate, "num_epochs": run.num_epochs}
    return {name: value for name, value in wanted.items() if value != known[name]}
