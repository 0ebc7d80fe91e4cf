"""A model's weights for plain PyTorch: a state dict of ``torch.nn`` modules in a safetensors file, and a script.

The modules are ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` with an ``nn.Linear`` on top and, where the model has one, an
``nn.Embedding`` below, whatever implementation trained the model. Nothing of this project is needed to load them.
"""

from __future__ import annotations

import json
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from core.corpus.vocabulary import Vocabulary
from core.export.scripts import facts_of, torch_script
from core.models.language_model import LanguageModel
from core.models.scratch import CELLS

# The gates in the order of torch.nn, by the letters of scratch.CELLS: (r, z, n) and (i, f, g, o).
_TORCH_ORDER = {"rnn": "h", "gru": "rzh", "lstm": "ifco"}


def state_dict(model: LanguageModel) -> dict[str, Tensor]:
    """The weights by the names of ``nn.ModuleDict(embedding=..., rnn=..., linear=...)``, on the CPU, each its own."""
    named = _from_scratch(model) if model.config.implementation == "scratch" else dict(model.state_dict())
    return {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in named.items()}


def _from_scratch(model: LanguageModel) -> dict[str, Tensor]:
    cell = CELLS[model.config.cell]
    order = [cell.gates.index(gate) for gate in _TORCH_ORDER[model.config.cell]]
    vectors, (W_hq, b_q) = model.input_vectors(), model.output_layer()
    named = {} if vectors is None else {"embedding.weight": vectors}
    for row in range(model.num_layers * model.directions):
        layer, direction = divmod(row, model.directions)
        suffix = f"l{layer}{'_reverse' if direction else ''}"
        W_x, W_h, b = (_reordered(tensor, order) for tensor in model.stored_layer(row)[:3])
        # torch.nn adds two biases. Only the GRU's candidate needs both: its second is inside the reset gate.
        b_h = torch.zeros_like(b)
        for b_hn in model.stored_layer(row)[3:]:
            b_h[-len(b_hn) :] = b_hn
        named |= {f"rnn.weight_ih_{suffix}": W_x.t(), f"rnn.weight_hh_{suffix}": W_h.t()}
        named |= {f"rnn.bias_ih_{suffix}": b, f"rnn.bias_hh_{suffix}": b_h}
    return named | {"linear.weight": W_hq.t(), "linear.bias": b_q}


def _reordered(W: Tensor, order: list[int]) -> Tensor:
    """The gates, side by side along the last dimension, in another order."""
    gates = W.chunk(len(order), dim=-1)
    return torch.cat([gates[index] for index in order], dim=-1)


def weights_file(model: LanguageModel, vocabulary: Vocabulary, name: str) -> bytes:
    """The bytes of the safetensors file; its metadata hold the tokens, the settings and the run's ``name``."""
    facts = facts_of(model.config, vocabulary, name)
    return safetensors.torch.save(state_dict(model), {key: json.dumps(value) for key, value in facts.items()})


def weights_script(model: LanguageModel, vocabulary: Vocabulary, name: str, path: Path) -> str:
    """The script that loads the file at ``path`` and, unless the model is bidirectional, writes with it."""
    return torch_script(model.config, vocabulary, name, str(path))
