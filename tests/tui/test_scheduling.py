"""What is put off comes, however late it has become; what is repeated rests while nobody sees it."""

from __future__ import annotations

import asyncio
import time

import pytest
from textual.app import App, ComposeResult
from textual.containers import Vertical

from tests.tui.waiting import until
from tui.scheduling import ShownTimers, schedule


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-6, 0.001, 0.02])
async def test_it_comes_on_a_machine_that_is_late(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    app: App[None] = App()
    async with app.run_test() as pilot:
        called: list[float] = []

        def slow_clock() -> float:
            """From one look at the clock to the next more time passes than it is to wait."""
            time.sleep(0.03)
            return time.monotonic()

        monkeypatch.setattr("textual.timer._time.get_time", slow_clock)
        schedule(app.screen, seconds, lambda: called.append(seconds))
        for _ in range(100):
            await asyncio.sleep(0.01)
            if called:
                break
        assert called == [seconds]
        monkeypatch.undo()
        await pilot.pause()


class Clock(Vertical, ShownTimers):
    """Counts how often it was called."""

    calls = 0

    def on_mount(self) -> None:
        self.every(0.01, self.count)

    def count(self) -> None:
        self.calls += 1


class Hiding(App[None]):
    """A box with a clock in it; the box is hidden at first."""

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.display = False
            yield Clock()


async def test_nothing_is_repeated_in_what_is_hidden() -> None:
    app = Hiding()
    async with app.run_test() as pilot:
        clock, box = app.query_one(Clock), app.query(Vertical).first()
        await pilot.pause(0.05)
        assert clock.calls == 0
        for _ in range(2):
            box.display = True
            before = clock.calls
            await until(pilot, lambda before=before: clock.calls > before + 2)
            box.display = False
            await until(pilot, lambda: not clock.is_on_screen)
            before = clock.calls
            await pilot.pause(0.05)
            assert clock.calls <= before + 1  # one may have been on its way
