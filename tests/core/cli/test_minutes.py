"""``core train --minutes``: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.engine.session import Session
from core.events import Event
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig
from tests.core.cli.commands import Printed, refused

pytestmark = pytest.mark.usefixtures("as_it_was")


@pytest.fixture
def slow_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget passes mostly by waiting."""
    advance = Session.advance

    def slowly(session: Session) -> list[Event]:
        time.sleep(0.01)
        return advance(session)

    monkeypatch.setattr(Session, "advance", slowly)


@pytest.mark.usefixtures("slow_batches")
def test_a_training_ends_with_its_budget(
    train: Callable[..., Printed], run: Callable[..., Printed], saves: Path
) -> None:
    began = time.monotonic()
    events = train("--minutes=0.03", "--json", "--name=short", "--set=schedule=cosine").json()
    fits = [event for event in events if event["event"] == "fit"]
    epochs = [event for event in events if event["event"] == "epoch"]
    assert fits and fits[-1]["minutes"] == 0.03 and events[-1]["state"] == "finished"
    assert epochs[-1]["epoch"] == fits[-1]["num_epochs"]
    assert epochs[-1]["learning_rate"] < 0.01 * epochs[0]["learning_rate"], "the schedule is at its end"
    assert 0.9 < time.monotonic() - began < 30.0, "about two seconds; the exact rule is tested by a clock of its own"
    stored = json.loads((saves / "short" / "run.json").read_text("utf-8"))
    assert stored["config"]["minutes"] == 0.03 and stored["config"]["num_epochs"] == fits[-1]["num_epochs"]
    assert stored["fit"]["last_batches"] == fits[-1]["last_batches"]
    more = run("resume", "short", "--saves", saves, "--epochs", fits[-1]["num_epochs"] + 1, "--json").json()
    assert [event["epoch"] for event in more if event["event"] == "epoch"] == [fits[-1]["num_epochs"] + 1]


@pytest.mark.usefixtures("slow_batches")
def test_a_run_resumes_with_a_budget(train: Callable[..., Printed], run: Callable[..., Printed], saves: Path) -> None:
    train("--epochs=2", "--name=one")
    events = run("resume", "one", "--saves", saves, "--minutes=0.01", "--json").json()
    kinds = [event["event"] for event in events]
    assert events[kinds.index("set")] | {"time": 0} == {"event": "set", "epoch": 2, "name": "minutes", "value": 0.01,
                                                        "time": 0}  # fmt: skip
    assert kinds.index("set") < kinds.index("resumed") < kinds.index("fit") and events[-1]["state"] == "finished"
    stored = json.loads((saves / "one" / "run.json").read_text("utf-8"))
    assert stored["config"]["minutes"] == 0.01 and stored["fit"]["num_epochs"] == stored["config"]["num_epochs"] > 2
    refused(run("resume", "one", "--saves", saves), f"{stored['fit']['num_epochs']} epochs are done")
    for arguments, words in (
        (["--minutes=0"], "--minutes must be above 0"),
        (["--minutes=soon"], "minutes must be a number between 0 and 525,600, got 'soon'"),
        (["--minutes=1", "--epochs=9"], "--epochs and --minutes exclude each other"),
        (["--minutes=1", "--set=num_epochs=9"], "num_epochs and --minutes exclude each other"),
    ):
        refused(run("resume", "one", "--saves", saves, *arguments), words)


@pytest.mark.usefixtures("slow_batches")
def test_the_fit_is_told(train: Callable[..., Printed]) -> None:
    printed = train("--minutes=0.01")
    assert printed.code == 0 and "fitted to " in printed.out and " of 0.01 min are spent" in printed.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--minutes=0"], ["--minutes must be above 0: without a time budget, --epochs says where training ends"]),
        (["--minutes=-0.0"], ["--minutes must be above 0"]),
        (["--minutes=-1"], ["minutes must be between 0 and 525,600, got -1"]),
        (["--minutes=nan"], ["minutes must be between 0 and 525,600, got nan"]),
        (["--minutes=1e9"], ["minutes must be between 0 and 525,600, got 1,000,000,000"]),
        (["--minutes=soon"], ["minutes must be a number between 0 and 525,600, got 'soon'"]),
        (["--minutes=3", "--epochs=4"], ["--epochs and --minutes exclude each other: the epochs are fitted"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_budgets_that_cannot_be(
    run: Callable[..., Printed], saves: Path, text_path: Path, arguments: list[str], words: list[str]
) -> None:
    refused(run("train", f"--corpus={text_path}", f"--saves={saves}", *arguments), *words)
    assert not saves.exists()


def test_epochs_take_the_place_of_a_presets_budget(
    run: Callable[..., Printed], saves: Path, text_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[RunConfig] = []
    monkeypatch.setattr("core.engine.session.Session.create", lambda config, *_, **__: found.append(config))
    monkeypatch.setattr("core.cli.train._train", lambda *_: 0)
    run("train", "--preset=shakespeare-fast", f"--corpus={text_path}", "--epochs=2")
    run("train", "--preset=shakespeare-fast", f"--corpus={text_path}", "--minutes=5")
    run("train", "--preset=shakespeare-fast", f"--corpus={text_path}")
    minutes = PRESETS["shakespeare-fast"].config.minutes
    assert [config.minutes for config in found] == [0, 5, minutes] and found[0].num_epochs == 2
