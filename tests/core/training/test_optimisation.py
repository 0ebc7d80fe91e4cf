"""Clipping, schedules and what optimisers remember, against their formulas."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from core.settings.run_config import RunConfig
from core.training.optimisation import Optimiser, Schedule, clip_gradients, state_names


def rates(config: RunConfig, epochs: int, per_epoch: int = 4) -> list[float]:
    schedule = Schedule(config, config.learning_rate)
    return [schedule.rate(step / per_epoch, config.num_epochs) for step in range(epochs * per_epoch)]


def test_constant() -> None:
    assert set(rates(RunConfig(schedule="constant", learning_rate=0.3), 5)) == {0.3}


def test_step_decay() -> None:
    config = RunConfig(schedule="step", learning_rate=8.0, decay_epochs=3, decay_factor=0.5)
    assert rates(config, 9, 2) == [8.0] * 6 + [4.0] * 6 + [2.0] * 6


def test_cosine_with_warm_up() -> None:
    config = RunConfig(schedule="cosine", learning_rate=2.0, num_epochs=10, warmup_epochs=2.0)
    found = rates(config, 10)
    assert found[0] == pytest.approx(2.0 * 0.01 / 2)
    assert found[1:8] == pytest.approx([2.0 * (step / 4) / 2 for step in range(1, 8)])
    assert found[8:] == pytest.approx([1 + math.cos(math.pi * (step / 4 - 2) / 8) for step in range(8, 40)])
    assert Schedule(config, 2.0).rate(10.0, 10) == pytest.approx(0.0)
    assert Schedule(config, 2.0).rate(12.0, 10) == pytest.approx(0.0), "beyond the end it stays there"
    assert max(found) == 2.0


@pytest.mark.parametrize(("num_epochs", "warmup"), [(1, 0.0), (1, 5.0), (5, 5.0), (1, 0.005)])
def test_cosine_at_odd_lengths_stays_within(num_epochs: int, warmup: float) -> None:
    config = RunConfig(schedule="cosine", learning_rate=2.0, num_epochs=num_epochs, warmup_epochs=warmup)
    assert all(0 < rate <= 2.0 for rate in rates(config, num_epochs))


def test_plateau() -> None:
    config = RunConfig(schedule="plateau", learning_rate=1.0, decay_epochs=2, decay_factor=0.1)
    schedule = Schedule(config, 1.0)
    found = []
    for perplexity in (10.0, 9.0, 9.0, 8.99999, 8.0, math.inf, math.inf, 9.0, 9.0, 1.0):
        schedule.observe(perplexity)
        found.append(schedule.rate(0.0, 10))
    # Two epochs without progress (less than a ten thousandth is none) bring a decay, and the count begins again.
    assert found == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_a_changed_rate_goes_through_the_schedule() -> None:
    schedule = Schedule(RunConfig(schedule="step", decay_epochs=1, decay_factor=0.5), 8.0)
    schedule.base = 80.0
    assert schedule.rate(2.0, 10) == 20.0


def some_gradients() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator) for shape in ((3, 4), (5,), (2, 2))]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("limit", [0.01, 1.0, 1e6])
def test_clipping_by_norm(limit: float, fused: bool) -> None:
    gradients, wanted = some_gradients(), [torch.nn.Parameter(tensor) for tensor in some_gradients()]
    for parameter in wanted:
        parameter.grad = parameter.detach().clone()
    norm = torch.nn.utils.clip_grad_norm_(wanted, limit)
    assert float(clip_gradients(gradients, "norm", limit, fused=fused)) == pytest.approx(float(norm))
    for found, parameter in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(found, parameter.grad, rtol=1e-5, atol=1e-8)


def test_a_large_gradient_has_the_same_norm_on_any_number_of_threads() -> None:
    gradients = [torch.randn(300, 401), torch.randn(70_000), torch.randn(130, 128).t()]
    wanted = math.sqrt(sum(float(tensor.double().square().sum()) for tensor in gradients))
    threads, found = torch.get_num_threads(), []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(float(clip_gradients(gradients, "none", 1.0, fused=True)))
    torch.set_num_threads(threads)
    assert found[0] == found[1] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_a_norm_that_is_none_reaches_every_weight(fused: bool) -> None:
    gradients = [torch.ones(3), torch.tensor([1.0, math.nan])]
    assert math.isnan(float(clip_gradients(gradients, "norm", 1.0, fused=fused)))
    assert all(gradient.isnan().all() for gradient in gradients)


def test_a_step_of_gradient_descent_in_one_pass() -> None:
    shapes, generator = ((301, 40), (9000,), (0,), (2, 2)), torch.Generator().manual_seed(1)
    cases = itertools.product(("norm", "none"), (0.5, 1e6), (0.0, 0.01), (False, True))
    for clipping, limit, decay, is_broken in cases:
        config = RunConfig(
            optimiser="sgd", momentum=0.0, learning_rate=0.5, clipping=clipping, clip=limit, weight_decay=decay
        )
        weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
        gradients = [torch.randn(shape, generator=generator) for shape in shapes]
        gradients[3][0, 0] = math.nan if is_broken else 1.0
        found = []
        for fused in (True, False):
            twins = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
            for twin, gradient in zip(twins, gradients, strict=True):
                twin.grad = gradient.clone()
            norm = Optimiser(config, twins).clipped_step(fused=fused)
            found.append([norm, *(twin.detach() for twin in twins)])
        for ours, wanted in zip(*found, strict=True):
            torch.testing.assert_close(
                ours, wanted, rtol=1e-5, atol=1e-6, equal_nan=True, msg=f"{clipping}, {limit}, {decay}, {is_broken}"
            )


def test_a_step_of_weights_with_a_dimension_of_one() -> None:
    """Of one hidden unit: the strides of its weights and of their gradients may differ, their order does not."""
    config = RunConfig(optimiser="sgd", momentum=0.0, learning_rate=0.5, clipping="none", weight_decay=0.0)
    weight = torch.nn.Parameter(torch.zeros(4, 1))
    weight.grad = torch.arange(4.0).view(1, 4).t()
    assert weight.stride() != weight.grad.stride()
    Optimiser(config, [weight]).clipped_step(fused=True)
    assert torch.equal(weight.detach().flatten(), -0.5 * torch.arange(4.0))


def test_clipping_by_value_and_not_at_all() -> None:
    gradients = some_gradients()
    norm = math.sqrt(sum(float(tensor.square().sum()) for tensor in gradients))
    assert float(clip_gradients(gradients, "none", 0.5)) == pytest.approx(norm)
    assert all(torch.equal(*pair) for pair in zip(gradients, some_gradients(), strict=True))
    assert float(clip_gradients(gradients, "value", 0.5)) == pytest.approx(norm)
    assert all(torch.equal(a, b.clamp(-0.5, 0.5)) for a, b in zip(gradients, some_gradients(), strict=True))


def test_no_gradient_is_left_as_it_is() -> None:
    gradients = [torch.zeros(3)]
    assert float(clip_gradients(gradients, "norm", 1.0)) == 0
    assert torch.equal(gradients[0], torch.zeros(3))


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_what_an_optimiser_remembers_is_known(optimiser: str, momentum: float) -> None:
    weight = torch.nn.Parameter(torch.ones(2, 3))
    config = RunConfig(optimiser=optimiser, momentum=momentum)
    made = Optimiser(config, [weight])
    weight.grad = torch.ones(2, 3)
    made.step()
    assert set(made.state[weight]) == set(state_names(config))
    assert all(value.shape == (() if name == "step" else (2, 3)) for name, value in made.state[weight].items())


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw", "rmsprop"])
def test_an_optimiser_does_what_torchs_class_does(optimiser: str) -> None:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    for momentum, decay in ((0.0, 0.0), (0.9, 0.01)):
        ours, theirs = ([torch.nn.Parameter(weight) for weight in some_gradients()] for _ in range(2))
        unused = torch.nn.Parameter(torch.ones(2))
        config = RunConfig(optimiser=optimiser, learning_rate=0.1, momentum=momentum, weight_decay=decay)
        made = Optimiser(config, [*ours, unused])
        other: torch.optim.Optimizer
        if optimiser == "sgd":
            other = torch.optim.SGD(theirs, 0.1, momentum=momentum, weight_decay=decay, fused=True)
        elif optimiser == "rmsprop":
            other = torch.optim.RMSprop(theirs, 0.1, momentum=momentum, weight_decay=decay, foreach=True)
        else:
            other = kinds[optimiser](theirs, 0.1, weight_decay=decay, fused=True)
        for step in range(4):
            if step == 3:
                made.rate = 0.02
                other.param_groups[0]["lr"] = 0.02
            for weight in (*ours, *theirs):
                weight.grad = torch.cos(weight.detach() + step)
            made.step()
            other.step()
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True)), (momentum, decay)
        assert torch.equal(unused, torch.ones(2)) and unused not in made.state


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw", "rmsprop"])
def test_a_weight_that_lies_transposed_is_changed_where_it_lies(optimiser: str) -> None:
    config = RunConfig(optimiser=optimiser, learning_rate=0.1, momentum=0.9 if optimiser in ("sgd", "rmsprop") else 0.0)
    plain = torch.nn.Parameter(torch.randn(7, 5))
    turned = torch.nn.Parameter(plain.detach().t().contiguous().t())
    steps = [Optimiser(config, [weight]) for weight in (plain, turned)]
    for _ in range(3):
        plain.grad = torch.randn(7, 5)
        turned.grad = plain.grad.t().contiguous().t()
        steps[0].step()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            steps[1].step()
        assert not [event for event in profile.events() if event.name == "aten::clone"], "a copy of a whole matrix"
    torch.testing.assert_close(plain, turned)  # numbers past the last whole vector are rounded another way


def test_gradient_descent_follows_gradients_that_lie_elsewhere() -> None:
    config = RunConfig(optimiser="sgd", momentum=0.0, learning_rate=0.5, clipping="none", clip=1.0)
    weights = [torch.nn.Parameter(torch.randn(shape)) for shape in ((30, 40), (40,))]
    wanted = [weight.detach().clone() for weight in weights]
    optimiser, held = Optimiser(config, weights), []
    for _ in range(3):
        gradients = [torch.randn_like(weight) for weight in weights]
        held.append(gradients)  # their memory is not used again
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        norm = optimiser.clipped_step(fused=True)
        assert float(norm) == pytest.approx(math.sqrt(sum(float(part.square().sum()) for part in gradients)), rel=1e-5)
        wanted = [weight - 0.5 * gradient for weight, gradient in zip(wanted, gradients, strict=True)]
    for weight, number in zip(weights, wanted, strict=True):
        torch.testing.assert_close(weight.detach(), number)
