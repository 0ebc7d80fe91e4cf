"""The cases of the matrix products: what share of their speed a training reaches, cell by cell and size by size."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial

from core.benchmark.cases import ENDLESS, our_trainer, training_limit
from core.benchmark.measuring import Bout, Case, Contestant, Effort
from core.events import EpochFinished
from core.settings.cells import CELLS
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig

HIDDEN_UNITS = (256, 512, 1024)
GOALS = {"fp32": 0.85, "bf16": 0.75}
ROUNDS = 15
BATCHES = 3
"""In a round the fastest of so many batches counts, of each product the fastest of four stretches. Rounds are short,
so that both meet the machine at the same speed: on a shared one it changes within a second."""


def share_cases() -> dict[str, Case]:
    """All cases by name, as ``lstm-512-bf16``, in the order of the table."""
    lyrics = PRESETS["lyrics-scratch-sequential"].config.replace(num_epochs=ENDLESS, sample_every=0, device="cpu")
    found = [
        Case(
            f"{cell}-{hidden}-{precision}", f"scratch {cell.upper()}, V 1,027, H {hidden:,}, B 32, T 35, {precision}",
            "tokens/s", partial(_share, lyrics.replace(cell=cell, num_hiddens=hidden, precision=precision)),
            goal_share=goal, rounds=ROUNDS,
        )
        for precision, goal in GOALS.items() for cell in CELLS for hidden in HIDDEN_UNITS
    ]  # fmt: skip
    return {case.name: case for case in found}


def _share(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    trainer = our_trainer(config, effort)
    perplexity, tokens = [0.0], config.batch_size * config.num_steps

    def seconds() -> float:
        began = time.perf_counter()
        events = trainer.advance()
        spent = time.perf_counter() - began
        perplexity[:] = [event.perplexity for event in events if isinstance(event, EpochFinished)] or perplexity
        return spent

    ours = Contestant(
        "ours", lambda: tokens / min(seconds() for _ in range(BATCHES)), lambda: {"perplexity": perplexity[0]}
    )
    return Bout(ours, (), training_limit(trainer, effort))
