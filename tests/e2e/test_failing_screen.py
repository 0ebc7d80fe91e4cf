"""A screen with a failing handler, in a real terminal: it says so and goes on, or ends as a program should."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

BEGIN = """
import sys
import tui.app
from tui.__main__ import main

def fail(app):
    raise LookupError("a mistake of ours")

"""
END = "\nsys.exit(main(sys.argv[1:]))"


def test_it_says_so_and_goes_on(terminals: Callable[..., Any], environment: dict[str, str], tmp_path: Path) -> None:
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    program = BEGIN + "tui.app.Playground.action_toggle_theme = fail" + END
    terminal = terminals(sys.executable, "-c", program, "--saves", str(tmp_path / "saves"))
    terminal.wait("f1 Help")
    time.sleep(1.0)
    terminal.type("\x1b[20~")  # f9
    terminal.wait("LookupError")
    terminal.press("f6")
    terminal.wait("There are no runs yet")
    assert "a mistake of ours" in (tmp_path / "state" / "rnn-playground" / "screen.log").read_text("utf-8")
    terminal.press("q")
    assert terminal.wait_exit() == 0
    assert "Traceback" not in bytes(terminal.output).decode(errors="replace")


def test_it_ends_with_a_sentence_where_it_only_fails(
    terminals: Callable[..., Any], environment: dict[str, str], tmp_path: Path
) -> None:
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    starts = "mounted = tui.app.Playground.on_mount\n"
    starts += "async def fails_always(app):\n    await mounted(app)\n    app.set_interval(0.01, lambda: fail(app))\n"
    program = BEGIN + starts + "tui.app.Playground.on_mount = fails_always" + END
    terminal = terminals(sys.executable, "-c", program, "--saves", str(tmp_path / "saves"))
    assert terminal.wait_exit(60) == 1
    terminal.wait(lambda text: "the screen failed 20 times in a row" in text.replace("\n", ""), 10)
    assert terminal.is_sane
    output = bytes(terminal.output).decode(errors="replace")
    assert "Traceback" not in output and str(tmp_path / "state") in output.replace("\r\n", "")
