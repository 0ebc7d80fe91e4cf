"""The clock of time budgets, and batches that train nothing."""

from __future__ import annotations

import math

import pytest
import torch

from core.training import budget as budget_module
from core.training import trainer as trainer_module
from tests.core.training.budgets import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Clock:
    found = Clock()
    monkeypatch.setattr(budget_module, "clock", found)
    monkeypatch.setattr(trainer_module, "MEASURING_SECONDS", math.inf)  # of the real clock
    return found


@pytest.fixture
def no_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that train nothing, for what depends on the clock alone."""
    loss, norm = torch.tensor(2.0), torch.tensor(0.1)
    monkeypatch.setattr(trainer_module, "trained_on", lambda batch, state, *_: (loss, norm, None, state))
