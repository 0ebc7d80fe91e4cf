"""The trainer against a loop written here as the textbook writes it, and all that it does beside."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from core.errors import ConfigError, CorpusError, RunError
from core.events import EpochFinished, Event, SettingChanged, State, StateChanged, StepFinished
from core.settings.run_config import RunConfig
from core.training import trainer as module
from core.training.trainer import Trainer

Tiny = Callable[..., RunConfig]


@pytest.fixture(autouse=True)
def _quiet(one_thread: None) -> None:
    pass


def epochs(events: list[Event]) -> list[EpochFinished]:
    return [event for event in events if isinstance(event, EpochFinished)]


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}


def textbook(trainer: Trainer, num_epochs: int) -> tuple[list[float], list[float], dict[str, torch.Tensor]]:
    """Perplexities, mean gradient norms and final weights of a plain loop: one-hot matrices, a list of outputs.

    It begins with the trainer's initial weights and takes the trainer's batches, nothing else.
    """
    config = trainer.config
    p = {name: tensor.requires_grad_() for name, tensor in weights(trainer).items()}
    optimiser: torch.optim.Optimizer = torch.optim.SGD(p.values(), config.learning_rate)
    if config.optimiser == "adam":
        optimiser = torch.optim.Adam(p.values(), config.learning_rate)
    size = len(trainer.corpus.vocabulary)
    perplexities, norms = [], []
    for epoch in range(num_epochs):
        H = torch.zeros(config.batch_size, config.num_hiddens)
        total, count, epoch_norms = 0.0, 0, []
        for index in range(trainer.batches.per_epoch):
            X, Y, _ = trainer.batches.batch(epoch, index)
            H = H.detach() if config.carries_state else torch.zeros_like(H)
            outputs = []
            for x in torch.nn.functional.one_hot(X.t(), size).float():  # (batch, vocabulary)
                H = torch.tanh(x @ p["W_xh"] + H @ p["W_hh"] + p["b_h"])  # (batch, hidden)
                outputs.append(H @ p["W_hq"] + p["b_q"])  # (batch, vocabulary)
            losses = torch.nn.functional.cross_entropy(torch.cat(outputs), Y.t().reshape(-1), reduction="none")
            optimiser.zero_grad()
            losses.mean().backward()
            limit = config.clip if config.clipping == "norm" else math.inf
            epoch_norms.append(float(torch.nn.utils.clip_grad_norm_(p.values(), limit)))
            optimiser.step()
            total, count = total + float(losses.detach().double().sum()), count + len(losses)
        perplexities.append(math.exp(total / count))
        norms.append(sum(epoch_norms) / len(epoch_norms))
    return perplexities, norms, p


@pytest.mark.parametrize(
    "changes",
    [
        {"clip": 0.05, "learning_rate": 5.0},
        {"clip": 0.05, "learning_rate": 5.0, "sampling": "random"},
        {"clip": 0.05, "learning_rate": 5.0, "state": "reset", "random_offset": False},
        {"clip": 0.05, "learning_rate": 5.0, "sampling": "random", "state": "carried"},
        {"clipping": "none", "optimiser": "adam", "learning_rate": 0.01},
        {"clipping": "norm", "optimiser": "adam", "learning_rate": 0.01, "sampling": "random"},
        {"clip": 0.05, "learning_rate": 5.0, "cpu_path": "textbook"},
    ],
    ids=str,
)
def test_the_numbers_are_those_of_the_textbooks_loop(tiny: Tiny, changes: dict[str, Any]) -> None:
    trainer = Trainer(tiny(num_epochs=5, initialisation="uniform", **changes))
    perplexities, norms, wanted = textbook(Trainer(trainer.config), 5)
    found = epochs(list(trainer))
    assert [event.perplexity for event in found] == pytest.approx(perplexities, rel=1e-4)
    assert [event.loss for event in found] == pytest.approx([math.log(value) for value in perplexities], rel=1e-4)
    assert [event.gradient_norm for event in found] == pytest.approx(norms, rel=1e-3)
    for name, tensor in weights(trainer).items():
        torch.testing.assert_close(tensor, wanted[name].detach(), rtol=1e-3, atol=1e-4)
    assert perplexities[-1] < perplexities[0]


def test_what_an_epoch_tells(tiny: Tiny) -> None:
    found = epochs(list(Trainer(tiny())))
    assert [event.epoch for event in found] == [1, 2, 3]
    assert [event.step for event in found] == [13, 26, 39]
    for event in found:
        assert event.perplexity == pytest.approx(math.exp(event.loss))
        assert event.validation_perplexity is None and event.learning_rate == 1.0
        assert event.tokens_per_second == pytest.approx(13 * 60 / event.seconds)


def test_the_same_seed_gives_the_same_numbers(tiny: Tiny) -> None:
    def told(**changes: Any) -> list[tuple[float, float]]:
        config = tiny(dropout=0.3, sampling="random", num_layers=2, **changes)
        return [(event.loss, event.gradient_norm) for event in epochs(list(Trainer(config)))]

    first = told()
    torch.manual_seed(12345)
    assert told() == first
    assert told(seed=2) != first


def test_state_is_carried_or_reset(tiny: Tiny) -> None:
    for state, is_carried in (("carried", True), ("reset", False)):
        trainer = Trainer(tiny(state=state, initialisation="uniform"))
        seen: list[bool] = []
        inner = trainer.model.differentiate

        def differentiate(*arguments: Any, inner: Any = inner, seen: list[bool] = seen, **options: Any) -> Any:
            seen.append(bool(arguments[2][0].any()))
            assert not arguments[2][0].requires_grad
            return inner(*arguments, **options)

        trainer.model.differentiate = differentiate  # type: ignore[method-assign]
        list(trainer)
        # Every epoch begins with zeros.
        assert seen == ([False] + [is_carried] * 12) * 3


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
def test_every_model_learns(tiny: Tiny, cell: str, implementation: str) -> None:
    config = tiny(cell=cell, implementation=implementation, optimiser="adam", learning_rate=0.02, num_epochs=8)
    found = epochs(list(Trainer(config)))
    assert found[-1].perplexity < 0.9 * found[0].perplexity


@pytest.mark.parametrize(
    "changes",
    [
        {"embedding_size": 8, "tied": True},
        {"embedding_size": 8, "tied": True, "implementation": "torch.nn"},
        {"embedding_size": 5, "bidirectional": True},
        {"bidirectional": True, "implementation": "torch.nn", "cell": "lstm", "num_layers": 2},
        {"precision": "bf16"},
        {"activation": "relu", "optimiser": "rmsprop", "momentum": 0.5, "learning_rate": 0.001},
        {"optimiser": "adamw", "weight_decay": 0.1, "learning_rate": 0.001, "clipping": "value"},
        {"documents": "lines", "num_steps": 20},
        {"tokens": "word", "batch_size": 2, "num_steps": 5},
    ],
    ids=str,
)
def test_whatever_is_permitted_trains(tiny: Tiny, changes: dict[str, Any]) -> None:
    found = epochs(list(Trainer(tiny(num_epochs=1, **changes))))
    assert len(found) == 1 and math.isfinite(found[0].perplexity)


def test_settings_change_in_mid_run(tiny: Tiny) -> None:
    trainer, told = Trainer(tiny(num_epochs=2)), []
    for event in trainer:
        told.append(event)
        if isinstance(event, EpochFinished) and event.epoch == 2:
            assert trainer.set("learning_rate", 1) == SettingChanged(2, "learning_rate", 1.0)
        if isinstance(event, EpochFinished) and event.epoch == 1:
            assert trainer.set("num_epochs", 4) == SettingChanged(1, "num_epochs", 4)
            assert trainer.set("learning_rate", 0.25) == SettingChanged(1, "learning_rate", 0.25)
    assert [event.learning_rate for event in epochs(told)] == [1.0, 0.25, 1.0, 1.0]
    assert (trainer.config.num_epochs, trainer.config.learning_rate) == (4, 1.0)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("learning_rate", 0, "learning_rate must be above 0"),
        ("learning_rate", "fast", "learning_rate must be above 0"),
        ("learning_rate", math.nan, "got nan"),
        ("num_epochs", 0, "num_epochs must be between 1"),
        ("num_epochs", True, "num_epochs must be between 1"),
        ("num_hiddens", 5, "num_hiddens cannot change after a run is created"),
        ("speed", 5, "there is no setting 'speed'"),
    ],
)
def test_a_wrong_change_is_refused(tiny: Tiny, name: str, value: Any, sentence: str) -> None:
    trainer = Trainer(tiny())
    with pytest.raises(ConfigError, match=sentence):
        trainer.set(name, value)
    assert trainer.config == tiny()


def test_a_long_epoch_has_news_in_it(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEWS_EVERY", 0.0)
    told = list(Trainer(tiny(num_epochs=1)))
    news = [event for event in told if isinstance(event, StepFinished)]
    assert [event.batch for event in news] == list(range(1, 13))
    assert {event.num_batches for event in news} == {13} and {event.epoch for event in news} == {1}
    assert math.isfinite(news[-1].perplexity) and news[-1].tokens_per_second > 0


def test_early_stopping(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(tiny(validation_fraction=0.2, patience=3, num_epochs=100))
    measured = iter([3.0, 2.0, 1.0, 1.5, 1.2, 1.0, 0.5])
    monkeypatch.setattr(trainer.held_out, "measuring", lambda model: iter([next(measured)]))
    best = []
    for event in trainer:
        assert isinstance(event, EpochFinished)
        best.append(trainer.is_best)
    assert best == [True, True, True, False, False, False]
    assert trainer.finished and trainer.epoch == 6
    assert trainer.best_validation == pytest.approx(math.e)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_learning_rate_that_is_far_too_large(tiny: Tiny, optimiser: str) -> None:
    config = tiny(learning_rate=1e6, clipping="none", activation="relu", optimiser=optimiser, num_epochs=50)
    *_, last = Trainer(config)
    assert isinstance(last, StateChanged) and last.state == State.DIVERGED
    assert "a lower learning rate or a tighter clip usually helps" in last.message


@pytest.mark.parametrize("poisoned", [1, 5, 13, 14, 30])
@pytest.mark.parametrize("news", [0.0, 1e9])
def test_divergence_is_told_with_its_step(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, poisoned: int, news: float
) -> None:
    monkeypatch.setattr(module, "NEWS_EVERY", news)
    trainer = Trainer(tiny())
    last: tuple[Event, ...] = ()
    while not trainer.finished:
        if trainer.step == poisoned - 1:
            with torch.no_grad():
                next(trainer.model.parameters()).fill_(math.nan)
        last = trainer.advance()
    (event,) = last
    assert isinstance(event, StateChanged) and event.state == State.DIVERGED and trainer.finished
    batch = (poisoned - 1) % 13 + 1
    assert f"at step {poisoned} (batch {batch} of epoch {(poisoned - 1) // 13 + 1})" in event.message
    assert not trainer.is_finite()
    if news == 0.0:
        assert trainer.step == poisoned, "a long epoch does not go on to its end with numbers that are none"


def test_weights_thrown_out_by_the_last_step_of_all(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(tiny(num_epochs=1))
    step = trainer.optimiser.clipped_step

    def last_step(*, fused: bool) -> torch.Tensor:
        norm = step(fused=fused)
        if trainer.batch == 12:
            with torch.no_grad():
                next(trainer.model.parameters()).fill_(math.inf)
        return norm

    monkeypatch.setattr(trainer.optimiser, "clipped_step", last_step)
    *_, last = trainer
    assert isinstance(last, StateChanged) and "at step 13 (batch 13 of epoch 1)" in last.message


def test_what_does_not_go_together_is_said_before_the_start(tiny: Tiny) -> None:
    with pytest.raises(CorpusError, match="the text has 801 tokens; batch_size 32 with num_steps 35 needs at least"):
        Trainer(tiny(batch_size=32, num_steps=35))
    with pytest.raises(ConfigError, match="there is no device 'cuda:77' here"):
        Trainer(tiny(device="cuda:77"))


def test_a_checkpoint_of_something_else_is_refused_and_changes_nothing(tiny: Tiny) -> None:
    trainer = Trainer(tiny(optimiser="adam"))
    for _ in range(5):
        trainer.advance()
    tensors, facts = Trainer(tiny(optimiser="adam")).checkpoint()
    good_tensors, good_facts = trainer.checkpoint()
    damaged: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        (Trainer(tiny(num_hiddens=9)).checkpoint()[0], facts, "where this model has"),
        ({**tensors, "model.W_xh": tensors["model.W_xh"] * math.nan}, facts, "not finite"),
        ({**tensors, "model.W_xh": tensors["model.W_xh"].double()}, facts, "where this model has"),
        ({name: tensor for name, tensor in tensors.items() if name != "losses"}, facts, "lacks losses"),
        ({**tensors, "generator.cpu": torch.zeros_like(tensors["generator.cpu"])}, facts, "generator.cpu"),
        ({**good_tensors, "optimiser.0.exp_avg": torch.zeros(1)}, good_facts, r"optimiser\.0\.exp_avg"),
        ({n: t for n, t in good_tensors.items() if n != "optimiser.1.step"}, good_facts, r"optimiser\.1\.step"),
        (tensors, {}, "facts are damaged"),
        (tensors, {**facts, "batch": 14}, "place in the text does not exist"),
        (tensors, {**facts, "epoch": -1}, "place in the text does not exist"),
        (tensors, {**facts, "learning_rate": math.nan}, "facts are damaged"),
        (tensors, {**facts, "plateau": [1, 2]}, "facts are damaged"),
        (tensors, {**facts, "best_validation": "low"}, "facts are damaged"),
    ]
    before, generator = weights(trainer), torch.get_rng_state()
    for wrong_tensors, wrong_facts, sentence in damaged:
        with pytest.raises(RunError, match=sentence):
            trainer.restore(wrong_tensors, wrong_facts)
        assert all(torch.equal(tensor, before[name]) for name, tensor in weights(trainer).items())
        assert torch.equal(torch.get_rng_state(), generator) and trainer.step == 5
