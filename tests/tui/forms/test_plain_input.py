"""The line in which one types: keys are obeyed in the order in which they came."""

from __future__ import annotations

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.containers import Vertical

from tests.tui.waiting import until
from tui.forms.plain_input import PlainInput
from tui.shell.turns import Turns

NESTED = 8


class Form(App[None]):
    """A field as deep in other things as those of the playground are; keys take turns as there."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = Turns(self, super().on_event)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent) and not event.is_forwarded:
            await self._turns.take(event)
        else:
            await super().on_event(event)

    def compose(self) -> ComposeResult:
        widget = PlainInput("tale")
        for _ in range(NESTED):
            widget = Vertical(widget)  # type: ignore[assignment]
        yield widget


def key(name: str) -> events.Key:
    return events.Key(name, name if len(name) == 1 else None)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("backspace", "s"), "tals"),
        (("home", "a", "delete", "b"), "abale"),
        (("ctrl+u", "x"), "x"),
        (("left", "left", "x", "end", "y", "backspace"), "taxle"),
        (("a", "b", "backspace", "backspace", "backspace", "c"), "talc"),
    ],
)
async def test_keys_that_come_at_once_are_obeyed_in_their_order(keys: tuple[str, ...], value: str) -> None:
    app = Form()
    async with app.run_test() as pilot:
        field = app.query_one(PlainInput)
        field.focus()
        field.select_on_focus = False
        await pilot.pause()
        field.selection = type(field.selection).cursor(4)
        for name in keys:  # as a slow line brings them: in one piece
            app.post_message(key(name))
        await until(pilot, lambda: field.value == value)


async def test_enter_still_submits() -> None:
    told: list[str] = []

    class Told(Form):
        def on_input_submitted(self, event: PlainInput.Submitted) -> None:
            told.append(event.value)

    app = Told()
    async with app.run_test() as pilot:
        app.query_one(PlainInput).focus()
        await pilot.press("end", "s", "enter")
        assert told == ["tales"]
