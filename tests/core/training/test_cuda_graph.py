"""The step on buffers that never move: the same numbers as the plain step, with a capture that is only played here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from core.corpus.ids import is_mapped
from core.corpus.reader import load_corpus
from core.corpus.token_store import TokenStore
from core.engine.description import describe
from core.engine.session import Session
from core.events import EpochFinished, Note, State
from core.settings.run_config import RunConfig
from core.training import cuda_graph, parts
from core.training.cuda_graph import WARM_UP_STEPS, Work, unavailable_reason
from core.training.mapped_batches import MappedBatches
from core.training.trainer import Trainer
from tests.core.outcomes import train_to_end, without_clock
from tests.core.training.test_exact_resume import CASES, advanced


class Capture:
    """What a capture does without a GPU: the replay runs the work again, and checks what a graph relies on."""

    def __init__(self) -> None:
        self.captures = self.replays = self.beside = 0

    def captured(self, work: Work, near: torch.Tensor) -> Work:
        self.captures += 1

        def replay() -> None:
            self.replays += 1
            work()

        return replay

    def run_beside(self, work: Work, near: torch.Tensor) -> None:
        self.beside += 1
        work()


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Iterator[Capture]:
    """From now on a trainer takes the CPU for a device with graphs."""
    played = Capture()
    monkeypatch.setattr(parts, "unavailable_reason", lambda device, config: "")
    monkeypatch.setattr(cuda_graph, "captured", played.captured)
    monkeypatch.setattr(cuda_graph, "run_beside", played.run_beside)
    yield played


def plain_trainer(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    with monkeypatch.context() as patch:
        patch.setattr(parts, "unavailable_reason", unavailable_reason)
        return Trainer(config)


def close(ours: list[EpochFinished], theirs: list[EpochFinished]) -> None:
    """The graph's learning rate is a number of 32 bits: the last digits differ."""
    numbers = [
        [value for event in without_clock(told) for value in dataclasses.astuple(event) if value is not None]
        for told in (ours, theirs)
    ]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-3)


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_the_graphs_step_is_the_plain_one(
    tiny: Callable[..., RunConfig], one_thread: None, capture: Capture, monkeypatch: pytest.MonkeyPatch,
    case: dict[str, Any], implementation: str,
) -> None:  # fmt: skip
    rate = 1.0 if case.get("optimiser", "sgd") == "sgd" else 0.01
    config = tiny(**{"num_epochs": 3, "learning_rate": rate, "implementation": implementation, **case})
    plain = plain_trainer(config, monkeypatch)
    wanted = advanced(plain, 1000)
    ours = Trainer(config)
    close(advanced(ours, 1000), wanted)
    assert capture.captures == 1 and capture.beside == WARM_UP_STEPS
    assert capture.replays == ours.step - WARM_UP_STEPS > 0
    assert ours.graph_unavailable_reason == "" and plain.graph_unavailable_reason != ""
    for name, tensor in plain.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], tensor, rtol=2e-3, atol=2e-4, msg=name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_exact_resume_with_the_graph(
    tiny: Callable[..., RunConfig], one_thread: None, capture: Capture, case: dict[str, Any]
) -> None:
    rate = 1.0 if case.get("optimiser", "sgd") == "sgd" else 0.01
    config = tiny(**{"num_epochs": 3, "learning_rate": rate, **case})
    whole = Trainer(config)
    wanted = advanced(whole, 1000)
    interrupted, told = Trainer(config), []
    for batches in (0, 7, 6, 1, 9, 1000):
        told += advanced(interrupted, batches)
        tensors, facts = interrupted.checkpoint()
        kept = {name: tensor.clone() for name, tensor in tensors.items()}
        interrupted = Trainer(config)
        torch.manual_seed(99)
        interrupted.restore(kept, facts)
    assert without_clock(told) == without_clock(wanted)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(interrupted.model.state_dict()[name], tensor), name


@pytest.mark.parametrize("case", [{"sampling": "random"}, {"documents": "lines"}], ids=str)
def test_the_graph_is_fed_from_a_mapped_text(
    tiny: Callable[..., RunConfig], one_thread: None, capture: Capture, tmp_path: Path, case: dict[str, Any]
) -> None:
    """Bit for bit as from the same text on the device, also after a resume in the middle of an epoch."""
    config = tiny(num_epochs=2, **case)
    how = {"normalise": "none", "reserved": config.reserved_tokens}
    mapped = load_corpus(config.corpus, store=TokenStore(tmp_path / "tokens", 1 << 30, smallest=1), **how)
    wanted, fed = Trainer(config), Trainer(config, mapped)
    assert isinstance(fed.batches, MappedBatches) and is_mapped(fed.corpus.ids) and not is_mapped(wanted.corpus.ids)
    told = advanced(fed, 5)
    tensors, facts = fed.checkpoint()
    again = Trainer(config, mapped)
    again.restore({name: tensor.clone() for name, tensor in tensors.items()}, facts)
    assert without_clock(told + advanced(again, 1000)) == without_clock(advanced(wanted, 1000))
    assert capture.captures == 3 and again.graph_unavailable_reason == ""
    for name, tensor in wanted.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name


def test_going_back_in_the_same_trainer_captures_anew(
    tiny: Callable[..., RunConfig], one_thread: None, capture: Capture
) -> None:
    ours = Trainer(tiny(optimiser="adam", learning_rate=0.01))
    advanced(ours, 8)
    tensors, facts = ours.checkpoint()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    wanted = without_clock(advanced(ours, 1000))
    ours.restore(kept, facts)
    assert without_clock(advanced(ours, 1000)) == wanted
    assert capture.captures == 2


def test_the_learning_rate_changes_between_replays(
    tiny: Callable[..., RunConfig], one_thread: None, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for ours in (Trainer(tiny()), plain_trainer(tiny(), monkeypatch)):
        told = advanced(ours, 8)
        ours.set("learning_rate", 0.25)
        told += advanced(ours, 1000)
        found.append(told)
    close(*found)
    assert found[0][-1].learning_rate == 0.25
    assert capture.captures == 1


def test_what_a_step_reads_and_writes_never_moves(
    tiny: Callable[..., RunConfig], one_thread: None, capture: Capture
) -> None:
    ours = Trainer(tiny(optimiser="adam", learning_rate=0.01, momentum=0.0))

    def addresses() -> list[int]:
        remembered = [value for weight in ours.model.parameters() for value in ours.optimiser.state[weight].values()]
        assert ours.graph is not None
        tensors = [*ours.model.parameters(), *remembered, *ours.whole_state(), *ours.records.tensors().values(),
                   ours.graph.rate, ours.graph.plan, ours.graph.cursor]  # fmt: skip
        return [tensor.data_ptr() for tensor in tensors]

    advanced(ours, WARM_UP_STEPS)
    before = addresses()
    advanced(ours, 1000)
    assert addresses() == before


class NoQuestions(TorchDispatchMode):
    """Refuses every operation that makes the host wait for a device."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(function)
        assert not any(word in name for word in ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select")), name
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_a_step_asks_the_host_nothing(
    tiny: Callable[..., RunConfig], one_thread: None, capture: Capture, monkeypatch: pytest.MonkeyPatch,
    case: dict[str, Any],
) -> None:  # fmt: skip
    monkeypatch.setattr("core.models.recurrence.cpu.bindings.serves", lambda *_, **__: False)  # as on a GPU
    ours = Trainer(tiny(**case))
    assert ours.graph is not None
    advanced(ours, 1)
    if case.get("optimiser") == "rmsprop":
        pytest.skip("on a CPU, RMSProp has no form that reads the learning rate from a tensor")
    with NoQuestions():
        ours.graph.work()


def test_where_the_capture_fails_training_goes_on_and_says_why(
    tiny: Callable[..., RunConfig], one_thread: None, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = advanced(Trainer(tiny()), 1000)

    def refuse(work: Work, near: torch.Tensor) -> Work:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(cuda_graph, "captured", refuse)
    ours = Trainer(tiny())
    told = list(ours)
    notes = [event.text for event in told if isinstance(event, Note)]
    assert notes == [
        "the training step could not be captured in a CUDA graph: CUDA error: operation not permitted when stream is "
        "capturing; it runs call by call, which is slower"
    ]
    assert ours.graph_unavailable_reason.endswith("when stream is capturing")
    assert without_clock([event for event in told if isinstance(event, EpochFinished)]) == without_clock(wanted)


def test_the_reason_stands_in_the_journal_and_in_what_the_session_says(
    tiny: Callable[..., RunConfig], saves: Any, one_thread: None, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(work: Work, near: torch.Tensor) -> Work:
        raise RuntimeError("no graphs today")

    monkeypatch.setattr(cuda_graph, "captured", refuse)
    session = Session.create(tiny(), saves)
    list(train_to_end(session))
    assert session.state == State.FINISHED
    assert "no graphs today" in session.run.journal_path.read_text("utf-8")
    assert "no graphs today" in describe(session).backend_report["step"]
    session.close()


def test_numbers_that_are_not_finite_end_the_training(
    tiny: Callable[..., RunConfig], one_thread: None, capture: Capture
) -> None:
    ours = Trainer(tiny(activation="relu", learning_rate=1e6, clipping="none", num_epochs=50))
    list(ours)
    assert "became non-finite at step" in ours.diverged
    assert not ours.is_finite()


def test_why_there_is_no_graph() -> None:
    assert unavailable_reason(torch.device("cpu"), RunConfig()) == "CUDA graphs run on CUDA devices, not on cpu"
    assert (
        unavailable_reason(torch.device("cuda:0"), RunConfig(gpu_path="kernel"))
        == "gpu_path=kernel leaves the CUDA graph out"
    )
    assert (
        unavailable_reason(torch.device("cuda:0"), RunConfig(gpu_path="plain"))
        == "gpu_path=plain leaves the CUDA graph out"
    )
    assert (
        unavailable_reason(torch.device("cuda:0"), RunConfig())
        == unavailable_reason(torch.device("cuda:0"), RunConfig(gpu_path="graph"))
        == ""
    )
