"""What the tests of the Data pane share: statistics and downloads by script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.widgets import Button

from core.errors import CorpusError
from tests.tui.pane_harness import PaneApp
from tests.tui.waiting import until

SIZE = (120, 40)
SETTINGS = {
    "normalise": "none", "tokens": "char", "max_tokens": 0, "min_freq": 0, "batch_size": 2, "num_steps": 5,
}  # fmt: skip


def facts_of(source: str, values: dict[str, Any]) -> dict[str, Any]:
    """Statistics like those of the command."""
    row = list("分开 了很")
    batch = {"X": [row], "Y": [[*row[1:], "久"]], "starts": [0]}
    return {
        "name": Path(source).stem, "path": source, "sha256": "ab" * 32, "bytes": 100, "encoding": "utf-8",
        "normalise": values["normalise"], "token_kind": values["tokens"], "lines": 7, "tokens": 1234,
        "vocabulary": 57, "unknown_share": 0.0,
        "top": {"1": [["分", 12], ["\x1b", 3]], "2": [[["分", "开"], 9]], "3": [[["分", "开", "了"], 2]]},
        "zipf": {order: {"ranks": [1, 2], "frequencies": [4, 2], "slope": -1.0} for order in "123"},
        "entropy_bits": {"unigram": 5.0, "bigram_joint": 7.0, "bigram_conditional": 2.0},
        "one_hot": {"shape": [values["num_steps"], values["batch_size"], 57], "bytes": 255_360, "ids_bytes": 2240,
                    "ones": 1120, "density": 1 / 57},
        "examples": {"batches": 3, "reason": None, "sequential": [batch] * 2, "random": [batch]},
    }  # fmt: skip


class Describer:
    """Stands in for the process that computes statistics."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.error = ""

    async def __call__(self, source: str, *, data_dir: Path | None, **values: Any) -> dict[str, Any]:
        self.asked.append((source, values))
        if self.error:
            raise CorpusError(self.error)
        return facts_of(source, values)


async def computed(pilot: Any, app: PaneApp) -> None:
    """Wait until the chosen text is ready to be used."""
    app.pane.focus()
    await until(pilot, lambda: not app.query_one("#data-use", Button).disabled)
