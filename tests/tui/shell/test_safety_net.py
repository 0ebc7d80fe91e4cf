"""The net under the screen: wherever a handler fails, it is logged and said once, and the app goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Button, Footer, Static

from tests.tui.parts import notices
from tests.tui.waiting import until
from tui.shell.safety_net import LIMIT, SafetyNet


def fail(*_: object) -> Any:
    raise KeyError("[bold]it failed[/]")


class Told(Message):
    """For a handler that fails."""


class Fragile(Static, can_focus=True):
    """Fails where it is told to."""

    BINDINGS = [Binding("a", "fail", "Fail")]  # noqa: RUF012
    level: reactive[int] = reactive(0)
    painting = True

    def action_fail(self) -> None:
        fail()

    def on_fragile_told(self) -> None:
        fail()

    def on_told(self) -> None:
        fail()

    async def key_k(self) -> None:
        fail()

    def watch_level(self, level: int) -> None:
        if level:
            fail()

    @work
    async def run_worker_that_fails(self) -> None:
        fail()

    @work(thread=True)
    def run_thread_that_fails(self) -> None:
        fail()

    def render(self) -> Any:
        return "fragile" if self.painting else fail()

    def break_painting(self) -> None:
        self.painting = False
        self.refresh()


class FailsToCompose(Widget):
    """Has no parts."""

    def compose(self) -> ComposeResult:
        yield Static("one")
        fail()


class FailsToMount(Widget):
    """Is not set up."""

    def on_mount(self) -> None:
        fail()


class Screen(App[None]):
    """A button that counts: the sign that all goes on."""

    pressed = 0

    def compose(self) -> ComposeResult:
        yield Fragile("fragile")
        yield Button("count", id="count")
        yield Footer()

    def on_button_pressed(self) -> None:
        self.pressed += 1

    def leave(self, code: int) -> None:
        self.exit(return_code=code)

    @property
    def said(self) -> list[str]:
        return notices(self)


WAYS: dict[str, Callable[[Screen, Fragile], object]] = {
    "a key's action": lambda app, widget: app.simulate_key("a"),
    "a key's method": lambda app, widget: app.simulate_key("k"),
    "a message": lambda app, widget: widget.post_message(Told()),
    "a watcher": lambda app, widget: widget.call_later(setattr, widget, "level", 1),
    "a worker": lambda app, widget: widget.run_worker_that_fails(),
    "a thread": lambda app, widget: widget.run_thread_that_fails(),
    "a timer": lambda app, widget: widget.set_timer(0.01, fail),
    "a callback": lambda app, widget: widget.call_later(fail),
    "a callback of the app": lambda app, widget: app.call_later(fail),
    "a callback of the screen": lambda app, widget: app.screen.call_later(fail),
    "after the message": lambda app, widget: widget.call_later(widget.call_next, fail),
    "after a refresh": lambda app, widget: widget.call_after_refresh(fail),
    "composing": lambda app, widget: app.screen.mount(FailsToCompose()),
    "mounting": lambda app, widget: app.screen.mount(FailsToMount()),
    "painting": lambda app, widget: widget.break_painting(),
}


async def test_wherever_it_fails_the_app_goes_on(tmp_path: Path) -> None:
    for way, do in WAYS.items():
        app = Screen()
        log = tmp_path / way / "screen.log"
        net = SafetyNet(app, app.leave, log)
        with net.spread():
            async with app.run_test() as pilot:
                widget = app.query_one(Fragile)
                widget.focus()
                await pilot.pause()
                do(app, widget)
                await until(pilot, lambda log=log, app=app: log.exists() and app.said)
                assert "KeyError: '[bold]it failed[/]'" in log.read_text("utf-8"), way
                assert "Traceback" in log.read_text("utf-8"), way
                assert len(app.said) == 1 and str(log) in app.said[0].replace("\n", ""), (way, app.said)
                assert app.is_running and widget.is_running, way
                # Its own widget still takes messages, and so does all else.
                still = asyncio.Event()
                widget.call_later(still.set)
                await asyncio.wait_for(still.wait(), 10)
                app.query_one(Button).focus()
                await pilot.press("enter")
                await until(pilot, lambda app=app: app.pressed == 1)
        assert not app.return_code and not net.sentence, way


async def test_a_screen_that_fails_again_and_again_ends_with_a_sentence(tmp_path: Path) -> None:
    app = Screen()
    net = SafetyNet(app, app.leave, tmp_path / "screen.log")
    with net.spread():
        async with app.run_test() as pilot:
            app.set_interval(0.005, fail)
            await until(pilot, lambda: net.sentence != "")
    assert app.return_code == 1
    assert f"{LIMIT} times" in net.sentence and str(tmp_path / "screen.log") in net.sentence


async def test_a_key_that_always_fails_may_be_held(tmp_path: Path) -> None:
    app = Screen()
    net = SafetyNet(app, app.leave, tmp_path / "screen.log")
    with net.spread():
        async with app.run_test() as pilot:
            app.query_one(Fragile).focus()
            await pilot.press(*"a" * (2 * LIMIT))
            await until(pilot, lambda: len((tmp_path / "screen.log").read_text("utf-8").split("Traceback")) > LIMIT)
            assert app.is_running
    assert not net.sentence


async def test_what_fails_in_the_net_does_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    app = Screen()
    net = SafetyNet(app, app.leave, tmp_path / "file" / "screen.log")  # cannot be made
    with net.spread():
        async with app.run_test() as pilot:
            app.call_later(fail)
            await until(pilot, lambda: bool(app.said))
            assert "could not be written" in app.said[0]
            assert app.is_running
    app = Screen()
    net = SafetyNet(app, app.leave, tmp_path / "file" / "screen.log")
    monkeypatch.setattr(app, "notify", fail)
    with net.spread():
        async with app.run_test() as pilot:
            app.call_later(fail)
            await pilot.pause(0.2)
            assert app.is_running
    assert not net.sentence


async def test_an_app_that_cannot_be_built_ends_with_a_sentence(tmp_path: Path) -> None:
    class Hopeless(Screen):
        def compose(self) -> ComposeResult:
            fail()
            yield Static()

    app = Hopeless()
    log = tmp_path / "screen.log"
    net = SafetyNet(app, app.leave, log)
    with net.spread():
        await asyncio.wait_for(app.run_async(headless=True), 20)
    assert app.return_code == 1 and "could not be built" in net.sentence
    assert "it failed" in log.read_text("utf-8")
