"""The cases of several workers: one model on all cores, trained by some processes, against one process."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from core.benchmark.cases import ENDLESS, our_epochs
from core.benchmark.measuring import Bout, Case, Effort
from core.devices import prepare
from core.errors import ConfigError
from core.process import cores
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig
from core.training.trainer import Trainer


def worker_cases(workers: int) -> dict[str, Case]:
    """The cases of that number of workers on the CPU. Raises ConfigError."""
    if not 2 <= workers <= cores():
        raise ConfigError(f"--workers must be from 2 to the number of cores, {cores()} here, got {workers:,}")
    rnn = PRESETS["lyrics-scratch-random"].config.replace(num_epochs=ENDLESS, sample_every=0, device="cpu")
    lstm = rnn.replace(cell="lstm", num_hiddens=512, batch_size=64, num_steps=64)
    found = [
        Case(name, f"{title}, fp32, {workers} workers", "tokens/s", partial(_workers, config, workers), rounds=9)
        for name, title, config in (
            ("workers", "scratch RNN, V 1,018, H 256, B 32, T 35", rnn),
            ("workers-lstm", "scratch LSTM, V 1,018, H 512, B 64, T 64", lstm),
        )
    ]
    return {case.name: case for case in found}


def _workers(config: RunConfig, workers: int, effort: Effort, stack: ExitStack) -> Bout:
    """The same cores for both: each worker has its share of the threads of the one process."""
    from core.engine.workers import local_team

    config = config.replace(max_tokens=max(effort.tokens, config.batch_size * config.num_steps + 1))
    alone, together = config.replace(threads=cores()), config.replace(threads=cores() // workers)
    one = Trainer(alone)
    prepare(together)
    several = Trainer(together, one.corpus)
    team = local_team(workers)
    stack.callback(team.end)
    several.join(team)
    megabytes = sum(weight.numel() * 4 for weight in several.model.parameters()) / 1e6
    return Bout(
        our_epochs(several, f"{workers} workers"),
        (our_epochs(one, "one process with their cores"),),
        way=lambda: f"{megabytes:.1f} MB of gradients a step",
    )
