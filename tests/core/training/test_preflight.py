"""What is counted before a training starts, against the training itself."""

from __future__ import annotations

import itertools

import torch

from core.models.implementations import build_model
from core.settings.run_config import RunConfig
from core.training.optimisation import Optimiser
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
