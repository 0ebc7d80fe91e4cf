"""What the screen costs while nothing trains: processor time of a move of the focus, and memory."""

from __future__ import annotations

import sys
import time

import psutil

from tests.benchmarks.outcome import Effort, Goal, Outcome, Row
from tests.benchmarks.recorder import Recorder, has_all, is_ready, playground, workplace

MOVES = 10
PANE_KEYS = ("f2", "f4", "f5", "f6", "f7", "f3")


def focus_move(effort: Effort) -> Outcome:
    """Ten moves of the focus by tab in two panes, in turn with an app that has three inputs."""
    three, train, generate = [], [], []
    for _ in range(effort.rounds):
        with workplace() as (folder, environment):
            app = Recorder([sys.executable, "-m", "tests.benchmarks.three_inputs"], environment=environment)
            app.wait_screen(has_all("three", "Quit"))
            three.append(_milliseconds_a_move(app))
            app.close()
            with playground(folder / "saves", environment) as terminal:
                terminal.wait_screen(is_ready)
                time.sleep(2.0)  # the panes are imported meanwhile
                terminal.type("e")
                train.append(_milliseconds_a_move(terminal))
                terminal.press("f4")
                terminal.wait_screen(has_all("beginning of the text"))
                generate.append(_milliseconds_a_move(terminal))
    rows = (
        Row("Train, times three inputs", _ratios(train, three)),
        Row("Generate, times three inputs", _ratios(generate, three)),
        Row("Train, ms", tuple(train)),
        Row("Generate, ms", tuple(generate)),
        Row("three inputs, ms", tuple(three)),
    )
    goals = tuple(Goal(row.name, "median", 1.5, "x") for row in rows[:2])
    return Outcome("focus-move", "processor time of a move of the focus, 120x40", "", goals, rows)


def _milliseconds_a_move(terminal: Recorder) -> float:
    process = psutil.Process(terminal.pid)
    time.sleep(1.0)
    before = process.cpu_times()
    for _ in range(MOVES):
        terminal.type("\t")
        time.sleep(0.2)
    after = process.cpu_times()
    return 1e3 * (after.user + after.system - before.user - before.system) / MOVES


def _ratios(ours: list[float], others: list[float]) -> tuple[float, ...]:
    return tuple(our / other for our, other in zip(ours, others, strict=True))


def resident_memory(effort: Effort) -> Outcome:
    """Resident memory of the playground's process: as it starts, and when every pane has been opened."""
    started, opened = [], []
    for _ in range(effort.rounds):
        with workplace() as (folder, environment), playground(folder / "saves", environment) as terminal:
            terminal.wait_screen(is_ready)
            time.sleep(2.0)
            process = psutil.Process(terminal.pid)
            started.append(process.memory_info().rss / 1e6)
            for key in PANE_KEYS:
                terminal.press(key)
                time.sleep(0.7)
            opened.append(process.memory_info().rss / 1e6)
    rows = (Row("started", tuple(started)), Row("every pane opened", tuple(opened)))
    goal = Goal("started", "median", 60, "MB")
    return Outcome("resident-memory", "resident memory of the playground", "MB", (goal,), rows)
