"""Keys that arrive in one piece do what they do one by one: each is for the pane that the one before it has left."""

from __future__ import annotations

import datetime
import itertools
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.random_player import Game

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

F_KEYS = {
    "data": "\x1bOQ", "train": "\x1bOR", "generate": "\x1bOS", "inspect": "\x1b[15~",
    "runs": "\x1b[17~", "lab": "\x1b[18~",
}  # fmt: skip
DIGITS = dict(zip(F_KEYS, "123456", strict=True))
HOME = "\x1bOR\x1b"  # the curve, from anywhere


@pytest.fixture
def game(tmp_path: Path, forks: dict[str, str]) -> Iterator[Game]:
    """A playground that is asked what it shows."""
    game = Game(0, (80, 24), tmp_path, forks)
    game.saves.mkdir()
    game.start()
    yield game
    game.end()


def settled(game: Game) -> tuple[str, str]:
    """The pane and what has the focus, once footer, focus and pane agree."""
    until, calm = time.monotonic() + 30.0, 0
    while calm < 2:  # what was written may not have been read yet; an escape alone is waited for
        time.sleep(0.15 if calm == 0 else 0.05)
        wrong = game.wrong()
        calm = 0 if wrong else calm + 1
        assert time.monotonic() < until, wrong
    # Of the many classes of a widget only the names are of interest.
    return game.seen["pane"], re.sub(r", classes=.*|\).*", "", game.seen["focus"])


def typed(game: Game, *bursts: str) -> tuple[str, str]:
    """Write each of ``bursts`` in one piece, and wait after each."""
    for burst in bursts:
        os.write(game.terminal.descriptor, burst.encode())
        shown = settled(game)
    return shown


def leads_to(game: Game, burst: str, pane: str) -> None:
    """That ``burst``, in one write, leads to ``pane``, and all parts of the screen with it."""
    os.write(game.terminal.descriptor, burst.encode())
    until = time.monotonic() + 20.0
    while (wrong := game.wrong()) or game.seen["pane"] != pane:
        assert time.monotonic() < until, f"{burst!r} leads to {game.seen['pane']}, not {pane}; {wrong}"
        time.sleep(0.02)


def test_every_pair_of_pane_keys_in_one_write(game: Game, trials: int) -> None:
    for pane, key in F_KEYS.items():  # built once, each of them
        leads_to(game, key, pane)
    for one in F_KEYS.values():
        for second, two in F_KEYS.items():
            leads_to(game, one + two, second)
    shown = second
    pairs = list(itertools.product(DIGITS, DIGITS))  # the same actions by other keys: each day a third of them
    random.Random(str(datetime.date.today())).shuffle(pairs)
    for first, second in pairs[: 12 * trials]:
        if shown == "generate":  # there one types into the prefix
            leads_to(game, HOME, "train")
        shown = first if first == "generate" else second
        leads_to(game, DIGITS[first] + DIGITS[second], shown)


def test_a_burst_leads_where_its_keys_lead_one_by_one(game: Game) -> None:
    """With escape, which leaves a form, and what the next pane makes of the keys behind it."""
    ends = (
        "\x1b1e",
        "\x1b5d",
        "e\x1b1e",
        "\x0f\x1b2\t",
        "\x1bOP\x1b1",
        "\x1bOP\x1b\x1bOSab",
        "e\t\t\x1b3x\x1bOQ",
    )
    for keys in ends:
        parts = re.findall(r"\x1bO.|\x1b|[^\x1b]", keys)
        slow = typed(game, HOME, "e", *parts)
        typed(game, "\x1b", HOME)
        typed(game, "\x1b", HOME, "e")
        assert typed(game, keys) == slow, keys
        typed(game, "\x1b", HOME)


def test_bytes_that_are_no_text_are_no_keys(game: Game) -> None:
    typed(game, HOME)
    for noise in (b"\xff\xfe", b"\xe5\x88", b"\x80\x1b[15~", b"\xf0\x28\x8c\x28"):
        os.write(game.terminal.descriptor, noise)
        time.sleep(0.2)
    assert typed(game, F_KEYS["data"])[0] == "data"
