"""The cases of a GPU: ``python -m core bench --cuda``, with the goals for an H100.

Ours runs with its defaults. It is compared with the textbook's loop on the same GPU and with our own slower paths,
which shows what the graph and the persistent kernel gain. ``python -m pytest -m cuda`` checks that all paths agree.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from core.benchmark.cases import (
    ENDLESS,
    lyrics_like,
    our_epochs,
    our_trainer,
    textbook_twin,
    train_epoch,
    training_limit,
    twin_epochs,
)
from core.benchmark.machine import synchronise
from core.benchmark.measuring import Bout, Case, Contestant, Effort, rate_of
from core.benchmark.references import text_tensor
from core.events import EpochFinished
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig
from core.training.backend import words
from core.training.trainer import Trainer

# An epoch takes a GPU a few milliseconds: a round has several, of the textbook's loop fewer.
EPOCHS_A_ROUND = {"ours": 20, "textbook": 2}
# The time in which the best held-out loss is measured.
SECONDS = 180.0


def cuda_cases() -> dict[str, Case]:
    """All cases by name, in the order of the table."""
    lyrics = PRESETS["lyrics-scratch-sequential"].config.replace(num_epochs=ENDLESS, sample_every=0, device="cuda")
    book = RunConfig(
        corpus="tale-en", normalise="letters", max_tokens=10_000, num_hiddens=512, learning_rate=1.0, clip=1.0,
        random_offset=False, num_epochs=ENDLESS, sample_every=0, device="cuda",
    )  # fmt: skip
    lyrics_shape, book_shape = "V 1,027, H 256, B 32, T 35", "V 28, H 512, B 32, T 35"
    found = [
        _speed("cuda-rnn", f"scratch RNN, {book_shape}, fp32", book, 4e6),
        _speed("cuda-rnn-tf32", f"scratch RNN, {book_shape}, tf32", book.replace(precision="tf32"), 4e6),
        _speed("cuda-rnn-bf16", f"scratch RNN, {book_shape}, bf16", book.replace(precision="bf16"), 4e6),
        Case(
            "cuda-lyrics", f"a whole training of 250 epochs, {lyrics_shape}, fp32", "epochs/s",
            partial(_whole_training, lyrics), goal_rate=250.0, rounds=3, needs_cuda=True,
        ),
        _speed("cuda-gru", f"scratch GRU, {book_shape}, bf16", book.replace(cell="gru", precision="bf16")),
        _speed("cuda-lstm", f"scratch LSTM, {book_shape}, bf16", book.replace(cell="lstm", precision="bf16")),
        Case(
            "cuda-shakespeare", "the preset shakespeare-gpu, held out", "tokens/s",
            partial(_best_in_time, PRESETS["shakespeare-gpu"].config.replace(device="cuda", sample_every=0)),
            goal_most={"nats": 1.38, "seconds": SECONDS}, rounds=1, warms_up=False, needs_cuda=True,
        ),
    ]  # fmt: skip
    return {case.name: case for case in found}


def _speed(name: str, title: str, config: RunConfig, goal: float | None = None) -> Case:
    run = partial(_training, config)
    return Case(name, title, "tokens/s", run, goal_rate=goal, rounds=7, needs_cuda=True)


def _training(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    def ours(name: str, **changes: object) -> Contestant:
        return our_epochs(our_trainer(config.replace(**changes), effort), name, EPOCHS_A_ROUND["ours"])

    trainer = our_trainer(config, effort)
    if config.cell == "rnn":
        twin = textbook_twin(trainer)
        reference = twin_epochs(twin, trainer, "the textbook's loop, fp32", EPOCHS_A_ROUND["textbook"])
    else:
        reference = ours("our torch.nn model (cuDNN)", implementation="torch.nn")
    references = (
        reference,
        ours("ours, the graph alone", gpu_path="graph"),
        ours("ours, the persistent kernel alone", gpu_path="kernel"),
        ours("ours, call by call", gpu_path="plain"),
    )
    measured = our_epochs(trainer, "ours", EPOCHS_A_ROUND["ours"])
    return Bout(measured, references, training_limit(trainer, effort), _way(trainer))


def _way(trainer: Trainer) -> Callable[[], str]:
    return lambda: words(trainer.backend_report)


def _whole_training(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    """From the settings to the last epoch: setting the device up is part of it."""
    corpus = lyrics_like(config, effort)

    def trainings(name: str, epoch_of: Callable[[Trainer], Callable[[], float]]) -> Contestant:
        perplexity = [0.0]

        def work() -> float:
            trainer = Trainer(config, corpus)
            epoch = epoch_of(trainer)
            for _ in range(effort.epochs):
                perplexity[0] = epoch()
            synchronise(trainer.device)
            return effort.epochs

        return Contestant(name, rate_of(work), lambda: {"perplexity": perplexity[0]})

    trainer = Trainer(config, corpus)
    return Bout(
        trainings("ours", lambda trainer: partial(train_epoch, trainer)),
        (
            trainings(
                "the textbook's loop", lambda trainer: partial(textbook_twin(trainer).epoch, text_tensor(corpus.ids))
            ),
        ),
        training_limit(trainer, effort, tokens_per_unit=trainer.batches.tokens_per_epoch),
        _way(trainer),
    )


def _best_in_time(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    """The best held-out loss in three minutes, from the settings on."""
    found: dict[str, float] = {}
    trainers: list[Trainer] = []

    def ours() -> float:
        began, best = time.perf_counter(), math.inf
        trainer = Trainer(config.replace(num_epochs=min(config.num_epochs, effort.epochs)))
        trainers[:] = [trainer]
        while True:
            for event in trainer.advance():
                held_out = event.validation_perplexity if isinstance(event, EpochFinished) else None
                if held_out is not None and held_out < best:
                    best = held_out
                    found.update(nats=math.log(best), seconds=time.perf_counter() - began)
            if trainer.finished or time.perf_counter() - began >= SECONDS:
                return trainer.step * config.batch_size * config.num_steps

    return Bout(Contestant("ours", rate_of(ours), lambda: found), (), None, lambda: words(trainers[0].backend_report))
