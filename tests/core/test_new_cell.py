"""A cell that is only a row of the table and a function of the page: what it can do, and how the rest refuses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from core.errors import ConfigError, UserError
from core.events import EpochFinished
from core.export.weights import weights_file
from core.generation.writer import write
from core.inspection.answers import StepView
from core.inspection.options import InspectionOptions
from core.inspection.view import inspect
from core.models.recurrence.cpu import compiled
from core.models.recurrence.layer import RecurrentLayer, Shape
from core.models.recurrence.triton.plan import plan_of
from core.models.scratch import STEPS, HiddenState, Parameters
from core.settings.cells import CELLS, Cell
from core.settings.run_config import RunConfig
from core.training.preflight import num_parameters
from core.training.trainer import Trainer


def minimal_step(X: Tensor, state: HiddenState, p: Parameters) -> HiddenState:
    """The minimal gated unit (Zhou et al. 2016).

    F_t = sigmoid(X_t W_xf + H_{t-1} W_hf + b_f)
    H~_t = tanh(X_t W_xh + (F_t * H_{t-1}) W_hh + b_h)
    H_t = (1 - F_t) * H_{t-1} + F_t * H~_t
    """
    (H,) = state
    F = torch.sigmoid(X @ p["W_xf"] + H @ p["W_hf"] + p["b_f"])  # (batch, hidden)
    H_tilda = torch.tanh(X @ p["W_xh"] + (F * H) @ p["W_hh"] + p["b_h"])  # (batch, hidden)
    H = (1 - F) * H + F * H_tilda  # (batch, hidden)
    return (H,)


@pytest.fixture(autouse=True)
def _minimal(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setitem(CELLS, "mgu", Cell("mgu", "fh", sigmoids=("F",), candidates=("H~",)))
    monkeypatch.setitem(STEPS, "mgu", minimal_step)
    monkeypatch.setitem(vars(RunConfig.setting("cell")), "choices", tuple(CELLS))


def test_a_cell_of_the_page_trains_writes_and_is_looked_into(tiny: Callable[..., RunConfig]) -> None:
    config = tiny(cell="mgu", cpu_path="textbook", num_layers=2, optimiser="adam", learning_rate=0.02)
    trainer = Trainer(config)
    model, vocabulary = trainer.model, trainer.corpus.vocabulary
    assert [name for name, _ in model.describe()][:6] == ["W_xf", "W_hf", "b_f", "W_xh", "W_hh", "b_h"]
    assert model.num_parameters() == num_parameters(config, len(vocabulary))
    losses = [event.loss for event in trainer if isinstance(event, EpochFinished)]
    assert losses[-1] < losses[0]
    assert len("".join(write(model, vocabulary, length=5))) == 5
    step = inspect(model, vocabulary, InspectionOptions("step"), trainer.corpus.ids)
    assert isinstance(step, StepView)
    assert {"F_t", "H~_t", "H_t"} <= {stage.name for stage in step.stages}
    for view in ("text", "gradients", "units", "saliency", "tokens"):
        inspect(model, vocabulary, InspectionOptions(view), trainer.corpus.ids)
    for refused in (
        lambda: inspect(model, vocabulary, InspectionOptions("parity"), trainer.corpus.ids),
        lambda: weights_file(model, vocabulary, "run"),
    ):
        with pytest.raises(UserError, match=r"^torch\.nn has no layer for the cell mgu$"):
            refused()


def test_other_paths_refuse_it_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"^implementation=torch\.nn has no layer for cell=mgu: choose"):
        RunConfig(cell="mgu", implementation="torch.nn")
    for path in ("auto", "plain"):
        with pytest.raises(ConfigError, match=r"^cell=mgu is computed .* alone: choose cpu_path=textbook$"):
            RunConfig(cell="mgu", cpu_path=path)


def test_a_derived_cell_without_kernels_runs_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "mgu", replace(CELLS["mgu"], is_derived=True))
    assert RunConfig(cell="mgu", cpu_path="plain").cell == "mgu"
    H = torch.zeros(2, 3)
    assert not compiled.serves(RecurrentLayer("mgu", torch.zeros(4, 2, 6), torch.zeros(3, 6), (), (H,)))
    chosen = plan_of(Shape("mgu", 3, 2), precision="tf32", processors=132, shared_bytes=232_448)
    assert chosen.plan is None and chosen.reason == "there is no persistent kernel for the cell mgu"
