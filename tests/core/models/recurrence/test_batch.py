"""A batch without autograd against the same model differentiated by autograd: the same numbers, bit for bit."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor

from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.models.recurrence.cpu import bindings
from core.settings.run_config import RunConfig

VOCABULARY, BATCH, STEPS, HIDDEN = 41, 5, 7, 34
compiled = pytest.mark.skipif(bool(bindings.unavailable_reason()), reason=bindings.unavailable_reason() or "compiled")


def model_of(**changes: object) -> LanguageModel:
    torch.manual_seed(1)
    return build_model(RunConfig(num_hiddens=HIDDEN, **changes), VOCABULARY)  # type: ignore[arg-type]


def batch_of(steps: int = STEPS, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    text = torch.randint(VOCABULARY, (batch, steps + 1))
    return text[:, :-1], text[:, 1:]


def descend(model: LanguageModel) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            assert weight.grad is not None
            weight -= 0.5 * weight.grad


def by_autograd(model: LanguageModel, ids: Tensor, targets: Tensor, state: tuple[Tensor, ...]) -> list[Tensor]:
    loss, state = model.loss(ids, targets, state)
    return [loss.detach(), *state, *torch.autograd.grad(loss, list(model.parameters()))]


def found_by(model: LanguageModel, ids: Tensor, targets: Tensor, state: tuple[Tensor, ...]) -> list[Tensor]:
    loss, state = model.differentiate(ids, targets, state)
    return [loss, *state, *(weight.grad for weight in model.parameters() if weight.grad is not None)]


def require_equal(ours: list[Tensor], wanted: list[Tensor], what: object) -> None:
    assert len(ours) == len(wanted), what
    assert all(one.shape == other.shape and torch.equal(one, other) for one, other in zip(ours, wanted, strict=True)), (
        what
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "nn.RNN"])
def test_autograd_gives_the_same_numbers(cell: str, precision: str) -> None:
    """Batch after batch, with the state handed on, weights that change, other shapes and numbers of threads."""
    model = model_of(
        implementation="torch.nn" if cell == "nn.RNN" else "scratch", cell=cell.removeprefix("nn.").lower(),
        precision=precision, activation="relu" if cell == "rnn" else "tanh",
    )  # fmt: skip
    threads, state = torch.get_num_threads(), model.begin_state(BATCH)
    for count, shape in itertools.product((threads, 1, 3), ((STEPS, BATCH), (STEPS, BATCH), (3, 2))):
        torch.set_num_threads(count)
        state = state if state[0].shape[1] == shape[1] else model.begin_state(shape[1])
        batch = batch_of(*shape)
        wanted = by_autograd(model, *batch, state)
        before = [tensor.clone() for tensor in state]
        ours = found_by(model, *batch, state)
        require_equal(ours, wanted, (count, shape))
        require_equal(list(state), before, "the state that was given")
        state = tuple(ours[1 : 1 + len(state)])
        descend(model)
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "changes",
    [
        {"embedding_size": 12}, {"embedding_size": HIDDEN, "tied": True}, {"num_layers": 2}, {"bidirectional": True},
        {"cpu_path": "plain"}, {"cpu_path": "textbook"}, {"implementation": "torch.nn", "cell": "gru"},
    ],
    ids=str,
)  # fmt: skip
def test_what_it_does_not_serve_is_differentiated_by_autograd(changes: dict[str, object]) -> None:
    model = model_of(**changes)
    batch, state = batch_of(), model.begin_state(BATCH)
    require_equal(found_by(model, *batch, state), by_autograd(model, *batch, state), changes)


def test_dropout_and_masks_are_obeyed() -> None:
    batch, losses = batch_of(), []
    for changes in ({"dropout": 0.5}, {"weight_dropout": 0.5}, {}):
        model = model_of(**changes)
        losses.append(float(model.differentiate(*batch, model.begin_state(BATCH))[0]))
    assert len(set(losses)) == 3
    mask = torch.zeros(BATCH, STEPS, dtype=torch.bool)
    mask[:, 0] = True
    loss, _ = model.differentiate(*batch, model.begin_state(BATCH), mask=mask)
    first = model.loss(batch[0][:, :1], batch[1][:, :1], model.begin_state(BATCH))[0]
    torch.testing.assert_close(loss, first.detach())


@compiled
def test_gradients_keep_their_memory_from_batch_to_batch() -> None:
    """All but that of the recurrent matrix, which is a product's result."""
    for model, kept in ((model_of(cell="lstm"), 4), (model_of(implementation="torch.nn"), 4)):
        found = []
        for _ in range(3):
            model.differentiate(*batch_of(), model.begin_state(BATCH))
            found.append([weight.grad for weight in model.parameters() if weight.grad is not None])
        places = [{gradient.data_ptr() for gradient in gradients} for gradients in found]
        assert len(set.intersection(*places)) >= kept


def test_weights_that_are_replaced_are_seen() -> None:
    """A copy of a model, one whose weights were moved in memory, and one where they lie in another order."""
    model = model_of(cell="lstm")
    batch, state = batch_of(), model.begin_state(BATCH)
    model.differentiate(*batch, state)
    twin = copy.deepcopy(model)
    descend(model)
    for weight in model.parameters():
        weight.data = weight.data + 0.1
    other = model_of(cell="lstm")
    other.differentiate(*batch, state)
    for weight in other.parameters():
        weight.data = weight.data.t().contiguous().t() if weight.dim() == 2 else weight.data
    other.differentiate(*batch, state)
    descend(other)
    for each in (model, twin, other):
        require_equal(found_by(each, *batch, state), by_autograd(each, *batch, state), "")


def test_a_token_that_the_vocabulary_lacks_is_refused() -> None:
    model = model_of()
    ids, targets = batch_of()
    for wrong in ((ids + VOCABULARY, targets), (ids, targets - VOCABULARY)):
        with pytest.raises(IndexError):
            model.differentiate(*wrong, model.begin_state(BATCH))
