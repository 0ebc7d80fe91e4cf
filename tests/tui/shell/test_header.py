"""The line of tabs: what it says about the device in the room that it has."""

from __future__ import annotations

from textual.app import App, ComposeResult

from tests.tui.waiting import until
from tui.shell.header import HeaderLine

PROCESSOR = "cpu Intel(R) Xeon(R) Processor"


class Header(App[None]):
    """An app with one tab."""

    CSS = "HeaderLine { height: 1; } #header > * { width: auto; } #header > #header-device { width: 1fr; }"

    def compose(self) -> ComposeResult:
        yield HeaderLine([("train", "Train", "f3")])


async def test_the_device_is_shortened_to_the_room_that_there_is() -> None:
    app = Header()

    def said() -> str:
        return str(app.query_one("#header-device").render())

    async with app.run_test(size=(120, 4)) as pilot:
        for words, short in ((f"{PROCESSOR} · 2 cores · 1.2/25 GB", "cpu · 1.2/25 GB"), (PROCESSOR, "cpu")):
            app.query_one(HeaderLine).show_device(words)
            await until(pilot, lambda words=words: said() == words)
            await pilot.resize_terminal(36, 4)
            await until(pilot, lambda short=short: said() == short)
            await pilot.resize_terminal(120, 4)
            await until(pilot, lambda words=words: said() == words)
