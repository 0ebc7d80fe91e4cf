"""What the tests of the Generate pane share: answers as an engine gives them, and ways to ask for them."""

from __future__ import annotations

import re
from typing import Any

from textual.widgets import Button, Input, Static

from tests.tui.pane_harness import PaneApp
from tests.tui.waiting import until
from tui.panes.generate.generation import Generation
from tui.panes.generate.token_view import TokenView

SIZE = (120, 40)


def answer(*pieces: str, prefix: str = "分开", unknown: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What an engine says to a generate."""
    events: list[dict[str, Any]] = [{"event": "text", "text": piece, "sample": 0} for piece in pieces]
    return [*events, {"event": "done", "text": prefix + "".join(pieces), "unknown": list(unknown)}]


def told(text: str, surprise: float = 2.0, top: float = 0.25) -> dict[str, Any]:
    """One token in detail, the second likeliest one."""
    return {"text": text, "id": 1, "surprise": surprise, "top": [["月", 0.5], [text, top], ["x", 0.1]],
            "model": [["月", 0.5], [text, 0.25], ["x", 0.1]]}  # fmt: skip


def detailed(text: str, sample: int = 0) -> dict[str, Any]:
    """A piece with its tokens, one a character, each more surprising than the one before."""
    tokens = [told(character, float(2 * place)) for place, character in enumerate(text)]
    return {"event": "text", "text": text, "sample": sample, "tokens": tokens}


def done(*texts: str, **facts: Any) -> dict[str, Any]:
    """The last event, with its samples."""
    samples = [{"continuation": text, "tokens": len(text), "ended": "length", "score": None, "copy": None, **facts}
               for text in texts]  # fmt: skip
    return {"event": "done", "text": "分开" + texts[0], "unknown": [], "seed": 1, "samples": samples}


async def written(pilot: Any, app: PaneApp, count: int = 1) -> None:
    """Press enter and wait until the text number ``count`` is done."""
    await pilot.press("enter")
    await until(pilot, lambda: len(app.query(Generation)) == count and re.search("characters? in", status(app)))


def token_words(app: PaneApp) -> str:
    """What stands beside the text."""
    return str(app.query_one(TokenView).render())


async def ready(pilot: Any, app: PaneApp) -> None:
    """Wait until a run can be asked and the prefix is suggested."""
    app.pane.focus()
    await until(pilot, lambda: app.query_one("#generate-prefix", Input).value == "分开")
    await until(pilot, lambda: not app.query_one("#generate-write", Button).disabled)


def status(app: PaneApp, index: int = -1) -> str:
    """The last line of a text."""
    return str(list(app.query(Generation))[index].query_one(".generation-status", Static).content)
