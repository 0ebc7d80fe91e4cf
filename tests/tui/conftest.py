"""What the tests of the whole app share: a saves folder, a data folder, fake engines."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import textual.app
import textual.css.model
import textual.css.stylesheet
import textual.pilot
import textual.strip

from tests.tui import fake_engine
from tests.tui.parts import keep_and_notify
from tests.tui.waiting import Policy, all_ran, drawn


async def _wait_for_idle(*limits: float) -> None:
    """In place of Textual's wait behind each key, which takes a second where the process always has something to do.

    What a thread, a process or a timer brings later is waited for with ``until``.
    """
    await asyncio.sleep(0.02)  # more than the period in which a screen is drawn
    await all_ran()


async def _pause(pilot: Any, delay: float | None = None) -> None:
    """In place of the pilot's, which sends a message to every widget and waits for the answers: 6 ms of work."""
    await drawn(pilot.app, delay or 0.0)


_parse = textual.css.stylesheet.parse
_themes: dict[int, tuple[Any, int]] = {}
_rules: dict[Any, list[Any]] = {}


def _parsed_once(*places: Any, variable_tokens: Any = None, **options: Any) -> list[Any]:
    """In place of Textual's parser: hundreds of apps have the same styles, a tenth of what a test of one takes."""
    if id(variable_tokens) not in _themes:
        values = [(name, *(token.value for token in tokens)) for name, tokens in (variable_tokens or {}).items()]
        _themes[id(variable_tokens)] = variable_tokens, hash(tuple(values))  # kept: its id is nobody else's
    key = (places, _themes[id(variable_tokens)][1], tuple(options.items()))
    if key not in _rules:
        _rules[key] = list(_parse(*places, variable_tokens=variable_tokens, **options))
    return _rules[key]


asyncio.set_event_loop_policy(Policy())
textual.css.stylesheet.parse = _parsed_once
# In each start hundreds of thousands of hashes of rules and of caches of lines, made by Python: a tenth of its time. A
# rule's hash is its identity here too; a line keeps all that was cut from it, and it does not live long.
textual.css.model.RuleSet.__hash__ = object.__hash__  # type: ignore[method-assign]
textual.strip.FIFOCache = lambda maxsize: {}  # type: ignore[misc, assignment]
textual.app.wait_for_idle = textual.pilot.wait_for_idle = _wait_for_idle
textual.pilot.Pilot.pause = _pause  # type: ignore[method-assign]
textual.app.App.notify = keep_and_notify  # type: ignore[assignment]


@pytest.fixture(autouse=True, scope="session")
def charts_can_draw() -> None:
    """What draws the charts has been imported, as a little after the first chart of a playground."""
    from tui.charts import preload

    preload()


@pytest.fixture
def little_to_collect() -> None:
    """What hundreds of tests before have left is not looked through at every collection of this one."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="rnn-") as folder:
        yield Path(folder)


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    """An empty folder of runs."""
    folder = tmp_path / "saves"
    folder.mkdir()
    return folder


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder with one small text."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "lyrics-zh.txt").write_text(fake_engine.TEXT * 200, encoding="utf-8")
    return folder


@pytest.fixture
async def fakes(short_folder: Path) -> AsyncIterator[Any]:
    """The fake engines of this test."""
    family = fake_engine.FakeEngines(short_folder)
    yield family
    await family.end()


@pytest.fixture
def playground(saves: Path, data_dir: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes the app, with fake engines behind it and no process started for the facts of a text."""
    import tui.panes.train.form_facts as form_facts
    from tui.app import Playground
    from tui.engines.clients import Engines

    monkeypatch.setattr(form_facts, "describe", fake_engine.described)

    def made(**options: Any) -> Playground:
        def engines(app: Playground) -> Engines:
            return Engines(app.post_message, saves, data_dir, fakes.standby, fakes.attach)

        return Playground(saves, data_dir, engines=engines, **options)

    return made
