"""The scripts that are printed beside exported weights: the shortest program that loads them and writes a text.

No torch in this module, and nothing of this project in the scripts.
"""

from __future__ import annotations

from typing import Any

from core.corpus.vocabulary import Vocabulary
from core.generation.acrostic import beginning
from core.settings.cells import CELLS
from core.settings.run_config import END, RunConfig, settings

LENGTH = 100


def facts_of(config: RunConfig, vocabulary: Vocabulary, name: str) -> dict[str, Any]:
    """What a file of weights says beside them, JSON-able: no setting names a file or a machine."""
    shape = {item.name: getattr(config, item.name) for item in settings() if item.group == "model"}
    text = {"tokens": config.tokens, "normalise": config.normalise, "documents": config.documents}
    return {"run": name, "tokens": list(vocabulary.tokens), "model": shape, "text": text}


def torch_script(config: RunConfig, vocabulary: Vocabulary, name: str, path: str) -> str:
    """Loads ``path`` into modules of ``torch.nn`` and writes greedily; of a bidirectional model, only loads it."""
    size, hidden, cell = len(vocabulary), config.num_hiddens, CELLS[config.cell]
    inputs = config.embedding_size or size
    options = f", num_layers={config.num_layers}" * (config.num_layers > 1)
    options += ", bidirectional=True" * config.bidirectional
    options += ', nonlinearity="relu"' * (cell.has_activation and config.activation == "relu")
    embedding = f"embedding=nn.Embedding({size}, {config.embedding_size}), " * bool(config.embedding_size)
    vectors = 'model["embedding"](ids)' if config.embedding_size else f"nn.functional.one_hot(ids, {size}).float()"
    return f'''\
# The run {name!r} as modules of torch.nn. Needs torch and safetensors.
import json

import torch
from safetensors import safe_open
from torch import nn

with safe_open({path!r}, "pt") as file:
    tokens = json.loads(file.metadata()["tokens"])
    weights = {{name: file.get_tensor(name) for name in file.keys()}}
rnn = nn.{cell.layer}({inputs}, {hidden}{options})
model = nn.ModuleDict(dict({embedding}rnn=rnn, linear=nn.Linear({hidden * (1 + config.bidirectional)}, {size})))
model.load_state_dict(weights)


@torch.no_grad()
def logits(ids, state=None):
    """ids (num_steps, batch) -> scores of the next tokens (num_steps, batch, {size}), and the state after them."""
    H, state = rnn({vectors}, state)
    return model["linear"](H), state
''' + ("" if config.bidirectional else _torch_writing(vocabulary))


def _torch_writing(vocabulary: Vocabulary) -> str:
    end = _end(vocabulary)
    stop = "" if end is None else f"    if ids.item() == {end}:\n        break\n"
    return f"""

ids, state, text = torch.tensor([[{_first(vocabulary)}]]), None, []
for _ in range({LENGTH}):
    scores, state = logits(ids, state)
    scores[..., {never_written(vocabulary)}] = -torch.inf
    ids = scores.argmax(-1)
{stop}    text.append(tokens[ids.item()])
print({_joined(vocabulary)})
"""


def onnx_script(config: RunConfig, vocabulary: Vocabulary, name: str, path: str) -> str:
    """Writes with the step in ``path``: greedily at temperature 0, else seeded as ``generate --seed`` is."""
    read = "prefix" if vocabulary.kind == "char" else "prefix.split()"
    begin = f"[{_first(vocabulary)}]"
    encoded = f"[ids.get(token, 0) for token in {read}]"
    start = f"{begin} + {encoded}" if vocabulary.reserved else f"{encoded} or {begin}"
    end = _end(vocabulary)
    stop = "" if end is None else f"    if token == {end}:\n        break\n"
    names = CELLS[config.cell].states
    states, feeds = ", ".join(names), ", ".join(f'"{name}": {name}' for name in names)
    zeros = ", ".join([f"np.zeros(({config.num_layers}, 1, {config.num_hiddens}), np.float32)"] * len(names))
    return f"""\
# Writes with the run {name!r}, one step at a time. Needs onnxruntime and numpy.
import json

import numpy as np
import onnxruntime

prefix, length, temperature, seed = "", {LENGTH}, 0.0, 1
session = onnxruntime.InferenceSession({path!r})
tokens = json.loads(session.get_modelmeta().custom_metadata_map["tokens"])
ids = {{token: index for index, token in enumerate(tokens)}}
uniform = np.random.default_rng(seed).random
{states} = {zeros}
unread, text = {start}, []
while len(text) < length:
    token = unread.pop(0)
    logits, {states} = session.run(None, {{"ids": np.array([token]), {feeds}}})
    if unread:
        continue
    scores = logits[0].astype(np.float64)
    scores[{never_written(vocabulary)}] = -np.inf
    weights = np.exp((scores - scores.max()) / (temperature or 1)).cumsum()
    token = int(weights.searchsorted(uniform() * weights[-1], "right") if temperature else scores.argmax())
{stop}    text.append(tokens[token])
    unread = [token]
print({_joined(vocabulary, "prefix")})
"""


def never_written(vocabulary: Vocabulary) -> list[int]:
    """The ids that are never sampled: the unknown token and the reserved ones but that which ends a text."""
    return [index for index in range(1 + len(vocabulary.reserved)) if index != _end(vocabulary)]


def _end(vocabulary: Vocabulary) -> int | None:
    return vocabulary.token_to_id(END) if END in vocabulary.reserved else None


def _first(vocabulary: Vocabulary) -> int:
    """The id that a text without a prefix begins after, as in ``generation.writer``."""
    return (beginning(vocabulary) or [min(1, len(vocabulary) - 1)])[0]


def _joined(vocabulary: Vocabulary, prefix: str = "") -> str:
    """The expression that joins the tokens in ``text``, after ``prefix`` if that is the name of one."""
    if vocabulary.kind == "word":
        return f'" ".join([*{prefix}.split(), *text])' if prefix else '" ".join(text)'
    return f'{prefix} + "".join(text)' if prefix else '"".join(text)'
