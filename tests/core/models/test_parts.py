"""Workers that have parts of the rows of a batch compute what one model computes of all of them, dropout included."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.models.recurrence.cpu.bindings import Part
from core.models.scratch import HiddenState
from core.settings.run_config import RunConfig

VOCABULARY, ROWS = 13, 5
PATHS = [
    ("scratch", "auto"),
    ("scratch", "plain"),
    ("scratch", "textbook"),
    ("torch.nn", "auto"),
    ("torch.nn", "plain"),
]


def summed(model: LanguageModel, part: Part | None, rows: slice) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The loss and the gradients as sums over the rows, with the state last; and where the generator is afterwards."""
    torch.manual_seed(1)
    ids, targets = torch.randint(0, VOCABULARY, (2, ROWS, 7))[:, rows]
    state: HiddenState = tuple(torch.randn_like(tensor)[:, rows].contiguous() for tensor in model.begin_state(ROWS))
    model.part = part
    model.zero_grad()
    loss, state = model.loss(ids, targets, state)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    return [tensor.detach() * len(ids) for tensor in (loss, *gradients)] + list(state), torch.get_rng_state()


@pytest.mark.parametrize(("implementation", "cpu_path"), PATHS)
def test_rows_in_parts(implementation: str, cpu_path: str, one_thread: None) -> None:
    cases: list[dict[str, Any]] = [
        {
            "embedding_size": embedding,
            "num_layers": layers,
            "bidirectional": layers > 1,
            "weight_dropout": weight_dropout,
        }
        for embedding, layers, weight_dropout in itertools.product((0, 6), (1, 3), (0.0, 0.3))
    ]
    for cell, case in itertools.product(("rnn", "gru", "lstm"), cases):
        torch.manual_seed(2)
        config = RunConfig(
            implementation=implementation, cpu_path=cpu_path, cell=cell, dropout=0.4, num_hiddens=9,
            initialisation="uniform", **case,
        )  # fmt: skip
        model = build_model(config, VOCABULARY)
        whole, drawn = summed(model, None, slice(0, ROWS))
        parts = [summed(model, Part(first, ROWS), slice(first, end)) for first, end in ((0, 2), (2, ROWS))]
        states = model.num_states
        for found, wanted in zip(zip(*(tensors[:-states] for tensors, _ in parts), strict=True), whole, strict=False):
            assert torch.allclose(sum(found), wanted, atol=1e-5), (cell, case)
        for found, wanted in zip(
            zip(*(tensors[-states:] for tensors, _ in parts), strict=True), whole[-states:], strict=True
        ):
            assert torch.allclose(torch.cat(found, 1), wanted, atol=1e-6), (cell, case)
        assert all(torch.equal(generator, drawn) for _, generator in parts), (cell, case)
