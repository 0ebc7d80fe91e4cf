"""What only a GPU can show: that the graph, the persistent kernels and the plain steps agree, and resume exactly.

``python -m pytest -m cuda`` runs them (and, without a GPU, says that they were left out).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.session import Session
from core.events import EpochFinished, Note, State
from core.models.feedforward import look_up
from core.models.recurrence.layer import RecurrentLayer, Shape
from core.models.recurrence.triton.plan import TOLERANCE, choice, has_triton, proof, run
from core.settings.run_config import RunConfig
from core.training.trainer import Trainer
from tests.core.outcomes import train_to_end
from tests.core.training.test_exact_resume import CASES, advanced, assert_resumes_exactly

DEVICE = "cuda"
PATHS = ["auto", "graph", "kernel", "plain"]

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none here"),
]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Precisions are global."""
    yield
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def has_tensor_cores() -> bool:
    return torch.cuda.get_device_capability() >= (8, 0)


@pytest.fixture
def on_gpu(tiny: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """``tiny``, with layers that make several programs wait for one another."""

    def config(**changes: Any) -> RunConfig:
        wide = {"embedding_size": 96} if changes.get("tied") else {}
        return tiny(**{"device": DEVICE, "num_hiddens": 96, "num_epochs": 4, **changes, **wide})

    return config


def rate_of(case: dict[str, Any]) -> float:
    return 0.5 if case.get("optimiser", "sgd") == "sgd" else 0.005


def trained(config: RunConfig) -> list[EpochFinished]:
    return advanced(Trainer(config), 10_000)


# ---------------------------------------------------------------------------------------------------------------------
# the kernels


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("hidden", "batch"), [(40, 5), (96, 32), (256, 32), (512, 32), (300, 33), (256, 64)])
@pytest.mark.parametrize("bf16", [False, True])
def test_persistent_kernels_are_chosen_and_agree(cell: str, hidden: int, batch: int, bf16: bool) -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    found = choice(Shape(cell, hidden, batch, bf16=bf16), device)
    if found.plan is None and ("fit" in found.reason or not has_tensor_cores() or "triton" in found.reason):
        pytest.skip(found.reason)
    assert found.plan is not None, found.reason
    precision = "bf16" if bf16 else "tf32x3"
    share = proof(found.plan, Shape(cell, hidden, batch), device, precision=precision, num_steps=35)
    assert share < TOLERANCE[precision], f"{share:.2e}"


def test_a_persistent_kernel_gives_the_same_bits_every_time() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    plan = choice(Shape("rnn", 512, 32), device).plan
    if plan is None:
        pytest.skip("no persistent kernel here")
    torch.manual_seed(1)
    A, W = torch.randn(35, 32, 512, device=device), torch.randn(512, 512, device=device).mul_(512**-0.5)
    H_0 = torch.randn(32, 512, device=device)
    runs = [run(plan, RecurrentLayer("rnn", A.clone(), W, (), (H_0,)))[0] for _ in range(50)]
    assert all(torch.equal(found, runs[0]) for found in runs)


def test_the_gradient_of_a_look_up_gives_the_same_bits_every_time() -> None:
    ids = torch.randint(0, 50, (5_000,), device=DEVICE)
    table = torch.randn(50, 64, device=DEVICE, requires_grad=True)
    upstream = torch.randn(5_000, 64, device=DEVICE)
    found = [torch.autograd.grad(look_up(ids, table), table, upstream)[0] for _ in range(20)]
    assert all(torch.equal(one, found[0]) for one in found)
    expected = torch.zeros(50, 64, dtype=torch.float64).index_add_(0, ids.cpu(), upstream.double().cpu())
    torch.testing.assert_close(found[0].double().cpu(), expected, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# the paths agree


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_all_paths_give_the_plain_curve(
    on_gpu: Callable[..., RunConfig], case: dict[str, Any], implementation: str
) -> None:
    """fp32 within 5 %, bf16 within 10 %: optimisers, schedules, clipping, dropout and poems are among the cases."""
    config = on_gpu(**{"learning_rate": rate_of(case), "implementation": implementation, **case})
    plain = [event.perplexity for event in trained(config.replace(gpu_path="plain"))]
    assert plain
    for path in PATHS[:3]:
        curve = [event.perplexity for event in trained(config.replace(gpu_path=path))]
        assert curve == pytest.approx(plain, rel=0.10 if config.precision == "bf16" else 0.05), path


def test_the_gpu_learns_what_the_cpu_learns(on_gpu: Callable[..., RunConfig]) -> None:
    config = on_gpu(num_epochs=15)
    wanted = [event.perplexity for event in trained(config.replace(device="cpu"))]
    for path in PATHS:
        curve = [event.perplexity for event in trained(config.replace(gpu_path=path))]
        assert curve == pytest.approx(wanted, rel=0.05), path
    for precision in ("tf32", "bf16") if has_tensor_cores() else ():
        curve = [event.perplexity for event in trained(config.replace(precision=precision))]
        assert curve == pytest.approx(wanted, rel=0.10), precision


@pytest.mark.parametrize("path", PATHS)
def test_the_paths_that_were_asked_for_are_taken(on_gpu: Callable[..., RunConfig], path: str) -> None:
    trainer = Trainer(on_gpu(gpu_path=path, optimiser="adam", learning_rate=0.01, dropout=0.2))
    notes = [event.text for event in trainer if isinstance(event, Note)]
    assert notes == []
    report = trainer.backend_report
    assert (report["step"] == "one CUDA graph") == (path in ("auto", "graph"))
    if has_tensor_cores() and has_triton():
        assert report["recurrence"].startswith("persistent kernel") == (path in ("auto", "kernel")), report


# ---------------------------------------------------------------------------------------------------------------------
# the same numbers


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_exact_resume_on_every_path(
    on_gpu: Callable[..., RunConfig], tmp_path: Path, case: dict[str, Any], implementation: str, path: str
) -> None:
    config = on_gpu(**{"learning_rate": rate_of(case), "implementation": implementation, "gpu_path": path, **case})
    assert_resumes_exactly(config, tmp_path / "latest.safetensors")


@pytest.mark.parametrize("path", PATHS)
def test_a_learning_rate_changed_in_mid_run(on_gpu: Callable[..., RunConfig], path: str) -> None:
    found = []
    for chosen in ("plain", path):
        trainer = Trainer(on_gpu(gpu_path=chosen))
        told = advanced(trainer, 20)
        trainer.set("learning_rate", 0.05)
        told += advanced(trainer, 10_000)
        found.append([event.perplexity for event in told])
        assert told[-1].learning_rate == 0.05
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_a_replay_waits_for_nobody(on_gpu: Callable[..., RunConfig]) -> None:
    trainer = Trainer(on_gpu(num_epochs=3, optimiser="adam", learning_rate=0.01, schedule="cosine", dropout=0.2))
    advanced(trainer, 6)
    assert trainer.graph is not None and trainer.graph.is_captured
    rate = trainer.learning_rate_used
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(4):
            trainer.train_batch(trainer.epoch, trainer.batch, rate)
            trainer.batch += 1
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---------------------------------------------------------------------------------------------------------------------
# what goes wrong


@pytest.mark.parametrize("path", PATHS)
def test_numbers_that_are_not_finite_end_the_training(on_gpu: Callable[..., RunConfig], path: str) -> None:
    config = on_gpu(activation="relu", learning_rate=1e6, clipping="none", num_epochs=50, gpu_path=path)
    trainer = Trainer(config)
    list(trainer)
    assert "became non-finite at step" in trainer.diverged


def test_a_capture_that_fails_is_told_and_nothing_is_lost(
    on_gpu: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout afterwards too: a broken capture leaves CUDA's generator in the middle of it."""
    config = on_gpu(dropout=0.3, gpu_path="graph")
    wanted = [event.perplexity for event in trained(config)]
    from core.training import cuda_graph

    def asks(gradients: list[torch.Tensor], clipping: str, limit: float) -> torch.Tensor:
        norm = clip(gradients, clipping, limit)
        float(norm)  # the host waits, which no capture allows
        return norm

    clip = cuda_graph.clip_gradients
    monkeypatch.setattr(cuda_graph, "clip_gradients", asks)
    trainer = Trainer(config)
    told = list(trainer)
    notes = [event.text for event in told if isinstance(event, Note)]
    assert len(notes) == 1 and "could not be captured in a CUDA graph" in notes[0]
    curve = [event.perplexity for event in told if isinstance(event, EpochFinished)]
    assert curve == pytest.approx(wanted, rel=0.01)


def test_out_of_memory_is_told_in_words(on_gpu: Callable[..., RunConfig], saves: Path) -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2e8) / total)
    try:
        # Weights of 150 MB find room, their gradients do not.
        session = Session.create(on_gpu(num_hiddens=6_000, num_epochs=1), saves)
        list(train_to_end(session))
        assert session.state == State.FAILED
        assert "out of memory: make batch, steps or hidden smaller" in session.message
        session.close()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
