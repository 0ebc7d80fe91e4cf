"""What is put off comes, however late it has become."""

from __future__ import annotations

import asyncio
import time

import pytest
from textual.app import App

from tui.scheduling import schedule


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
