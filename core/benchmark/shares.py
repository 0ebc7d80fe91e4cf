"""The cases of the matrix products: what share of their speed a training reaches, cell by cell and size by size."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from core.benchmark.cases import ENDLESS, our_epochs, our_trainer, training_limit
from core.benchmark.measuring import Bout, Case, Effort
from core.settings.cells import CELLS
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig

HIDDEN_UNITS = (256, 512, 1024)
GOALS = {"fp32": 0.85, "bf16": 0.75}
EPOCHS = 3
"""A round's rate is the best of this many epochs; that of the products is the best of several runs, too."""


def share_cases() -> dict[str, Case]:
    """All cases by name, as ``lstm-512-bf16``, in the order of the table."""
    lyrics = PRESETS["lyrics-scratch-sequential"].config.replace(num_epochs=ENDLESS, sample_every=0, device="cpu")
    found = [
        Case(
            f"{cell}-{hidden}-{precision}", f"scratch {cell.upper()}, V 1,027, H {hidden:,}, B 32, T 35, {precision}",
            "tokens/s", partial(_share, lyrics.replace(cell=cell, num_hiddens=hidden, precision=precision)),
            goal_share=goal, rounds=3,
        )
        for precision, goal in GOALS.items() for cell in CELLS for hidden in HIDDEN_UNITS
    ]  # fmt: skip
    return {case.name: case for case in found}


def _share(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    trainer = our_trainer(config, effort)
    ours = our_epochs(trainer, "ours")
    best = replace(ours, run=lambda: max(ours.run() for _ in range(EPOCHS)))
    return Bout(best, (), training_limit(trainer, effort))
