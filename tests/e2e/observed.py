"""``python observed.py FILE [ARGUMENT ...]``: the playground, which at SIGUSR1 writes into FILE what is on its screen.

What the random player cannot see from outside: where the focus is, which keys the footer names and which there are,
and what was answered to which dialog.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from textual.screen import Screen

import tui.app
from tui.shell.footer import KeyLine
from tui.shell.header import HeaderLine

FILE = Path(sys.argv[1])


class ObservedPlayground(tui.app.Playground):
    """Tells on request what it shows, and remembers the answers to its dialogs."""

    orders = 0

    async def on_mount(self) -> None:
        """Begin as the playground does, then listen."""
        loop = asyncio.get_running_loop()

        def on_signal(number: int, frame: object) -> None:  # also while the playground leaves
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell_tasks if number == signal.SIGUSR2 else self._tell_later)

        signal.signal(signal.SIGUSR1, on_signal)
        signal.signal(signal.SIGUSR2, on_signal)
        FILE.with_suffix(".ready").touch()

    def _tell_later(self) -> None:
        self.call_later(self._tell)

    def _tell_tasks(self) -> None:
        """Where everything waits, for a playground that does not answer."""
        with FILE.with_suffix(".tasks").open("w", encoding="utf-8") as file:
            for task in asyncio.all_tasks():
                if "Timer" not in str(task.get_name()):
                    task.print_stack(file=file)

    async def push_screen_wait(self, screen: Any, **options: Any) -> Any:
        """As always, and remember what was answered."""
        answer = await super().push_screen_wait(screen, **options)
        if answer not in (None, False):
            with FILE.with_suffix(".answers").open("a", encoding="utf-8") as file:
                file.write(f"{getattr(screen, '_title', type(screen).__name__)}\n")
        return answer

    def _tell(self) -> None:
        self.orders += 1
        base: Screen[Any] = self.screen_stack[0]
        shown = [str(child.id).removeprefix("pane-") for child in base.query_one("#panes").children if child.display]
        focused = self.focused
        facts = {
            "number": self.orders,
            "waiting": self._turns.waiting,
            "pane": base.query_one(HeaderLine).current,
            "shown": shown,
            "screens": [type(screen).__name__ for screen in self.screen_stack],
            "focus": str(focused),
            "focus_in": [str(node.id).removeprefix("pane-") for node in focused.ancestors] if focused else [],
            "focus_visible": focused is not None and all(node.display for node in focused.ancestors_with_self),
            "focus_attached": focused is not None and focused.is_attached,
            "footer": sorted(key.action for key in base.query_one(KeyLine).keys),
            "keys": sorted({
                binding.action for _, binding, _, _ in base.active_bindings.values()
                if binding.show or binding.key == self.COMMAND_PALETTE_BINDING
            }),
            "widgets": len(list(self.screen.query("*"))),
            "tasks": len(asyncio.all_tasks()),
            "workers": Counter(worker.name for worker in self.workers),
        }  # fmt: skip
        part = FILE.with_suffix(".part")
        part.write_text(json.dumps(facts), "utf-8")
        os.replace(part, FILE)


if __name__ == "__main__":
    tui.app.Playground = ObservedPlayground  # type: ignore[misc]
    from tui.__main__ import main

    sys.exit(main(sys.argv[2:]))
