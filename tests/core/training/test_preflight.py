"""What is counted before a training starts, against the training itself."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from core.models.implementations import build_model
from core.settings.run_config import RunConfig
from core.training.optimisation import Optimiser, trained_on
from core.training.preflight import BYTES, memory_of, num_parameters

VOCABULARY = 11


def test_parameters_are_those_of_the_model() -> None:
    cells, implementations = ("rnn", "gru", "lstm"), ("scratch", "torch.nn")
    inputs = ({}, {"embedding_size": 5}, {"embedding_size": 8, "tied": True})
    for cell, implementation, layers, both, given in itertools.product(
        cells, implementations, (1, 3), (False, True), inputs
    ):
        if both and given.get("tied"):
            continue  # the output layer would need vectors of both directions
        config = RunConfig(
            cell=cell, implementation=implementation, num_layers=layers, bidirectional=both, num_hiddens=8,
            **given,  # type: ignore[arg-type]
        )  # fmt: skip
        model = build_model(config, VOCABULARY)
        assert num_parameters(config, VOCABULARY) == model.num_parameters(), config
        assert memory_of(config, VOCABULARY).weights == sum(p.nbytes for p in model.parameters()), config


def test_the_optimiser_keeps_what_is_counted() -> None:
    for optimiser, momentum in itertools.product(("sgd", "rmsprop", "adam", "adamw"), (0.0, 0.9)):
        config = RunConfig(optimiser=optimiser, momentum=momentum, num_hiddens=8)
        model = build_model(config, VOCABULARY)
        made = Optimiser(config, model.parameters())
        for weight in model.parameters():
            weight.grad = torch.ones_like(weight)
        made.step()
        kept = [value for state in made.state.values() for value in state.values()]
        numbers = sum(tensor.numel() for tensor in kept if tensor.dim())  # a count of steps is a scalar
        assert memory_of(config, VOCABULARY).optimiser == BYTES * numbers, (optimiser, momentum)


def allocated(config: RunConfig, vocabulary: int, trace: Path) -> int:
    """The most bytes that the tensors of a training have at a moment of a step, by the profiler's record of them."""
    model = build_model(config, vocabulary)
    optimiser = Optimiser(config, model.parameters())
    ids = torch.zeros(config.batch_size, config.num_steps, dtype=torch.int64)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        trained_on((ids, ids, None), model.begin_state(config.batch_size), model, optimiser, config, None)
    profiler.export_chrome_trace(str(trace))
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("name") == "[memory]"]
    changes = [event["args"]["Bytes"] for event in sorted(events, key=lambda event: float(event["ts"]))]
    return max(itertools.accumulate(changes)) + sum(weight.nbytes for weight in model.parameters())


def test_the_memory_is_what_tensors_take(tmp_path: Path) -> None:
    paths = (*itertools.product(("scratch", "torch.nn"), ("auto", "plain")), ("scratch", "textbook"))
    shapes = ((384, 200, 4, 8, 1), (32, 3000, 4, 32, 1), (48, 200, 32, 32, 2))
    for (implementation, path), cell, precision, shape in itertools.product(
        paths, ("rnn", "gru", "lstm"), ("fp32", "bf16"), shapes
    ):
        if path == "textbook" and precision == "bf16":
            continue
        hidden, vocabulary, batch, steps, layers = shape
        config = RunConfig(
            implementation=implementation, cpu_path=path, cell=cell, precision=precision, num_hiddens=hidden,
            batch_size=batch, num_steps=steps, num_layers=layers, device="cpu", optimiser="sgd",
        )  # fmt: skip
        ratio = allocated(config, vocabulary, tmp_path / "trace.json") / memory_of(config, vocabulary).total
        assert 0.6 < ratio < 1.4, (implementation, path, cell, precision, shape, ratio)
