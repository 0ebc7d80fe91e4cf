"""What the tests of the models share: small configurations, double precision, and the devices there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from core.config import RunConfig
from core.models.language_model import LanguageModel, build_model

VOCABULARY = 11


def small_config(**changes: object) -> RunConfig:
    return RunConfig(num_hiddens=6, **changes)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.manual_seed(7)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def double_model() -> Callable[..., LanguageModel]:
    """Builds a small model in double precision whose weights are large enough for gradients to matter."""

    def build(**changes: object) -> LanguageModel:
        model = build_model(small_config(initialisation="uniform", **changes), VOCABULARY).double()
        return model

    return build


def gradients(model: LanguageModel) -> dict[str, torch.Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad.clone()
    return found


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)
