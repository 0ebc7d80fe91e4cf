"""The cells from scratch against the equations, written out a second time, and against ``torch.nn``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from core.models.language_model import LanguageModel
from core.models.scratch import step_of, unrolled
from core.models.scratch_model import ScratchLanguageModel

Build = Callable[..., LanguageModel]
STEPS, BATCH = 5, 3
VOCABULARY = 11  # as in the fixture double_model
assert_close = partial(torch.testing.assert_close, atol=1e-10, rtol=1e-10)


def gradients(model: LanguageModel) -> dict[str, torch.Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad.clone()
    return found


def test_rnn_is_the_textbooks_page(double_model: Build) -> None:
    """Outputs, state, loss and gradients of the five tensors, from one-hot matrices and autograd."""
    model = double_model()
    assert [name for name, _ in model.named_parameters()] == ["W_xh", "W_hh", "b_h", "W_hq", "b_q"]
    ids, targets = torch.randint(0, VOCABULARY, (2, BATCH, STEPS))
    W_xh, W_hh, b_h, W_hq, b_q = (p.detach().clone().requires_grad_() for p in model.parameters())
    H = torch.zeros(BATCH, 6, dtype=torch.float64)
    outputs = []
    for X in F.one_hot(ids.T, VOCABULARY).double():
        H = torch.tanh(X @ W_xh + H @ W_hh + b_h)
        outputs.append(H @ W_hq + b_q)
    expected = F.cross_entropy(torch.cat(outputs), targets.T.reshape(-1))
    expected.backward()

    logits, (last,) = model(ids, model.begin_state(BATCH))
    assert_close(logits, torch.stack(outputs))
    assert_close(last[0], H)
    loss, (last,) = model.loss(ids, targets, model.begin_state(BATCH))
    assert_close(loss, expected)
    assert_close(last[0], H)
    assert not last.requires_grad
    loss.backward()
    for name, reference in zip(("W_xh", "W_hh", "b_h", "W_hq", "b_q"), (W_xh, W_hh, b_h, W_hq, b_q), strict=True):
        assert_close(gradients(model)[name], reference.grad)


def test_two_products_are_one_of_concatenations(double_model: Build) -> None:
    """X W_xh + H W_hh = [X H] [W_xh; W_hh]"""
    p = dict(double_model().named_parameters())
    X, H = torch.randn(BATCH, VOCABULARY).double(), torch.randn(BATCH, 6).double()
    assert_close(torch.cat((X, H), 1) @ torch.cat((p["W_xh"], p["W_hh"]), 0), X @ p["W_xh"] + H @ p["W_hh"])


def test_a_one_hot_product_is_a_look_up(double_model: Build) -> None:
    W_xh = dict(double_model().named_parameters())["W_xh"]
    ids = torch.randint(0, VOCABULARY, (40,))
    assert torch.equal(F.one_hot(ids, VOCABULARY).double() @ W_xh, W_xh[ids])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_scan_is_its_plain_twin(double_model: Build, cell: str, activation: str) -> None:
    """The readable cells, unrolled under autograd on one-hot matrices, give the model's states and gradients."""
    if cell != "rnn" and activation == "relu":
        pytest.skip("gated cells have their own activations")
    model = double_model(cell=cell, activation=activation)
    assert isinstance(model, ScratchLanguageModel)
    ids = torch.randint(0, VOCABULARY, (BATCH, STEPS))
    begin = tuple(torch.randn_like(tensor) for tensor in model.begin_state(BATCH))
    p = model.layer_parameters()
    step = step_of(cell, is_relu=activation == "relu")
    X = F.one_hot(ids.T, VOCABULARY).double()
    H, last = unrolled(step, X, tuple(tensor[0] for tensor in begin), p)
    upstream = torch.randn(STEPS, BATCH, VOCABULARY).double()
    names = [name for name in dict(model.named_parameters()) if name not in ("W_hq", "b_q")]
    parameters = [dict(model.named_parameters())[name] for name in names]
    W, b = model.output_layer()
    expected = torch.autograd.grad((H @ W + b).mul(upstream).sum() + sum(t.sum() for t in last), parameters)

    logits, new_state = model(ids, begin)
    actual = torch.autograd.grad(logits.mul(upstream).sum() + sum(t.sum() for t in new_state), parameters)
    assert_close(logits, H @ W + b)
    for ours, reference in zip(new_state, last, strict=True):
        assert_close(ours[0], reference)
    for ours, reference in zip(actual, expected, strict=True):
        assert_close(ours, reference)


@pytest.mark.parametrize("cell, activation", [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")])
def test_the_page_is_what_every_option_computes(double_model: Build, cell: str, activation: str) -> None:
    """``cpu_path=textbook`` and the fast path: the same weights give the same scores, losses, states and gradients."""
    for options in (
        {},
        {"embedding_size": 4},
        {"embedding_size": 6, "tied": True, "num_layers": 2},
        {"num_layers": 3, "dropout": 0.4},
        {"num_layers": 2, "bidirectional": True, "dropout": 0.3, "weight_dropout": 0.3, "embedding_size": 5},
    ):
        plain = double_model(cell=cell, activation=activation, cpu_path="plain", **options)
        textbook = double_model(cell=cell, activation=activation, cpu_path="textbook", **options)
        textbook.load_state_dict(plain.state_dict())
        ids, targets = torch.randint(0, VOCABULARY, (2, BATCH, STEPS))
        begin = tuple(torch.randn_like(tensor) for tensor in plain.begin_state(BATCH))
        for mask in (None, torch.rand(BATCH, STEPS) > 0.4):
            found = []
            for model in (plain, textbook):
                torch.manual_seed(3)  # the dropout of both draws the same numbers
                logits, last = model(ids, begin)
                loss, state = model.loss(ids, targets, begin, mask=mask)
                model.zero_grad()
                loss.backward()
                assert not any(tensor.requires_grad for tensor in state)
                found.append([logits, *last, loss, *state, *gradients(model).values()])
            for theirs, ours in zip(*found, strict=True):
                assert_close(ours, theirs, msg=lambda words, options=options: f"{options}: {words}")


# torch.nn stores r z n and i f g o; ours are z r h and o i f c.
TORCH_GATES = {"rnn": "h", "gru": "rzh", "lstm": "ifco"}


def _copy_from_torch(model: ScratchLanguageModel, reference: torch.nn.RNNBase, layer: int, direction: int) -> None:
    suffix = f"_l{layer}" + ("_reverse" if direction else "")
    gates = TORCH_GATES[model.config.cell]
    named = model.layer_parameters(layer, direction)
    sources = {kind: getattr(reference, kind + suffix) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    parts = {kind: dict(zip(gates, source.chunk(len(gates)), strict=True)) for kind, source in sources.items()}
    with torch.no_grad():
        for gate in gates:
            named[f"W_x{gate}"].copy_(parts["weight_ih"][gate].t())
            named[f"W_h{gate}"].copy_(parts["weight_hh"][gate].t())
            inside = model.config.cell == "gru" and gate == "h"
            named[f"b_{gate}"].copy_(parts["bias_ih"][gate] + (0 if inside else parts["bias_hh"][gate]))
            if inside:
                named["b_hn"].copy_(parts["bias_hh"][gate])


def _gradients_like_torch(model: ScratchLanguageModel, layer: int, direction: int) -> dict[str, torch.Tensor]:
    """The model's gradients in the shapes and gate order of ``torch.nn``."""
    gates, ours = TORCH_GATES[model.config.cell], model.cell.gates
    W_x, W_h, b, *extra = (weight.grad for weight in model.stored_layer(layer * model.directions + direction))

    def ordered(tensor: torch.Tensor) -> torch.Tensor:
        parts = dict(zip(ours, tensor.chunk(len(ours), dim=-1), strict=True))
        return torch.cat([parts[gate] for gate in gates], dim=-1)

    bias_hh = ordered(b)
    if extra:
        bias_hh = torch.cat((bias_hh[: -extra[0].numel()], extra[0]))
    return {"weight_ih": ordered(W_x).t(), "weight_hh": ordered(W_h).t(), "bias_ih": ordered(b), "bias_hh": bias_hh}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("cell, activation", [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")])
def test_scratch_is_torch_nn(
    double_model: Build, cell: str, activation: str, num_layers: int, bidirectional: bool
) -> None:
    """Same weights, same outputs, final states and gradients, in double precision."""
    model = double_model(cell=cell, activation=activation, num_layers=num_layers, bidirectional=bidirectional)
    assert isinstance(model, ScratchLanguageModel)
    options = {"nonlinearity": activation} if cell == "rnn" else {}
    reference = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](
        VOCABULARY, 6, num_layers, bidirectional=bidirectional, **options
    ).double()
    rows = [(layer, direction) for layer in range(num_layers) for direction in range(model.directions)]
    for layer, direction in rows:
        _copy_from_torch(model, reference, layer, direction)
    ids = torch.randint(0, VOCABULARY, (BATCH, STEPS))
    begin = tuple(torch.randn_like(tensor) for tensor in model.begin_state(BATCH))
    H, last = reference(F.one_hot(ids.T, VOCABULARY).double(), begin if cell == "lstm" else begin[0])
    last = last if cell == "lstm" else (last,)
    outputs, new_state = model.outputs(ids.t(), begin)
    assert_close(outputs, H)
    for ours, theirs in zip(new_state, last, strict=True):
        assert_close(ours, theirs)
    upstream = torch.randn_like(H)
    (H.mul(upstream).sum() + sum(tensor.square().sum() for tensor in last)).backward()
    (outputs.mul(upstream).sum() + sum(tensor.square().sum() for tensor in new_state)).backward()
    for layer, direction in rows:
        for kind, gradient in _gradients_like_torch(model, layer, direction).items():
            theirs = getattr(reference, f"{kind}_l{layer}" + ("_reverse" if direction else ""))
            assert_close(gradient, theirs.grad)
