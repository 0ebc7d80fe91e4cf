"""Exported weights: plain modules of torch.nn give the same logits, and onnxruntime writes the same texts."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.export.onnx_step import onnx_file
from core.export.scripts import onnx_script, torch_script
from core.export.weights import state_dict, weights_file
from core.generation.options import Sampling
from core.generation.writer import write
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.settings.run_config import END, PADDING, START, RunConfig

MODULES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
# Input, layers and directions; each with every cell and implementation.
SHAPES: tuple[dict[str, Any], ...] = (
    {},
    {"num_layers": 2, "bidirectional": True, "embedding_size": 5},
    {"num_layers": 3, "embedding_size": 8, "tied": True},
    {"activation": "relu"},
)


def model_of(vocabulary: Vocabulary, **changes: Any) -> LanguageModel:
    """A model whose weights are all different, large enough to be seen in the logits, and too small for chaos."""
    torch.manual_seed(1)
    model = build_model(RunConfig(**{"num_hiddens": 8, "device": "cpu", **changes}), len(vocabulary)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


def printed_by(script: str, path: Path) -> tuple[str, dict[str, Any]]:
    """What a script prints, and its names."""
    path.write_text(script)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        names = runpy.run_path(str(path))
    return out.getvalue(), names


def written(model: LanguageModel, vocabulary: Vocabulary, sampling: Sampling, prefix: str = "") -> str:
    return prefix + "".join(write(model, vocabulary, prefix, 100, sampling)) + "\n"


def test_plain_modules_give_the_same_logits(vocabulary: Vocabulary) -> None:
    ids = torch.tensor([[1, 2, 3, 4, 5], [10, 9, 8, 2, 0]])
    for cell, module in MODULES.items():
        for implementation in ("scratch", "torch.nn"):
            for shape in SHAPES:
                case = f"{cell} {implementation} {shape}"
                model = model_of(vocabulary, cell=cell, implementation=implementation, **shape)
                weights, config = state_dict(model), model.config
                options = {"nonlinearity": config.activation} if cell == "rnn" else {}
                inputs = config.embedding_size or len(vocabulary)
                rnn = module(inputs, 8, config.num_layers, bidirectional=config.bidirectional, **options)
                plain = nn.ModuleDict({"rnn": rnn, "linear": nn.Linear(8 * model.directions, len(vocabulary))})
                if config.embedding_size:
                    plain["embedding"] = nn.Embedding(len(vocabulary), config.embedding_size)
                plain.load_state_dict(weights)  # refuses any other names and shapes
                with torch.no_grad():
                    X = plain["embedding"](ids.t()) if config.embedding_size else one_hot(ids.t(), len(vocabulary))
                    H, last = plain["rnn"](X)
                    logits, state = model(ids, model.begin_state(2))
                    torch.testing.assert_close(plain["linear"](H), logits, rtol=1e-5, atol=1e-5, msg=case)
                for found, expected in zip(last if cell == "lstm" else (last,), state, strict=True):
                    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, msg=case)


def one_hot(ids: torch.Tensor, size: int) -> torch.Tensor:
    return nn.functional.one_hot(ids, size).float()


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_script_beside_the_weights_writes_the_same_text(cell: str, vocabulary: Vocabulary, tmp_path: Path) -> None:
    model = model_of(vocabulary, cell=cell, **({"num_layers": 2, "embedding_size": 5} if cell == "lstm" else {}))
    path = tmp_path / "it's a model.safetensors"
    path.write_bytes(weights_file(model, vocabulary, "one"))
    script = torch_script(model.config, vocabulary, "one", str(path))
    assert len(script.splitlines()) <= 35
    out, names = printed_by(script, tmp_path / "script.py")
    assert out == written(model, vocabulary, Sampling("greedy"))
    assert isinstance(names["rnn"], MODULES[cell])
    with safe_open(path, "pt") as file:
        facts = {key: json.loads(value) for key, value in file.metadata().items()}
    assert facts["run"] == "one" and tuple(facts["tokens"]) == vocabulary.tokens
    assert facts["model"]["cell"] == cell and "corpus" not in str(facts), "no path leaves the machine"


def test_the_script_of_a_bidirectional_model_only_loads_it(vocabulary: Vocabulary, tmp_path: Path) -> None:
    model = model_of(vocabulary, bidirectional=True, activation="relu")
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights_file(model, vocabulary, "one"))
    out, names = printed_by(torch_script(model.config, vocabulary, "one", str(path)), tmp_path / "script.py")
    ids = torch.tensor([[1, 2, 3]])
    assert out == ""
    torch.testing.assert_close(names["logits"](ids.t())[0], model(ids, model.begin_state(1))[0].detach())
    with pytest.raises(UserError, match="a bidirectional model has no step"):
        onnx_file(model, vocabulary, "one")


WORDS = Vocabulary("word", ("<unk>", "one", "two", "three"), [0, 3, 2, 1])
LINES = Vocabulary("char", ("<unk>", START, END, PADDING, "a", "b", "c"), [0, 9, 9, 0, 3, 2, 1], reserved=3)


def test_words_and_lines_are_written_as_generate_writes_them(tmp_path: Path) -> None:
    for vocabulary, text in ((WORDS, {"tokens": "word"}), (LINES, {"documents": "lines", "normalise": "none"})):
        model = model_of(vocabulary, **text)
        path = tmp_path / "model.safetensors"
        path.write_bytes(weights_file(model, vocabulary, "one"))
        out, _ = printed_by(torch_script(model.config, vocabulary, "one", str(path)), tmp_path / "script.py")
        assert out == written(model, vocabulary, Sampling("greedy")) and out.strip(), text


# Model and prefix; onnx and onnxruntime take seconds to import, hence one test of all.
SHAPES_AND_PREFIXES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"cell": "rnn", "implementation": "torch.nn", "activation": "relu"}, "月a"),
    ({"cell": "gru", "implementation": "scratch", "tokens": "word"}, "two one"),
    (
        {
            "cell": "lstm", "implementation": "torch.nn", "num_layers": 2, "embedding_size": 8, "tied": True,
            "documents": "lines", "normalise": "none",
        },
        "ab",
    ),
)  # fmt: skip


def test_onnxruntime_writes_the_same_text(vocabulary: Vocabulary, tmp_path: Path) -> None:
    for shape, prefix in SHAPES_AND_PREFIXES:
        require_the_same_text(shape, prefix, vocabulary, tmp_path)


def require_the_same_text(shape: dict[str, Any], prefix: str, vocabulary: Vocabulary, tmp_path: Path) -> None:
    import onnxruntime  # here: see readers.py

    vocabulary = {"two one": WORDS, "ab": LINES}.get(prefix, vocabulary)
    model = model_of(vocabulary, **shape)
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_file(model, vocabulary, "one"))
    script = onnx_script(model.config, vocabulary, "one", str(path))
    assert printed_by(script, tmp_path / "script.py")[0] == written(model, vocabulary, Sampling("greedy")), shape
    given = 'prefix, length, temperature, seed = "", 100, 0.0, 1'
    assert given in script
    for seed in (7, 8, 9):
        seeded = script.replace(given, f"prefix, length, temperature, seed = {prefix!r}, 100, 1.5, {seed}")
        sampled = written(model, vocabulary, Sampling("temperature", temperature=1.5, seed=seed), prefix)
        assert printed_by(seeded, tmp_path / "script.py")[0] == sampled, (shape, seed)
    # several texts at a time, each with its own state
    session = onnxruntime.InferenceSession(path)
    ids, state = torch.tensor([3, 2, 1]), tuple(torch.randn_like(part) for part in model.begin_state(3))
    feeds = {"ids": ids.numpy(), **{name: part.numpy() for name, part in zip("HC", state, strict=False)}}
    logits, next_state = model.step(ids, state)
    for found, expected in zip(session.run(None, feeds), (logits, *next_state), strict=True):
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-5, atol=1e-5, msg=str(shape))
