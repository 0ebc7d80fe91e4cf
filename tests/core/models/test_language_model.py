"""The interface that training and generation build on, for every model there is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from core.models.feedforward import dropped
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.models.scratch_model import ScratchLanguageModel
from core.settings.run_config import RunConfig

Build = Callable[..., LanguageModel]
BATCH, STEPS = 3, 5
VOCABULARY = 11  # as in the fixture double_model
assert_close = partial(torch.testing.assert_close, atol=1e-10, rtol=1e-10)


def gradients(model: LanguageModel) -> dict[str, torch.Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad.clone()
    return found


def small_config(**changes: object) -> RunConfig:
    return RunConfig(num_hiddens=6, **changes)  # type: ignore[arg-type]


MODELS = [(implementation, cell) for implementation in ("scratch", "torch.nn") for cell in ("rnn", "gru", "lstm")]
INPUTS = [{}, {"embedding_size": 4}, {"embedding_size": 6, "tied": True}]

every_model = pytest.mark.parametrize("implementation, cell", MODELS)
every_input = pytest.mark.parametrize("inputs", INPUTS, ids=["one-hot", "embedding", "tied"])


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    ids, targets = torch.randint(0, VOCABULARY, (2, BATCH, STEPS))
    return ids, targets


@every_model
@pytest.mark.parametrize("num_layers, bidirectional", [(1, False), (3, False), (2, True)])
def test_shapes(implementation: str, cell: str, num_layers: int, bidirectional: bool) -> None:
    config = small_config(implementation=implementation, cell=cell, num_layers=num_layers, bidirectional=bidirectional)
    model = build_model(config, VOCABULARY)
    ids, targets = batch()
    state = model.begin_state(BATCH)
    rows = num_layers * (2 if bidirectional else 1)
    assert [tuple(tensor.shape) for tensor in state] == [(rows, BATCH, 6)] * (2 if cell == "lstm" else 1)
    assert not any(tensor.any() for tensor in state)
    logits, after = model(ids, state)
    assert logits.shape == (STEPS, BATCH, VOCABULARY)
    loss, detached = model.loss(ids, targets, state)
    assert loss.shape == () and loss.requires_grad
    for tensor, other in zip(after, detached, strict=True):
        assert tensor.shape == other.shape == state[0].shape and not other.requires_grad
    assert model.num_parameters() == sum(p.numel() for p in model.parameters())
    shapes = model.describe()
    assert len({name for name, _ in shapes}) == len(shapes)
    assert sum(torch.Size(shape).numel() for _, shape in shapes) == model.num_parameters()


@every_model
@every_input
@pytest.mark.parametrize("masked", [False, True])
def test_the_fused_loss_is_cross_entropy(
    double_model: Build, implementation: str, cell: str, inputs: dict[str, object], masked: bool
) -> None:
    model = double_model(implementation=implementation, cell=cell, num_layers=2, **inputs)
    ids, targets = batch()
    mask = torch.rand(BATCH, STEPS) > 0.4 if masked else None
    logits, state = model(ids, model.begin_state(BATCH))
    losses = F.cross_entropy(logits.flatten(0, 1), targets.t().flatten(), reduction="none")
    expected = losses.mean() if mask is None else losses[mask.t().flatten()].mean()
    expected.backward()
    reference = gradients(model)
    model.zero_grad()
    loss, after = model.loss(ids, targets, model.begin_state(BATCH), mask=mask)
    assert_close(loss, expected)
    for ours, theirs in zip(after, state, strict=True):
        assert_close(ours, theirs)
    (2 * loss).backward()
    for name, gradient in gradients(model).items():
        assert_close(gradient, 2 * reference[name])
    with torch.no_grad():
        assert_close(model.loss(ids, targets, model.begin_state(BATCH), mask=mask)[0], expected)


@every_model
@every_input
@pytest.mark.parametrize("num_layers", [1, 2])
def test_step_is_forward(
    double_model: Build, implementation: str, cell: str, inputs: dict[str, object], num_layers: int
) -> None:
    model = double_model(implementation=implementation, cell=cell, num_layers=num_layers, dropout=0.5, **inputs)
    ids, _ = batch()
    logits, last = model.eval()(ids, model.begin_state(BATCH))
    model.train()
    state = model.begin_state(BATCH)
    for t in range(STEPS):
        before = [tensor.clone() for tensor in state]
        scores, new_state = model.step(ids[:, t], state)
        assert_close(scores, logits[t])
        assert not scores.requires_grad and model.training
        assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))
        state = new_state
    for ours, theirs in zip(state, last, strict=True):
        assert_close(ours, theirs)


@every_model
def test_step_follows_the_training(implementation: str, cell: str) -> None:
    """Weights that change between two tokens are the weights of the second, however they change."""
    model = build_model(small_config(implementation=implementation, cell=cell), VOCABULARY)
    optimiser = torch.optim.SGD(model.parameters(), lr=10.0)
    ids, targets = batch()
    state = model.begin_state(BATCH)
    other = build_model(small_config(implementation=implementation, cell=cell), VOCABULARY)

    def train() -> None:
        model.loss(ids, targets, state)[0].backward()
        optimiser.step()

    for change in (train, train, lambda: model.load_state_dict(other.state_dict()), model.double):
        before, _ = model.step(ids[:, 0], state)
        change()
        state = model.begin_state(BATCH)
        after, _ = model.step(ids[:, 0], state)
        assert not torch.equal(before.double(), after.double()) or change == model.double
        near = {"atol": 1e-6, "rtol": 1e-5}
        torch.testing.assert_close(after, model(ids[:, :1], state)[0][0], check_dtype=True, **near)


@every_model
@pytest.mark.parametrize("num_layers, bidirectional", [(1, False), (2, False), (2, True)])
def test_one_hot_look_ups_are_products(
    double_model: Build, implementation: str, cell: str, num_layers: int, bidirectional: bool
) -> None:
    """The torch.nn module, fed with one-hot matrices, says the same as the model that never makes them."""
    if implementation == "scratch":
        pytest.skip("pinned to torch.nn elsewhere")
    model = double_model(implementation=implementation, cell=cell, num_layers=num_layers, bidirectional=bidirectional)
    ids, _ = batch()
    begin = tuple(torch.randn_like(tensor) for tensor in model.begin_state(BATCH))
    one_hot = F.one_hot(ids.T, VOCABULARY).double()
    H, last = model.rnn(one_hot, begin if cell == "lstm" else begin[0])  # type: ignore[operator]
    expected = model.linear(H)  # type: ignore[operator]
    expected.square().sum().backward()
    reference = gradients(model)
    model.zero_grad()
    logits, state = model(ids, begin)
    assert_close(logits, expected)
    for ours, theirs in zip(state, last if cell == "lstm" else (last,), strict=True):
        assert_close(ours, theirs)
    logits.square().sum().backward()
    for name, gradient in gradients(model).items():
        assert_close(gradient, reference[name])


@every_model
@pytest.mark.parametrize("is_fast", [True, False])
def test_bf16_stays_close(implementation: str, cell: str, is_fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.process.is_bf16_fast", lambda: is_fast)
    config = RunConfig(implementation=implementation, cell=cell, num_hiddens=64, num_layers=2, initialisation="uniform")
    exact = build_model(config, 200)
    rounded = build_model(config.replace(precision="bf16"), 200)
    rounded.load_state_dict(exact.state_dict())
    ids, targets = torch.randint(0, 200, (2, 8, 20))
    results = []
    for model in (exact, rounded):
        loss, state = model.loss(ids, targets, model.begin_state(8))
        loss.backward()
        assert loss.dtype is torch.float32 and all(tensor.dtype is torch.float32 for tensor in state)
        results.append((loss, gradients(model)))
    (loss, reference), (near, near_gradients) = results
    assert abs(float((near - loss).detach())) < 0.01
    assert not torch.equal(near, loss)
    for name, gradient in near_gradients.items():
        assert gradient.dtype is torch.float32
        assert float((gradient - reference[name]).norm() / reference[name].norm()) < 0.05, name


@every_model
@every_input
def test_twice_is_the_same_bit_for_bit(implementation: str, cell: str, inputs: dict[str, object]) -> None:
    torch.set_num_threads(2)
    sizes = {key: 48 if key == "embedding_size" else value for key, value in inputs.items()}
    config = RunConfig(implementation=implementation, cell=cell, num_hiddens=48, num_layers=2, dropout=0.2, **sizes)  # type: ignore[arg-type]
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        model = build_model(config, 100)
        ids, targets = torch.randint(0, 100, (2, 16, 20))
        loss, state = model.loss(ids, targets, model.begin_state(16))
        loss.backward()
        found.append([loss.detach(), *state, *gradients(model).values()])
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True))


@every_model
def test_dropout_acts_in_training_only(implementation: str, cell: str) -> None:
    config = small_config(implementation=implementation, cell=cell, num_layers=2, dropout=0.5, initialisation="uniform")
    model = build_model(config, VOCABULARY)
    ids, targets = batch()
    state = model.begin_state(BATCH)
    torch.manual_seed(1)
    first = model.loss(ids, targets, state)[0]
    second = model.loss(ids, targets, state)[0]
    torch.manual_seed(1)
    again = model.loss(ids, targets, state)[0]
    assert torch.equal(first, again) and not torch.equal(first, second)
    model.eval()
    assert torch.equal(model.loss(ids, targets, state)[0], model.loss(ids, targets, state)[0])


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.99999, 1 - 1e-9])
def test_dropout_silences_its_share_and_keeps_the_mean(share: float) -> None:
    H = torch.ones(301, 333, requires_grad=True)
    result = dropped(H, share)
    assert bool(result.isfinite().all())
    assert float((result == 0).float().mean()) == pytest.approx(share, abs=0.005)
    if share < 0.99:
        assert float(result.detach().mean()) == pytest.approx(1, abs=0.03)
    result.sum().backward()
    assert H.grad is not None and torch.equal(H.grad, result.detach())


def test_textbook_initialisation() -> None:
    model = build_model(RunConfig(), 1027)
    parameters = dict(model.named_parameters())
    assert not parameters["b_h"].any() and not parameters["b_q"].any()
    for name in ("W_xh", "W_hh", "W_hq"):
        assert float(parameters[name].detach().std()) == pytest.approx(0.01, rel=0.02)
    assert model.describe() == [
        ("W_xh", (1027, 256)), ("W_hh", (256, 256)), ("b_h", (256,)), ("W_hq", (256, 1027)), ("b_q", (1027,)),
    ]  # fmt: skip


@every_model
def test_uniform_initialisation(implementation: str, cell: str) -> None:
    model = build_model(
        RunConfig(
            implementation=implementation, cell=cell, initialisation="uniform", num_hiddens=64, embedding_size=16
        ),
        300,
    )
    for name, parameter in model.named_parameters():
        if "embedding" in name:
            assert float(parameter.norm(dim=1).mean()) == pytest.approx(1.0, rel=0.1)
        else:
            assert 0.9 / 8 < float(parameter.abs().max()) <= 1 / 8


def test_gates_go_by_their_textbook_names() -> None:
    model = build_model(small_config(cell="gru", num_layers=2), VOCABULARY)
    assert isinstance(model, ScratchLanguageModel)
    assert [name for name, _ in model.describe()][:10] == [
        "W_xz", "W_hz", "b_z", "W_xr", "W_hr", "b_r", "W_xh", "W_hh", "b_h", "b_hn",
    ]  # fmt: skip
    assert ("W_xr_2", (6, 6)) in model.describe()
    with torch.no_grad():
        model.layer_parameters(1)["W_hr"].fill_(5.0)
    assert torch.equal(dict(model.named_parameters())["W_hzrh_2"][:, 6:12], torch.full((6, 6), 5.0))


def test_the_same_seed_gives_the_same_weights() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        weights.append(list(build_model(small_config(cell="lstm"), VOCABULARY).parameters()))
    assert all(torch.equal(first, second) for first, second in zip(*weights, strict=True))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_weights_lie_where_they_are_used_as_that_device_wants(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transposed for our products on a CPU; on a GPU torch.nn joins them for cuDNN, by views that want them whole."""
    model = build_model(small_config(implementation="torch.nn", cell=cell, num_layers=2, bidirectional=True), 11)
    before, joined = {name: tensor.clone() for name, tensor in model.state_dict().items()}, []
    first = ("weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse")

    def lie_whole() -> set[str]:
        return {name for name, weight in model.rnn.named_parameters() if weight.is_contiguous()}  # type: ignore[union-attr]

    names = {name for name, _ in model.rnn.named_parameters()}  # type: ignore[union-attr]
    monkeypatch.setattr(torch.nn.RNNBase, "flatten_parameters", lambda self: joined.append(lie_whole()))
    assert lie_whole() == names - {*first}
    model.double().float()
    assert lie_whole() == names - {*first} and joined == [names, names]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    model.to("meta")
    assert lie_whole() == names


def test_a_mask_that_leaves_nothing_gives_zero() -> None:
    model = build_model(small_config(), VOCABULARY)
    ids, targets = batch()
    loss, _ = model.loss(ids, targets, model.begin_state(BATCH), mask=torch.zeros(BATCH, STEPS, dtype=torch.bool))
    loss.backward()
    assert float(loss) == 0 and not any(gradient.any() for gradient in gradients(model).values())


def test_impossible_tokens_and_certain_ones_have_finite_losses() -> None:
    model = build_model(small_config(), VOCABULARY)
    with torch.no_grad():
        dict(model.named_parameters())["b_q"][0] = 1000.0
    ids = torch.zeros(BATCH, STEPS, dtype=torch.long)
    certain, _ = model.loss(ids, ids, model.begin_state(BATCH))
    impossible, _ = model.loss(ids, ids + 1, model.begin_state(BATCH))
    assert float(certain) == pytest.approx(0, abs=1e-6)
    assert 80 < float(impossible) < 1001


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_model
@every_input
@pytest.mark.parametrize("bidirectional", [False, True])
def test_cuda_agrees_with_the_cpu(
    implementation: str, cell: str, inputs: dict[str, object], bidirectional: bool
) -> None:
    sizes = {key: 64 if key == "embedding_size" else value for key, value in inputs.items()}
    if "tied" in inputs and bidirectional:
        sizes["embedding_size"] = 128
    config = RunConfig(
        implementation=implementation, cell=cell, num_hiddens=64, num_layers=2, bidirectional=bidirectional,
        initialisation="uniform", **sizes,  # type: ignore[arg-type]
    )  # fmt: skip
    ids, targets = torch.randint(0, 100, (2, 8, 12))
    results = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(2)
        model = build_model(config, 100, device)
        state = model.begin_state(8)
        assert state[0].device.type == device
        loss, state = model.loss(ids.to(device), targets.to(device), state)
        loss.backward()
        scores, _ = model.step(ids[:, 0].to(device), state)
        results.append([loss.detach(), *state, scores, *gradients(model).values()])
    for on_cpu, on_cuda in zip(*results, strict=True):
        torch.testing.assert_close(on_cuda.cpu(), on_cpu, atol=1e-4, rtol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_model
def test_cuda_never_waits_for_the_host(implementation: str, cell: str) -> None:
    model = build_model(RunConfig(implementation=implementation, cell=cell, num_hiddens=64), 100, "cuda")
    ids = torch.randint(0, 100, (8, 12), device="cuda")
    state = model.begin_state(8)
    model.loss(ids, ids, state)[0].backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        model.loss(ids, ids, state)[0].backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
