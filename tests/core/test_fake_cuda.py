"""No path of a training, of writing or of inspecting mixes devices: run on a GPU that is only played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
import torch

from core.corpus.reader import load_corpus
from core.corpus.token_store import TokenStore
from core.generation.options import GenerationRequest, Sampling
from core.generation.writer import Writing
from core.inspection.options import VIEWS, InspectionOptions
from core.inspection.view import inspect
from core.settings.run_config import RunConfig
from core.training import mapped_batches
from core.training.distributed import Order, Team
from core.training.mapped_batches import MappedBatches
from core.training.trainer import Trainer
from tests.core.fake_cuda import played_gpu

pytestmark = [
    pytest.mark.skipif(torch.version.cuda is None, reason="needs a torch that is built for CUDA"),
    pytest.mark.timeout(600),
]

Make = Callable[..., Trainer]


@pytest.fixture
def make(tiny: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Iterator[Make]:
    """Makes a trainer on the GPU that is only played."""
    with played_gpu(monkeypatch):
        yield lambda **changes: Trainer(tiny(**{"device": "cuda", "num_steps": 3, "batch_size": 60, **changes}))


def train(trainer: Trainer) -> None:
    """An epoch of five batches, the first ones before the capture of a graph, with what comes after it."""
    assert trainer.device.type == "cuda" and trainer.batches.per_epoch < 8
    while trainer.epoch < 1:
        trainer.advance()
    assert all(weight.device.type == "cuda" for weight in trainer.model.parameters())
    assert not trainer.diverged


OPTIMISERS: list[dict[str, Any]] = [
    {"optimiser": "sgd", "momentum": 0.9},
    {"optimiser": "adam", "clipping": "value"},
    {"optimiser": "adamw", "weight_decay": 0.1},
    {"optimiser": "rmsprop", "momentum": 0.5},
]


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
def test_every_model_trains_on_one_device(make: Make, implementation: str, cell: str) -> None:
    optimisers = cycle(OPTIMISERS)
    for precision, dropout, embedding, layers in product(["fp32", "bf16"], [0.0, 0.3], [0, 6], [1, 2]):
        train(make(implementation=implementation, cell=cell, precision=precision, dropout=dropout,
                   embedding_size=embedding, num_layers=layers, **next(optimisers)))  # fmt: skip


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
def test_every_way_through_a_text_stays_on_the_device(make: Make, implementation: str) -> None:
    """With and without the graph, poems, drawn rows, both directions, tied vectors, dropout of weights, held out."""
    ways: list[dict[str, Any]] = [
        {"gpu_path": "plain", "sampling": "random", "validation_fraction": 0.3, "clipping": "none"},
        {"cell": "gru", "documents": "lines", "num_steps": 20, "batch_size": 8, "validation_fraction": 0.3},
        {"cell": "lstm", "bidirectional": True, "num_layers": 2, "dropout": 0.2, "weight_dropout": 0.2},
        {"cell": "lstm", "embedding_size": 8, "tied": True, "precision": "tf32", "validation_fraction": 0.2},
        {"activation": "relu", "schedule": "cosine", "clipping": "value", "sampling": "random", "state": "carried"},
    ]
    for way in ways:
        trainer = make(implementation=implementation, **way)
        train(trainer)
        assert (trainer.graph_unavailable_reason == "") == (way.get("gpu_path") != "plain")


def test_the_page_itself_stays_on_the_device(make: Make) -> None:
    for cell in ("rnn", "gru", "lstm"):
        train(make(cell=cell, cpu_path="textbook", dropout=0.2, weight_dropout=0.2, num_layers=2, precision="tf32"))


class AtOnce:
    """A thread that works when it is given something."""

    def __init__(self, *_: object) -> None:
        return

    def submit(self, work: Callable[..., None], *given: object) -> Future[None]:
        work(*given)
        done: Future[None] = Future()
        done.set_result(None)
        return done


@pytest.mark.parametrize("way", [{"sampling": "random"}, {"documents": "lines", "num_steps": 20, "batch_size": 8}])
def test_a_text_that_is_fed_to_the_device(
    make: Make, tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: dict[str, Any]
) -> None:
    """Its batches are cut on the processor; at once here, for fake tensors are of one thread."""
    monkeypatch.setattr(mapped_batches, "ThreadPoolExecutor", AtOnce)
    config = tiny(**{"device": "cuda", "num_steps": 3, "batch_size": 60, "validation_fraction": 0.3, **way})
    how = {"normalise": "none", "reserved": config.reserved_tokens}
    mapped = load_corpus(config.corpus, store=TokenStore(tmp_path / "tokens", 1 << 30, smallest=1), **how)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (1, 1))  # too little for the text
    trainer = Trainer(config, mapped)
    assert isinstance(trainer.batches, MappedBatches)
    train(trainer)


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
def test_a_checkpoint_passes_between_devices(make: Make, implementation: str) -> None:
    for optimiser in OPTIMISERS:
        trainer = make(implementation=implementation, cell="lstm", **optimiser)
        train(trainer)
        tensors, facts = trainer.checkpoint()
        again = make(implementation=implementation, cell="lstm", **optimiser)
        again.restore({name: tensor.cpu() for name, tensor in tensors.items()}, facts)
        again.advance()
        assert again.is_finite() and again.is_sound()


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_writing_stays_on_the_device(make: Make, implementation: str, cell: str) -> None:
    for embedding in (0, 6):
        trainer = make(implementation=implementation, cell=cell, embedding_size=embedding, num_layers=2)
        for sampling, count in ((Sampling("greedy"), 1), (Sampling("top-p"), 3), (Sampling("beam"), 1)):
            request = GenerationRequest("abc", 3, sampling, count=count)
            writing = Writing(trainer.model, trainer.corpus.vocabulary, request)
            while not writing.finished:
                writing.advance()


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_inspecting_stays_on_the_device(make: Make, implementation: str, cell: str) -> None:
    asked = [InspectionOptions(view) for view in VIEWS] + [InspectionOptions("gradients", places=4)]
    for way in ({"embedding_size": 6}, {"num_layers": 2, "bidirectional": True}):
        trainer = make(implementation=implementation, cell=cell, **way)
        for options in asked:
            inspect(trainer.model, trainer.corpus.vocabulary, options, trainer.corpus.ids[:20])


class Alone(Team):
    """A team of one, which exchanges with nobody."""

    def __init__(self) -> None:
        self.rank, self.size, self.is_broken, self.can_restart = 0, 1, False, False

    def order(self, order: Order, *numbers: float) -> None:
        return


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
def test_what_workers_exchange_is_on_the_device(
    make: Make, implementation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanged: list[torch.device] = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda given: exchanged.append(given.device))
    for way in ({"documents": "lines", "num_steps": 20, "batch_size": 8}, {"dropout": 0.2, "cell": "gru"}):
        trainer = make(implementation=implementation, validation_fraction=0.3, **way)
        trainer.take_part(Alone())
        train(trainer)
        trainer.checkpoint()
    assert {device.type for device in exchanged} == {"cuda"}
