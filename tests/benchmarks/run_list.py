"""The list of many runs: how long it takes to be there, and what it costs while it is open."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from core.runs import summaries
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.settings.run_config import RunConfig
from tests.benchmarks.outcome import Effort, Goal, Outcome, Row
from tests.benchmarks.recorder import PROJECT, playground, workplace

EPOCHS = 250


def run_list(effort: Effort) -> Outcome:
    """Opens the Runs pane on a made folder of runs, without and with kept summaries, and watches it in peace."""
    first, again, listed, idle = [], [], [], []
    with workplace() as (folder, environment):
        saves = folder / "saves"
        make_runs(saves, effort.runs)
        time.sleep(summaries.SETTLED_NANOSECONDS / 1e9 + 1)  # younger readings are not kept
        for _ in range(effort.rounds):
            (saves / summaries.NAME).unlink(missing_ok=True)
            first.append(_open(saves, environment, effort.runs))
            again.append(_open(saves, environment, effort.runs, idle, effort.window))
            listed.append(_list(saves, environment))
    rows = (
        Row("the first time, ms", tuple(1e3 * second for second in first)),
        Row("later, ms", tuple(1e3 * second for second in again)),
        Row("python -m core runs, ms", tuple(1e3 * second for second in listed)),
        Row("while it is open, % of a core", tuple(idle)),
    )
    goals = (
        Goal("later, ms", "median", 1000 * max(1, effort.runs / 4000), "ms"),
        Goal("while it is open, % of a core", "median", 1, "%"),
    )
    return Outcome("run-list", f"the list of {effort.runs:,} runs", "", goals, rows)


def make_runs(saves: Path, count: int, epochs: int = EPOCHS) -> None:
    """Finished runs without weights."""
    configs = [RunConfig(cell=cell) for cell in ("rnn", "gru", "lstm")]
    beginning = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    events = [{"event": "state", "state": "training", "epoch": 0, "message": "", "time": 1.7e9}]
    for epoch in range(1, epochs + 1):
        events.append({
            "event": "epoch", "epoch": epoch, "step": 9 * epoch, "perplexity": 1.2345678 + 1000 / epoch,
            "validation_perplexity": None, "loss": 3.123456789, "gradient_norm": 0.4321, "learning_rate": 100.0,
            "tokens_per_second": 98765.4321, "seconds": 0.1234, "validation_loss": None, "time": 1.7e9,
        })  # fmt: skip
    events.append({"event": "state", "state": "finished", "epoch": epochs, "message": "", "time": 1.7e9})
    journal = "".join(json.dumps(event) + "\n" for event in events)
    for number in range(count):
        path = saves / f"run-{number:05d}"
        path.mkdir(parents=True)
        created = (beginning + datetime.timedelta(minutes=number)).isoformat()
        corpus = CorpusIdentity("lyrics-zh", "ab" * 32, 10_000, 1027, "lyrics-zh")
        facts = RunMetadata(configs[number % 3], corpus, 590_000 + number, created, {"torch": "2"})
        (path / "run.json").write_bytes(facts.encoded())
        (path / "metrics.jsonl").write_text(journal, "utf-8")
        for name in ("vocabulary.json", "corpus.txt", "engine.log", "engine.lock"):
            (path / name).touch()


def _open(
    saves: Path, environment: Mapping[str, str], count: int, idle: list[float] | None = None, seconds: float = 0.0
) -> float:
    """Seconds from the key to the whole list; then watch for ``seconds`` what the open list costs."""
    # Without preferences: with them, the playground would begin with the pane that was open last.
    config = tempfile.mkdtemp(dir=saves.parent)
    with playground(saves, {**environment, "XDG_CONFIG_HOME": config, "XDG_STATE_HOME": config}) as terminal:
        terminal.wait_bytes("Help")
        time.sleep(0.5)
        pressed = time.perf_counter()
        terminal.press("f6")
        terminal.wait_screen(lambda text: f"Runs · {count:,} ─" in text, seconds=300)
        opened = terminal.first(lambda text: f"Runs · {count:,} ─" in text, pressed) - pressed
        if idle is not None:
            time.sleep(8.0)  # until the standby engine has finished its imports
            process = psutil.Process(terminal.pid)
            before = sum(process.cpu_times()[:2])
            began = time.perf_counter()
            time.sleep(seconds)
            idle.append(100 * (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - began))
    return opened


def _list(saves: Path, environment: Mapping[str, str]) -> float:
    command = [sys.executable, "-m", "core", "runs", "--saves", str(saves)]
    began = time.perf_counter()
    subprocess.run(command, cwd=PROJECT, env=dict(environment), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
