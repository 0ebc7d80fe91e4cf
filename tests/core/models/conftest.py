"""What the tests of the models share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.settings.run_config import RunConfig


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
        config = RunConfig(num_hiddens=6, initialisation="uniform", **changes)  # type: ignore[arg-type]
        return build_model(config, 11).double()

    return build
