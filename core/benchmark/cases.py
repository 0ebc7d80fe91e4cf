"""The cases: what is measured against what, at which shapes, and what we want to reach."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
from torch import nn

from core.benchmark.machine import MatrixRate, synchronise, training_products, writing_products
from core.benchmark.measuring import Bout, Case, Contestant, Effort, rate_of
from core.benchmark.opening import write_text
from core.benchmark.references import LoopSettings, StockOnOneHot, TextbookRNN, text_tensor
from core.corpus.reader import Corpus, load_corpus
from core.corpus.vocabulary import Vocabulary
from core.devices import prepare
from core.events import EpochFinished
from core.generation.options import Sampling
from core.generation.writer import write
from core.models.language_model import LanguageModel
from core.models.products import factor_format
from core.models.scratch_model import ScratchLanguageModel
from core.models.torch_nn import MODULES, StockLanguageModel
from core.settings.cells import CELLS
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig
from core.training.trainer import Trainer

# The lyrics text of the textbook has so many different characters; ours is filled up with characters it never uses.
LYRICS_VOCABULARY = 1_027
PROJECT = Path(__file__).resolve().parents[2]
ENDLESS = 10**9


def cases() -> dict[str, Case]:
    """The cases of the CPU by name, in the order of the table; ``cuda.py`` has those of a GPU."""
    lyrics = PRESETS["lyrics-scratch-sequential"].config.replace(num_epochs=ENDLESS, sample_every=0, device="cpu")
    bf16 = lyrics.replace(precision="bf16")
    stock = PRESETS["lyrics-nn-rnn"].config.replace(num_epochs=ENDLESS, sample_every=0, device="cpu")
    shape = "V 1,027, H 256, B 32, T 35"
    found = [
        Case("rnn", f"scratch RNN, {shape}, fp32", "tokens/s", partial(_scratch, lyrics), 4.0),
        Case("rnn-bf16", f"scratch RNN, {shape}, bf16", "tokens/s", partial(_scratch, bf16), 7.0),
        Case(
            "small", "scratch RNN, V 1,027, H 64, B 32, T 35, fp32", "tokens/s",
            partial(_against_plain, lyrics.replace(num_hiddens=64)), 2.5,
        ),
        Case("nn-rnn", f"torch.nn RNN, {shape}, fp32", "tokens/s", partial(_stock, stock), 3.0),
        Case("gru", f"scratch GRU, {shape}, fp32", "tokens/s", partial(_gated, lyrics.replace(cell="gru")), 1.0),
        Case("lstm", f"scratch LSTM, {shape}, fp32", "tokens/s", partial(_gated, lyrics.replace(cell="lstm")), 1.0),
        Case("generate", "one stream, V 1,027, H 256", "characters/s", partial(_writing, lyrics), 4.0),
        Case(
            "corpus", "UTF-8, 5,451 different characters", "MB/s", _opening, goal_rate=60.0, rounds=5,
        ),
    ]  # fmt: skip
    return {case.name: case for case in found}


# ---------------------------------------------------------------------------------------------------------------------
# training


def lyrics_like(config: RunConfig, effort: Effort) -> Corpus:
    """The text of a case; the lyrics get a vocabulary as large as that of the textbook's."""
    corpus = load_corpus(config.corpus, normalise=config.normalise, max_tokens=effort.tokens)
    known = corpus.vocabulary
    missing = LYRICS_VOCABULARY - len(known)
    if config.corpus != "lyrics-zh" or missing <= 0:
        return corpus
    unused = [chr(0x20000 + number) for number in range(missing)]
    vocabulary = Vocabulary("char", [*known.tokens, *unused], [*known.frequencies.tolist(), *[0] * missing])
    return dataclasses.replace(corpus, vocabulary=vocabulary)


def our_trainer(config: RunConfig, effort: Effort) -> Trainer:
    """A trainer on the text of a case; those that it is measured against compute with as many threads."""
    prepare(config)
    return Trainer(config, lyrics_like(config, effort))


def train_epoch(trainer: Trainer) -> float:
    """Train to the end of the epoch; return its perplexity."""
    while True:
        for event in trainer.advance():
            if isinstance(event, EpochFinished):
                return event.perplexity


def textbook_twin(trainer: Trainer) -> TextbookRNN:
    """The textbook's loop with the weights and settings of a trainer of the scratch RNN."""
    model, config = trainer.model, trainer.config
    assert isinstance(model, ScratchLanguageModel) and config.cell == "rnn"
    weights = [*model.layer_parameters().values(), *model.output_layer()]
    return TextbookRNN(weights, _loop_settings(config))


def stock_twin(trainer: Trainer) -> StockOnOneHot:
    """``torch.nn`` on one-hot matrices with the weights and settings of a trainer of our torch.nn model."""
    model, config, device = trainer.model, trainer.config, trainer.device
    assert isinstance(model, StockLanguageModel) and config.num_layers == 1
    rnn = MODULES[config.cell](model.vocabulary_size, config.num_hiddens).to(device)
    linear = nn.Linear(config.num_hiddens, model.vocabulary_size).to(device)
    rnn.load_state_dict(model.rnn.state_dict())
    linear.load_state_dict(model.linear.state_dict())
    return StockOnOneHot(rnn, linear, _loop_settings(config))


def _loop_settings(config: RunConfig) -> LoopSettings:
    clip = config.clip if config.clipping == "norm" else 0.0
    return LoopSettings(config.batch_size, config.num_steps, config.learning_rate, clip)


def our_epochs(trainer: Trainer, name: str, count: int = 1) -> Contestant:
    """A trainer of ours, ``count`` epochs a round."""
    return _epochs(name, partial(train_epoch, trainer), trainer, count)


def twin_epochs(twin: TextbookRNN | StockOnOneHot, trainer: Trainer, name: str, count: int = 1) -> Contestant:
    """A reference on the text of a trainer, ``count`` epochs a round."""
    return _epochs(name, partial(twin.epoch, text_tensor(trainer.corpus.ids)), trainer, count)


def _epochs(name: str, epoch: Callable[[], float], trainer: Trainer, count: int) -> Contestant:
    perplexity = [0.0]

    def work() -> float:
        for _ in range(count):
            perplexity[0] = epoch()
        synchronise(trainer.device)
        return count * trainer.batches.tokens_per_epoch

    return Contestant(name, rate_of(work), lambda: {"perplexity": perplexity[0]})


def training_limit(trainer: Trainer, effort: Effort, tokens_per_unit: float = 1.0) -> Contestant:
    """The limit of a training: its tokens, or units of so many of them, in the time of the products alone."""
    config, model = trainer.config, trainer.model
    products = training_products(
        len(CELLS[config.cell].gates), config.num_hiddens, model.vocabulary_size, config.batch_size, config.num_steps
    )
    dtype = factor_format(trainer.device) if config.precision == "bf16" else torch.float32
    rate = MatrixRate(products, dtype, trainer.device, effort.product_seconds)
    per_batch = config.batch_size * config.num_steps / tokens_per_unit
    return _limit(rate, per_batch)


def _limit(rate: MatrixRate, units: float) -> Contestant:
    """The limit: so many units in the time of the products alone."""
    last = [0.0]

    def run() -> float:
        last[0] = rate.seconds()
        return units / last[0]

    return Contestant("its matrix products alone", run, lambda: {"gflops": rate.flops / last[0] / 1e9})


def _scratch(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    trainer = our_trainer(config, effort)
    reference = twin_epochs(textbook_twin(trainer), trainer, "the textbook's loop, fp32")
    return Bout(our_epochs(trainer, "ours"), (reference,), training_limit(trainer, effort))


def _against_plain(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    trainer, plain = (our_trainer(config.replace(cpu_path=path), effort) for path in ("auto", "plain"))
    return Bout(
        our_epochs(trainer, "ours"), (our_epochs(plain, "ours, cpu_path=plain"),), training_limit(trainer, effort)
    )


def _stock(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    trainer = our_trainer(config, effort)
    reference = twin_epochs(stock_twin(trainer), trainer, f"nn.{config.cell.upper()} on one-hot")
    return Bout(our_epochs(trainer, "ours"), (reference,), training_limit(trainer, effort))


def _gated(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    trainer = our_trainer(config, effort)
    stock = our_trainer(config.replace(implementation="torch.nn"), effort)
    references = (
        our_epochs(stock, "our torch.nn model"),
        twin_epochs(stock_twin(stock), stock, f"nn.{config.cell.upper()} on one-hot"),
    )
    return Bout(our_epochs(trainer, "ours"), references, training_limit(trainer, effort))


# ---------------------------------------------------------------------------------------------------------------------
# writing, opening


def our_text(model: LanguageModel, corpus: Corpus, prefix: str, length: int) -> str:
    """The prefix and what our writer makes of it, always the most likely token."""
    return prefix + "".join(write(model, corpus.vocabulary, prefix, length, Sampling(strategy="greedy")))


def _writing(config: RunConfig, effort: Effort, stack: ExitStack) -> Bout:
    trainer = our_trainer(config, effort)
    twin, vocabulary, prefix = textbook_twin(trainer), trainer.corpus.vocabulary, "分开"
    ids: list[int] = vocabulary.encode(prefix).tolist()

    def ours() -> float:
        our_text(trainer.model, trainer.corpus, prefix, effort.characters)
        return effort.characters

    def textbook() -> float:
        twin.predict(ids, effort.characters, vocabulary.id_to_token)
        return effort.characters

    products = writing_products(1, config.num_hiddens, len(vocabulary))
    device = next(trainer.model.parameters()).device
    rate = MatrixRate(products, torch.float32, device, effort.product_seconds)
    return Bout(
        Contestant("ours", rate_of(ours)),
        (Contestant("the textbook's loop", rate_of(textbook)),),
        _limit(rate, 1.0),
    )


def _opening(effort: Effort, stack: ExitStack) -> Bout:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))) / "text.txt"
    write_text(path, effort.corpus_bytes)
    found: dict[str, Mapping[str, float]] = {}

    def open_once(way: str) -> float:
        command = [sys.executable, "-m", "core.benchmark.opening", way, str(path)]
        answer = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
        facts = json.loads(answer.stdout)
        found[way] = {name: facts[name] for name in ("peak_bytes", "tokens", "vocabulary") if facts[name]}
        return path.stat().st_size / float(facts["seconds"]) / 1e6

    def contestant(name: str, way: str) -> Contestant:
        return Contestant(name, partial(open_once, way), lambda: found[way])

    return Bout(
        contestant("ours", "ours"),
        (contestant("numpy on the whole array", "numpy"),),
        contestant("read, checksum and decode alone", "passes"),
    )
