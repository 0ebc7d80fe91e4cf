"""A long night before the screen: after very many epochs it takes no more memory, work or bytes than after the first.

``--trials 240`` streams a million epochs through it, in some twenty minutes.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import _lru_cache_wrapper, partial
from statistics import fmean
from typing import Any

import pytest
from textual.cache import FIFOCache, LRUCache
from textual.drivers.headless_driver import HeadlessDriver

from core.events import EpochFinished, Event, SampleWritten, State, StateChanged
from core.settings.run_config import RunConfig
from tests.run_folders import made_run
from tui.app import Playground
from tui.charts import GrowingCurve
from tui.charts import widget as chart_module
from tui.charts.curve_chart import CurveChart
from tui.engines import watched_run
from tui.messages import JournalGrew
from tui.panes.train import run_view

pytestmark = pytest.mark.timeout(7200)
CAPACITY = 512  # points of a curve, a sixteenth of the real number: so a sixteenth of the epochs fills it
WARM_UP = 2 * CAPACITY  # epochs until everything that is kept has reached its full length
NIGHT = 8 * CAPACITY
AT_ONCE = CAPACITY // 2  # epochs in one message
PHASES = 3  # looks until the latest points of a curve, cut when they are too many, are again as many as at the first
SAMPLE_EVERY = 20
MOST_MEMORY = 1.05  # times that after the warm-up
MOST_WORK = 1.5  # likewise: the curve has come to fill twice as much of its axis; without a bound it would be hundreds


@dataclass(frozen=True)
class Look:
    """What the screen took at one moment of the night."""

    memory: int
    calls: int
    written: int


def night(epochs: int) -> Iterator[tuple[Event, ...]]:
    """All that a journal tells of so many epochs, piece by piece."""
    noise = random.Random(1)
    for first in range(1, epochs, AT_ONCE):
        events: list[Event] = []
        for epoch in range(first, first + AT_ONCE):
            perplexity = 1.05 + 1000 / (1 + 0.05 * epoch) * noise.uniform(0.9, 1.1)
            events.append(
                EpochFinished(epoch, 8 * epoch, perplexity, 1.5 * perplexity, 1.0, 0.4, 100.0, 71_000.0, 0.125)
            )
            if epoch % SAMPLE_EVERY == 0:
                events.append(SampleWritten(epoch, "分开", "了很久 我还在原地 " * noise.randint(3, 5)))
        yield tuple(events)


def calls_of(work: Callable[[], object]) -> int:
    """How many functions ``work`` calls, those of C included: what it costs, whatever else the machine does."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of each piece that would be sent to a terminal; every change is painted at once."""
    lengths: list[int] = []

    class Terminal(HeadlessDriver):
        is_headless = False

        def write(self, data: str) -> None:
            lengths.append(len(data))

    monkeypatch.setattr(Playground, "get_driver_class", lambda app: Terminal)
    monkeypatch.setattr(watched_run, "GrowingCurve", partial(GrowingCurve, CAPACITY))
    monkeypatch.setattr(run_view, "PAINT_SECONDS", 0.0)
    monkeypatch.setattr(run_view, "WRITING_SECONDS", 0.0)
    monkeypatch.setattr(chart_module, "REDRAW_SECONDS", 0.0)
    return lengths


@pytest.fixture
def traced() -> Iterator[None]:
    gc.unfreeze()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.freeze()


def look(app: Playground, written: list[int]) -> Look:
    """What is kept is counted without the caches: they are bounded, but they fill for thousands of epochs."""
    chart = app.query_one(CurveChart)
    calls = calls_of(lambda: chart.draw(*chart.size))
    for kept in gc.get_objects():
        if type(kept) is _lru_cache_wrapper:
            kept.cache_clear()
        elif type(kept) in (LRUCache, FIFOCache):
            kept.clear()
    gc.collect()
    seen = Look(tracemalloc.get_traced_memory()[0], calls, sum(written))
    written.clear()
    return seen


async def test_a_long_night_costs_the_screen_nothing(
    playground: Callable[..., Any], saves: Any, trials: int, written: list[int], traced: None
) -> None:
    run = made_run(saves, RunConfig(num_epochs=NIGHT * trials), "night")
    app = playground()
    looks: list[Look] = []
    async with app.run_test(headless=False, size=(120, 40)) as pilot:
        await app.open_run(run.path)
        app.post_message(JournalGrew(run.path, (StateChanged(State.TRAINING, 0),)))
        for number, events in enumerate(night(NIGHT * trials), 1):
            app.post_message(JournalGrew(run.path, events))
            await pilot.pause()
            if number * AT_ONCE > WARM_UP:
                looks.append(look(app, written))
        shown = app.query_one("#run-status").title.replace(",", "")
    assert f"{NIGHT * trials}/{NIGHT * trials}" in shown
    early, late = looks[1 : 1 + PHASES], looks[1 + PHASES :]  # the first look sees what has been painted before it
    assert max(seen.memory for seen in late) <= MOST_MEMORY * max(seen.memory for seen in early)
    assert max(seen.calls for seen in late) <= MOST_WORK * max(seen.calls for seen in early)
    assert 0 < fmean(seen.written for seen in late) <= MOST_WORK * fmean(seen.written for seen in early)
