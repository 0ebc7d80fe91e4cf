"""The compiled kernels against their plain twins, on shapes that fill no tile and no vector."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch
from torch import Tensor

from core.models.feedforward import dropped, output_loss
from core.models.recurrence.cpu import bindings, build
from core.models.recurrence.dispatch import run
from core.models.recurrence.layer import RecurrentLayer, Rows

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
compiled = pytest.mark.skipif(bool(bindings.unavailable_reason()), reason=bindings.unavailable_reason() or "compiled")
SHAPES = [(3, 1, 1), (5, 2, 7), (4, 3, 16), (6, 5, 33), (7, 13, 40), (35, 32, 64), (2, 70, 130)]


def problem(cell: str, num_steps: int, batch: int, hidden: int) -> list[Tensor]:
    """A, W_h, the state's tensors, and b_hn for the GRU; all want gradients."""
    torch.manual_seed(hidden)
    gates = GATES[cell]
    tensors = [torch.randn(num_steps, batch, gates * hidden), torch.randn(hidden, gates * hidden) / hidden**0.5]
    tensors += [torch.randn(batch, hidden) for _ in range(2 if cell == "lstm" else 1)]
    tensors += [torch.randn(hidden)] if cell == "gru" else []
    return tensors


def answers(cell: str, tensors: list[Tensor], *, relu: bool = False, bf16: bool = False) -> list[Tensor]:
    """Outputs, last state, and the gradients of an arbitrary function of them."""
    A, W, *rest = [tensor.clone().requires_grad_() for tensor in tensors]
    extra, state = (rest[1:], rest[:1]) if cell == "gru" else ([], rest)
    # what the scan is given is used up, and a leaf may not be
    H, last = run(RecurrentLayer(cell, A * 1, W, extra, tuple(state), relu=relu, bf16=bf16))
    torch.manual_seed(1)
    loss = sum((part * torch.randn(part.shape).to(part.dtype)).sum() for part in (H, *last))
    assert isinstance(loss, Tensor)
    return [H.detach(), *(part.detach() for part in last), *torch.autograd.grad(loss, (A, W, *rest))]


def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "serves", lambda *_, **__: False)


@compiled
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cell", ["rnn", "relu", "gru", "lstm"])
def test_the_plain_twin_agrees(cell: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    relu, cell = cell == "relu", "rnn" if cell == "relu" else cell
    tensors = problem(cell, *shape)
    found = answers(cell, tensors, relu=relu)
    plainly(monkeypatch)
    exact = answers(cell, [tensor.double() for tensor in tensors], relu=relu)
    for ours, wanted in zip(found, exact, strict=True):
        scale = wanted.abs().max().clamp_min(1.0)
        assert (ours.double() - wanted).abs().max() < 2e-5 * scale * (1 + shape[0] / 4)


@compiled
@pytest.mark.parametrize("kind", bindings.arithmetics_of_bf16(), ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_bfloat16_is_as_exact_as_its_format(
    cell: str, shape: tuple[int, int, int], kind: bindings.Arithmetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = problem(cell, *shape)
    with bindings.multiplying(kind):
        found = answers(cell, tensors, bf16=True)
    plainly(monkeypatch)
    exact = answers(cell, [tensor.double() for tensor in tensors])
    for ours, wanted in zip(found, exact, strict=True):
        assert torch.linalg.vector_norm(ours.double() - wanted) < 0.02 * torch.linalg.vector_norm(wanted)


@compiled
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_rounded_factors_in_single_precision_are_those_of_the_plain_twin(
    cell: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.process.is_bf16_fast", lambda: False)
    tensors = problem(cell, *shape)
    found = answers(cell, tensors, bf16=True)
    plainly(monkeypatch)
    for ours, wanted in zip(found, answers(cell, tensors, bf16=True), strict=True):
        # Far more exact than the format, whose error is ten times as large: both round the same numbers.
        assert torch.linalg.vector_norm(ours - wanted) < 1e-3 * torch.linalg.vector_norm(wanted)


@compiled
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_rows_of_a_table_are_as_good_as_their_stack(cell: str, biased: bool, bf16: bool) -> None:
    _, W, *rest = problem(cell, 7, 5, 34)
    table, b = torch.randn(9, W.shape[1], requires_grad=True), torch.randn(W.shape[1], requires_grad=True)
    ids = torch.randint(9, (7, 5))
    extra, state = (rest[1:], rest[:1]) if cell == "gru" else ([], rest)

    def graded(A: Tensor | Rows) -> list[Tensor]:
        H, _ = run(RecurrentLayer(cell, A, W, extra, tuple(state), bf16=bf16))
        return [H.detach(), *torch.autograd.grad(H.sin().sum(), (table, b) if biased else (table,))]

    rows = Rows(ids, table, b if biased else None)
    tolerance = 0.05 if bf16 else 1e-4  # the gradient of a look-up is summed from bfloat16
    for found, wanted in zip(graded(rows), graded(rows.picked()), strict=True):
        assert (found - wanted).abs().max() <= tolerance * wanted.abs().max().clamp_min(1)


@compiled
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_threads_change_no_bit(cell: str, bf16: bool) -> None:
    before, large = torch.get_num_threads(), {"rnn": 750, "gru": 440, "lstm": 370}[cell]
    for tensors in (problem(cell, 9, 37, 48), problem(cell, 3, 5, large)):  # threads share rows, or units of all rows
        _require_the_same_bits(tensors, cell, bf16, before)


def _require_the_same_bits(tensors: list[Tensor], cell: str, bf16: bool, before: int) -> None:
    try:
        torch.set_num_threads(1)
        alone = answers(cell, tensors, bf16=bf16)
        torch.set_num_threads(3)
        together = answers(cell, tensors, bf16=bf16)
    finally:
        torch.set_num_threads(before)
    # the outputs and what flows back; the weights' gradient is PyTorch's product, which threads may split elsewhere
    assert all(torch.equal(a, b) for a, b in zip(alone[:3], together[:3], strict=True))


@compiled
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_hidden(cell: str, poison: float) -> None:
    tensors = problem(cell, 4, 3, 20)
    tensors[1][2, 3] = poison if cell != "rnn" or poison != poison else float("nan")
    H, *_ = answers(cell, tensors)
    if poison != poison:
        assert H.isnan().any()
    else:
        assert H.isfinite().all() or H.isnan().any()  # a gate may close on infinity


@compiled
def test_the_gradient_of_a_look_up() -> None:
    ids, gradient = torch.randint(5, (50,)), torch.randn(50, 70)
    found = bindings.add_rows(torch.zeros(5, 70), ids, gradient)
    assert torch.allclose(found, torch.zeros(5, 70).index_add_(0, ids, gradient), atol=1e-5)


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (64, 32), (130, 70)])
def test_a_matrix_the_other_way_round(shape: tuple[int, int], dtype: torch.dtype) -> None:
    X = torch.randn(shape).to(dtype)
    assert torch.equal(bindings.transposed(X), X.t())


def made(cell: str, num_steps: int, batch: int, **changes: Tensor) -> dict[str, Tensor]:
    """What a recurrence takes, some of it otherwise."""
    names = ["A", "W", "H", "C"] if cell == "lstm" else ["A", "W", "H", "b_hn"]
    return {**dict(zip(names, problem(cell, num_steps, batch, 8), strict=False)), **changes}


def run_scan(cell: str, given: dict[str, Tensor], ids: Tensor | None = None) -> Tensor:
    extra = [given["b_hn"]] if cell == "gru" else []
    state = (given["H"], given["C"]) if cell == "lstm" else (given["H"],)
    A = given["A"] if ids is None else Rows(ids, given["A"][0])
    return run(RecurrentLayer(cell, A, given["W"], extra, state))[0]


@compiled
def test_wrong_arguments_are_refused_before_c_sees_them() -> None:
    for cell in GATES:
        width = GATES[cell] * 8
        wrong: list[tuple[type[Exception], dict[str, Tensor], Tensor | None]] = [
            (ValueError, made(cell, 3, 4, H=torch.zeros(2, 8)), None),  # a state of another batch size
            (ValueError, made(cell, 3, 4, H=torch.zeros(4, 5)), None),
            (ValueError, made(cell, 3, 4, W=torch.zeros(8, width + 1)), None),
            (ValueError, made(cell, 3, 4, A=torch.zeros(3, 4, width - 1)), None),
            (TypeError, made(cell, 3, 4, W=torch.zeros(8, width, dtype=torch.float64)), None),
            (IndexError, made(cell, 3, 4), torch.full((3, 4), 4)),  # of a table of four rows
            (IndexError, made(cell, 3, 4), torch.full((3, 4), -1)),
            (IndexError, made(cell, 3, 4), torch.full((3, 4), 2**40)),
        ]
        wrong += [(ValueError, made(cell, 3, 4, C=torch.zeros(1, 8)), None)] if cell == "lstm" else []
        wrong += [(ValueError, made(cell, 3, 4, b_hn=torch.zeros(3)), None)] if cell == "gru" else []
        for error, given, ids in wrong:
            with pytest.raises(error):
                run_scan(cell, given, ids)
    H, W, b = torch.randn(6, 4), torch.randn(4, 5), torch.randn(5)
    for shapes in (((4, 5), (4,), (6,)), ((3, 5), (5,), (6,)), ((4, 5), (5,), (7,))):
        W_, b_, targets = (torch.zeros(shape) for shape in shapes)
        with pytest.raises(ValueError, match="the output layer needs"):
            bindings.output_loss(H, W_, b_, targets.long(), None, 1.0, differentiate=True)
    for target in (-100, -1, 5, 2**33):
        with pytest.raises(IndexError, match="targets must be between 0 and 4, got"):
            output_loss(H, W, b, torch.full((6,), target), None)
    with pytest.raises(TypeError, match="float64"):
        bindings.add_rows(torch.zeros(5, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.int64), torch.zeros(2, 3))
    with pytest.raises(OverflowError, match="count up to"):
        bindings.dropout(torch.zeros(3), 2**31, 1)


@compiled
def test_ctrl_c_while_arguments_are_checked_is_what_it_is() -> None:
    """Not ctypes' ArgumentError, which nobody takes for a ctrl+c: all checks of Python come before its call."""

    class Interrupted(Tensor):
        @property
        def device(self) -> torch.device:  # type: ignore[override]
            raise KeyboardInterrupt

    interrupted = torch.zeros(2, 3).as_subclass(Interrupted)  # type: ignore[no-untyped-call]
    with pytest.raises(KeyboardInterrupt):
        bindings.add_rows(interrupted, torch.zeros(1, dtype=torch.int64), torch.zeros(1, 3))
    with pytest.raises(KeyboardInterrupt):
        bindings.Prepared("transpose", interrupted, torch.zeros(3, 2), 2, 3, 4)


@compiled
def test_a_share_of_nothing_is_nothing() -> None:
    for cell in GATES:
        for num_steps, batch in ((0, 3), (3, 0), (0, 0)):
            for ids in (None, torch.zeros(num_steps, batch, dtype=torch.int64)):
                given = {name: tensor.requires_grad_() for name, tensor in made(cell, num_steps, batch).items()}
                given["A"] = given["A"] if ids is None else torch.randn(1, 2, GATES[cell] * 8, requires_grad=True)
                H = run_scan(cell, {**given, "A": given["A"] * 1}, ids)
                assert H.shape == (num_steps, batch, 8), (cell, num_steps, batch)
                if num_steps:
                    H.sum().backward()
                    assert not given["W"].grad.any(), (cell, num_steps, batch)  # type: ignore[union-attr]
    weights = [torch.randn(0, 4), torch.randn(4, 5), torch.randn(5)]
    weights = [tensor.requires_grad_() for tensor in weights]
    loss = output_loss(*weights, torch.zeros(0, dtype=torch.int64), None)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0 and all(not tensor.grad.any() for tensor in weights if tensor.grad is not None)
    assert bindings.dropout(torch.zeros(0, 3), 7, 1).shape == (0, 3)
    assert bindings.transposed(torch.zeros(0, 3)).shape == (3, 0)


@compiled
def test_all_threads_treat_denormal_numbers_as_the_caller_does(one_thread: None) -> None:
    torch.set_num_threads(2)
    X = torch.full((1 << 16,), 1e-40)

    def kept() -> list[bool]:  # asked of numpy: torch's threads may take them as zero since an earlier training
        return [bool(value) for value in np.unique(bindings.dropout(X, 0, 1).numpy() > 0)]

    assert kept() == [True], "this starts the threads"
    torch.set_flush_denormal(True)
    try:
        found = bindings.dropout(X, 0, 1)
    finally:
        torch.set_flush_denormal(False)
    assert not found.numpy().any()
    assert kept() == [True]


@compiled
def test_the_default_dtype_and_device_do_not_reach_the_kernels() -> None:
    for cell in GATES:
        tensors = problem(cell, 4, 3, 16)
        charge = torch.randn(4, 3, 16)

        def found(cell: str = cell, tensors: list[Tensor] = tensors, charge: Tensor = charge) -> list[Tensor]:
            A, W, *rest = [tensor.clone().requires_grad_() for tensor in tensors]
            extra, state = (rest[1:], rest[:1]) if cell == "gru" else ([], rest)
            H, last = run(RecurrentLayer(cell, A * 1, W, extra, tuple(state)))
            return [H.detach(), *last, *torch.autograd.grad((H * charge).sum(), (A, W, *rest), allow_unused=True)]

        wanted = found()
        try:
            torch.set_default_dtype(torch.float64)
            with torch.device("meta"):
                assert all(a is b or torch.equal(a, b) for a, b in zip(found(), wanted, strict=True)), cell
        finally:
            torch.set_default_dtype(torch.float32)


@compiled
def test_the_random_numbers_are_philox() -> None:
    """The known answer of the authors' library for a counter and a key of zeros."""
    loaded = build.compiled_library()
    assert not isinstance(loaded, str)
    two = (ctypes.c_uint64 * 2)()
    loaded.philox(ctypes.c_uint64(0), ctypes.c_uint64(0), two)
    assert [two[0] & 0xFFFFFFFF, two[0] >> 32, two[1] & 0xFFFFFFFF, two[1] >> 32] == [
        0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8,
    ]  # fmt: skip


@compiled
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_dropout(share: float) -> None:
    torch.manual_seed(3)
    H = torch.ones(700, 301, requires_grad=True)
    Y = dropped(H, share)
    kept = Y.detach() != 0
    assert abs(float(kept.double().mean()) - (1 - share)) < 0.005
    assert torch.allclose(Y.detach()[kept], torch.tensor(1 / (1 - share)), rtol=1e-3)
    (gradient,) = torch.autograd.grad(Y.sum(), H)
    assert torch.equal(gradient, Y.detach())  # the same units
    again = dropped(H, share).detach() != 0
    together = float((kept & again).double().mean())
    assert abs(together - (1 - share) ** 2) < 0.005  # another draw is another mask
    columns, rows = kept.double().mean(0), kept.double().mean(1)
    assert float((columns - columns.mean()).abs().max()) < 0.1 and float((rows - rows.mean()).abs().max()) < 0.15
    torch.manual_seed(3)
    assert torch.equal(dropped(H, share), Y)
