"""The sequence laboratory: its numbers against the book's plain computation, and the same numbers every time."""

from __future__ import annotations

import json
import math
import statistics
import time

import pytest
import torch
from torch import Tensor, nn

from core.laboratory import experiment
from core.laboratory.experiment import KINDS, EpochDone, Weights, fit, multi_step_predictions, predictions, steps
from core.laboratory.outcome import Experiment, Predictions
from core.models.scratch import rnn_step, unrolled
from core.settings.laboratory_config import PUBLISHED, SequenceConfig

MLP, RNN = KINDS
SMALL = SequenceConfig(points=120, tau=5, train_examples=60, num_epochs=2, horizons="1, 2, 7", frequency=0.1)


def run(config: SequenceConfig) -> Experiment:
    """The whole experiment at once."""
    *_, last = steps(config)
    assert isinstance(last, Experiment)
    return last


def data_of(config: SequenceConfig) -> Tensor:
    return experiment.sequence(config, experiment.random_stream(config, 0))


def plain_net(config: SequenceConfig, weights: Weights) -> nn.Module:
    """The MLP as the book writes it, with the same first weights."""
    net = nn.Sequential(nn.Linear(config.tau, config.mlp_hiddens), nn.ReLU(), nn.Linear(config.mlp_hiddens, 1))
    W_1, b_1, W_2, b_2 = (parameter.detach().clone() for parameter in weights.parameters)
    net.load_state_dict({"0.weight": W_1.t(), "0.bias": b_1, "2.weight": W_2.t(), "2.bias": b_2})
    return net


class PlainRNN(nn.Module):
    """The RNN one step after the other, by the equations of the textbook and autograd."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        names = ("W_xh", "W_hh", "b_h", "W_hq", "b_q")
        for name, parameter in zip(names, weights.parameters, strict=True):
            self.register_parameter(name, nn.Parameter(parameter.detach().clone()))

    def forward(self, windows: Tensor) -> Tensor:
        state = (torch.zeros(len(windows), len(self.b_h)),)
        _, (H,) = unrolled(rnn_step, windows.t().unsqueeze(2), state, dict(self.named_parameters()))
        return H @ self.W_hq + self.b_q


def plain_training(net: nn.Module, config: SequenceConfig, data: Tensor, random: torch.Generator) -> list[float]:
    """The book's loop: torch's Adam, nn.MSELoss, and the loss over the training examples after each epoch."""
    features = torch.stack([data[i : config.points - config.tau + i] for i in range(config.tau)], dim=1)
    labels = data[config.tau :].reshape(-1, 1)
    features, labels = features[: config.train_examples], labels[: config.train_examples]
    optimiser, loss = torch.optim.Adam(net.parameters(), config.learning_rate), nn.MSELoss(reduction="none")
    losses = []
    for _ in range(config.num_epochs):
        order = torch.randperm(config.train_examples, generator=random)
        for start in range(0, config.train_examples, config.batch_size):
            chosen = order[start : start + config.batch_size]
            optimiser.zero_grad()
            loss(net(features[chosen]), labels[chosen]).sum().backward()
            optimiser.step()
        with torch.no_grad():
            losses.append(float(loss(net(features), labels).mean()))
    return losses


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("config", [SequenceConfig(), SMALL], ids=["the book's", "small"])
def test_it_is_the_books_computation(kind: experiment.Kind, config: SequenceConfig) -> None:
    data, random = data_of(config), torch.Generator().manual_seed(5)
    weights = Weights(kind, config, random)
    state = random.get_state()
    net = plain_net(config, weights) if kind is MLP else PlainRNN(weights)
    expected = plain_training(net, config, data, torch.Generator().set_state(state))
    losses = [event.loss for event in fit(kind, weights, config, data, random) if event is not None]
    assert losses == pytest.approx(expected, rel=2e-3)

    # on and on from its own predictions, one after the other
    series = data.clone()
    with torch.no_grad():
        for index in range(config.known_points, config.points):
            series[index] = net(series[index - config.tau : index].reshape(1, -1)).item()
    found = [value for values in multi_step_predictions(kind, weights.parameters, config, data) for value in values]
    assert found == pytest.approx(series[config.known_points :].tolist(), abs=0.02)

    # k steps ahead, as the book does it over columns
    farthest = max(config.steps_ahead)
    rows = config.points - config.tau - farthest + 1
    features = torch.zeros(rows, config.tau + farthest)
    with torch.no_grad():
        for i in range(config.tau):
            features[:, i] = data[i : i + rows]
        for i in range(config.tau, config.tau + farthest):
            features[:, i] = net(features[:, i - config.tau : i]).reshape(-1)
    table = predictions(kind, weights.parameters, config, data)
    for k in config.steps_ahead:
        assert torch.allclose(table[k - 1, :rows], features[:, config.tau + k - 1], atol=0.02), k


def test_curves_stand_at_their_times() -> None:
    experiment = run(SMALL)
    data = torch.tensor(experiment.data)
    assert SMALL.train_end == SMALL.known_points == 65
    for one in experiment.outcomes:
        assert one.one_step.times == range(6, 121) and one.multi_step.times == range(66, 121)
        assert one.ahead[1] == one.one_step and one.ahead[7].times == range(12, 121)
        for k, curve in one.ahead.items():
            predicted = torch.tensor(curve.values)[66 - curve.start :]  # the times 66, 67, ...: never trained on
            expected = (predicted - data[65:]).square().mean().sqrt().item()
            assert one.errors[k - 1] == pytest.approx(expected, rel=1e-4)
            unseen = Predictions(66, curve.values[66 - curve.start :])
            assert unseen.error(experiment.data) == pytest.approx(expected, rel=1e-4)


def test_the_published_losses_within_the_noise_of_seeds() -> None:
    def losses_of(config: SequenceConfig) -> tuple[float, ...]:
        """Of the MLP alone, as ``run`` has them."""
        random = experiment.random_stream(config, 1)
        weights = Weights(MLP, config, random)
        return tuple(event.loss for event in fit(MLP, weights, config, data_of(config), random) if event is not None)

    runs = [losses_of(SequenceConfig(seed=seed)) for seed in range(12)]
    for published, losses in zip(PUBLISHED, zip(*runs, strict=True), strict=True):
        assert abs(statistics.mean(losses) - published) < 2 * statistics.stdev(losses)
        assert statistics.mean(losses) == pytest.approx(published, rel=0.15)
    default = run(SequenceConfig()).outcomes[0]
    assert default.losses == losses_of(SequenceConfig())
    assert default.losses == pytest.approx(PUBLISHED, rel=0.05)
    assert default.layers == "4-10-1" and default.parameters == 61


def test_same_seed_same_numbers_whatever_the_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        first = run(SequenceConfig())
        torch.set_num_threads(1)
        assert run(SequenceConfig()) == first
        assert run(SequenceConfig(seed=11)) != first
    finally:
        torch.set_num_threads(before)
    wider = run(SequenceConfig(rnn_hiddens=12))
    assert wider.data == first.data and wider.outcomes[0] == first.outcomes[0]
    assert wider.outcomes[1] != first.outcomes[1]
    assert torch.get_num_threads() == before


def test_the_default_experiment_takes_less_than_a_second_of_the_processor() -> None:
    run(SequenceConfig())
    began = time.process_time()
    run(SequenceConfig())
    assert time.process_time() - began < 1.0


def test_it_goes_in_small_steps_and_tells_each_epoch() -> None:
    events = list(steps(SMALL.replace(batch_size=1)))
    told = [(event.model, event.epoch) for event in events if isinstance(event, EpochDone)]
    assert told == [("MLP", 1), ("MLP", 2), ("RNN", 1), ("RNN", 2)]
    assert isinstance(events[-1], Experiment) and events.count(None) > 8


def test_json_keeps_it_all() -> None:
    experiment = run(SMALL)
    text = json.dumps(experiment.to_json(), allow_nan=False)
    again = Experiment.from_json(json.loads(text))
    assert again.config == experiment.config and again.data == pytest.approx(experiment.data, abs=1e-4)
    for one, other in zip(again.outcomes, experiment.outcomes, strict=True):
        assert (one.title, one.parameters, set(one.ahead)) == (other.title, other.parameters, set(other.ahead))
        assert one.losses == pytest.approx(other.losses, abs=1e-6)
        assert one.errors == pytest.approx(other.errors, abs=1e-6)
        assert one.multi_step.values == pytest.approx(other.multi_step.values, abs=1e-4)


def test_what_diverges_is_told_and_still_json() -> None:
    experiment = run(SMALL.replace(learning_rate=10.0, num_epochs=10, noise=10.0))
    assert not all(map(math.isfinite, experiment.outcomes[0].multi_step.values))
    json.dumps(experiment.to_json(), allow_nan=False)
    nan = EpochDone("MLP", 1, 2, math.nan).to_json()
    assert nan["loss"] is None


@pytest.mark.parametrize(
    "config",
    [
        SequenceConfig(points=16, tau=1, train_examples=1, batch_size=10_000, horizons="15", num_epochs=1),
        SequenceConfig(points=64, tau=4, train_examples=60, horizons="60"),
        SequenceConfig(points=200, tau=128, train_examples=72, horizons="1", noise=0.0),
        SequenceConfig(multi_start=4, num_epochs=1),
        SequenceConfig(multi_start=999, num_epochs=1, mlp_hiddens=1, rnn_hiddens=1),
    ],
)
def test_the_edges_of_the_ranges(config: SequenceConfig) -> None:
    experiment = run(config)
    json.dumps(experiment.to_json(), allow_nan=False)
    for one in experiment.outcomes:
        assert one.multi_step.times == range(config.known_points + 1, config.points + 1)
        assert len(one.errors) == max(config.steps_ahead)
        assert all(curve.times[-1] == config.points for curve in one.ahead.values())
