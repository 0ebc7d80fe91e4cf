"""A model's weights for plain PyTorch: a state dict of ``torch.nn`` modules in a safetensors file, and a script.

The modules are ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` with an ``nn.Linear`` on top and, where the model has one, an
``nn.Embedding`` below, whatever implementation trained the model. Nothing of this project is needed to load them.
"""

from __future__ import annotations

import json

import safetensors.torch
import torch
from torch import Tensor

from core.corpus.vocabulary import Vocabulary
from core.export.scripts import facts_of
from core.models.language_model import LanguageModel
from core.models.torch_nn import in_torch_order


def state_dict(model: LanguageModel) -> dict[str, Tensor]:
    """The weights by the names of ``nn.ModuleDict(embedding=..., rnn=..., linear=...)``, on the CPU, each its own."""
    named = _from_scratch(model) if model.config.implementation == "scratch" else dict(model.state_dict())
    return {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in named.items()}


def _from_scratch(model: LanguageModel) -> dict[str, Tensor]:
    vectors, (W_hq, b_q) = model.input_vectors(), model.output_layer()
    named = {} if vectors is None else {"embedding.weight": vectors}
    for row in range(model.num_layers * model.directions):
        layout = in_torch_order(row, model.directions, model.config.cell, *model.stored_layer(row))
        named |= {f"rnn.{name}": tensor for name, tensor in layout.items()}
    return named | {"linear.weight": W_hq.t(), "linear.bias": b_q}


def weights_file(model: LanguageModel, vocabulary: Vocabulary, name: str) -> bytes:
    """The bytes of the safetensors file; its metadata hold the tokens, the settings and the run's ``name``."""
    facts = facts_of(model.config, vocabulary, name)
    return safetensors.torch.save(state_dict(model), {key: json.dumps(value) for key, value in facts.items()})
