"""The implementations of a language model, and the one that a configuration means."""

from __future__ import annotations

import torch

from core.models.language_model import LanguageModel
from core.models.scratch_model import ScratchLanguageModel, TextbookLanguageModel
from core.models.torch_nn import StockLanguageModel
from core.settings.run_config import RunConfig


def build_model(config: RunConfig, vocabulary_size: int, device: torch.device | str = "cpu") -> LanguageModel:
    """The model that a configuration describes, with its initial weights, in training mode.

    The weights are drawn on the CPU from PyTorch's global generator: seed it with ``torch.manual_seed`` for the same
    weights on every device.
    """
    kind: type[LanguageModel] = StockLanguageModel
    if config.implementation == "scratch":
        kind = TextbookLanguageModel if config.cpu_path == "textbook" else ScratchLanguageModel
    return kind(config, vocabulary_size).to(device)
