"""Presets: named RunConfigs, with the perplexities published for them and the pitfalls of comparing.

No torch in this module: the screen lists them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.process import is_bf16_fast
from core.settings.run_config import RunConfig

D2L_ZH = "Dive into Deep Learning, 1st Chinese edition, chapter 6"
D2L_2 = "Dive into Deep Learning, 2nd Chinese edition, chapters 8 and 9"


@dataclass(frozen=True)
class Preset:
    """A configuration with a name.

    ``title`` describes it in one line. ``published`` is the training perplexity by epoch, as printed in ``source``;
    ``note`` is about comparing with it. ``own``: the user saved it.
    """

    name: str
    title: str
    config: RunConfig
    source: str
    published: Mapping[int, float] = field(default_factory=dict)
    note: str = ""
    own: bool = False

    def to_json(self) -> dict[str, Any]:
        published = {str(epoch): value for epoch, value in self.published.items()}
        return {
            "name": self.name, "title": self.title, "source": self.source, "published": published, "note": self.note,
            "own": self.own, "config": self.config.to_dict(),
        }  # fmt: skip


_LYRICS = RunConfig(
    corpus="lyrics-zh", normalise="spaces", max_tokens=10_000, num_hiddens=256, batch_size=32, num_steps=35,
    optimiser="sgd", learning_rate=100.0, clipping="norm", clip=0.01, num_epochs=250, sample_prefix="分开",
    random_offset=False,
)  # fmt: skip
_TALE = RunConfig(
    corpus="tale-en", normalise="spaces", max_tokens=0, validation_fraction=0.1, cell="gru", num_hiddens=256,
    embedding_size=64, dropout=0.25, initialisation="uniform", batch_size=16, num_steps=48, optimiser="adamw",
    learning_rate=0.005, schedule="cosine", warmup_epochs=1.0, clipping="norm", clip=1.0, num_epochs=24,
    sample_every=2, sample_prefix="The ", sample_length=120,
)  # fmt: skip
_LYRICS_NN = _LYRICS.replace(
    implementation="torch.nn", optimiser="adam", learning_rate=0.001, clipping="none", sampling="sequential"
)
_LYRICS_GRU = _LYRICS_NN.replace(cell="gru", learning_rate=0.01, clipping="norm", num_epochs=160)
_LYRICS_LSTM = _LYRICS_GRU.replace(cell="lstm")
_LYRICS_512 = _LYRICS.replace(
    normalise="no-punctuation", num_hiddens=512, learning_rate=1.0, clip=1.0, num_epochs=1000, sample_every=50
)
_TIME_MACHINE = RunConfig(
    corpus="time-machine", normalise="letters", max_tokens=10_000, num_hiddens=512, batch_size=32, num_steps=35,
    optimiser="sgd", learning_rate=1.0, clipping="norm", clip=1.0, num_epochs=500, sample_prefix="time traveller",
    sample_every=50,
)  # fmt: skip
_TIME_MACHINE_NN = _TIME_MACHINE.replace(implementation="torch.nn", num_hiddens=256)
_TIME_MACHINE_GRU, _TIME_MACHINE_LSTM = (_TIME_MACHINE_NN.replace(cell=cell) for cell in ("gru", "lstm"))
_TANG_POET = RunConfig(
    corpus="verse-zh", normalise="none", documents="lines", max_tokens=0, implementation="torch.nn", cell="lstm",
    num_hiddens=256, num_layers=2, embedding_size=128, batch_size=128, num_steps=125, bucketing=True, optimiser="adam",
    learning_rate=0.001, clipping="none", num_epochs=100, sample_prefix="春", sample_length=64,
)  # fmt: skip
_SHAKESPEARE = RunConfig(
    corpus="tiny-shakespeare", normalise="none", max_tokens=0, validation_fraction=0.1, implementation="scratch",
    cell="lstm", num_hiddens=512, embedding_size=256, dropout=0.3, weight_dropout=0.1, initialisation="uniform",
    batch_size=32, num_steps=64, optimiser="adamw", learning_rate=0.005, weight_decay=0.1, schedule="cosine",
    warmup_epochs=0.3, clipping="norm", clip=1.0, num_epochs=11, minutes=3.0, precision="bf16",
    sample_every=1, sample_prefix="ROMEO:", sample_length=120,
)  # fmt: skip
if not is_bf16_fast():  # half as fast: five epochs of a smaller model want more steps, and hardly overfit
    _SHAKESPEARE = _SHAKESPEARE.replace(
        precision="fp32", num_hiddens=448, num_steps=32, learning_rate=0.007, dropout=0.1, weight_dropout=0.0
    )
_SHAKESPEARE_GPU = _SHAKESPEARE.replace(
    implementation="torch.nn", initialisation="auto", num_hiddens=1024, num_layers=2, dropout=0.5, weight_dropout=0.0,
    batch_size=64, num_steps=128, learning_rate=0.002, warmup_epochs=1.0, num_epochs=30, minutes=0.0, precision="bf16",
)  # fmt: skip

_OWN_TEXT = (
    "The book's text is under copyright and not bundled; lyrics-zh repeats itself less, so its curve falls later."
)
_CLIPPING_TRAP = (
    "Trap: the book's code hands a generator to its clipping function, which uses it up: nothing is clipped; "
    "with clipping at 0.01 the curve is 38.0, 3.94, 1.23, 1.03, 1.02. "
)
_RANDOM_TRAP = (
    'The book also prints 1.5 for a "random" run. Trap: that one resets the state but does not sample at random; '
    "here it is sampling=sequential with state=reset."
)

_ALL = (
    Preset(
        "lyrics-scratch-sequential", "scratch RNN on lyrics, sequential partition", _LYRICS, D2L_ZH,
        {50: 60.29, 100: 7.14, 150: 2.09, 200: 1.31, 250: 1.23}, _OWN_TEXT,
    ),
    Preset(
        "lyrics-scratch-random", "scratch RNN on lyrics, random sampling", _LYRICS.replace(sampling="random"),
        D2L_ZH, {50: 65.81, 100: 9.79, 150: 2.77, 200: 1.60, 250: 1.32}, _OWN_TEXT,
    ),
    Preset(
        "lyrics-nn-rnn", "torch.nn RNN on lyrics, Adam", _LYRICS_NN, D2L_ZH,
        {50: 9.41, 100: 1.26, 150: 1.06, 200: 1.03, 250: 1.05}, _CLIPPING_TRAP + _OWN_TEXT,
    ),
    Preset("lyrics-nn-gru", "torch.nn GRU on lyrics, Adam", _LYRICS_GRU, D2L_ZH, {160: 1.02}, _OWN_TEXT),
    Preset("lyrics-nn-lstm", "torch.nn LSTM on lyrics, Adam", _LYRICS_LSTM, D2L_ZH, {160: 1.02}, _OWN_TEXT),
    Preset(
        "lyrics-512", "scratch RNN with 512 hidden units, without punctuation", _LYRICS_512,
        "course notes after " + D2L_ZH,
        note="Published as a plot only. " + _OWN_TEXT,
    ),
    Preset(
        "tale-en", "GRU on an English tale: words within a minute", _TALE, "this project",
        note="Measured with seed 1: held-out perplexity 9.19, 4.31, 4.01 and 4.05 after 1, 5, 10 and 24 epochs, "
        "training 19.6, 4.50, 3.46 and 2.37; words from epoch 4 on. It takes 34 s of one core; 105 s on two busy "
        "ones.",
    ),
    Preset(
        "time-machine-scratch", "scratch RNN on The Time Machine", _TIME_MACHINE, D2L_2, {500: 1.0}, _RANDOM_TRAP
    ),
    Preset("time-machine-rnn", "torch.nn RNN on The Time Machine", _TIME_MACHINE_NN, D2L_2, {500: 1.3}),
    Preset("time-machine-gru", "torch.nn GRU on The Time Machine", _TIME_MACHINE_GRU, D2L_2, {500: 1.0}),
    Preset("time-machine-lstm", "torch.nn LSTM on The Time Machine", _TIME_MACHINE_LSTM, D2L_2, {500: 1.1}),
    Preset(
        "time-machine-lstm-2", "two layers of torch.nn LSTM on The Time Machine",
        _TIME_MACHINE_LSTM.replace(num_layers=2, learning_rate=2.0), D2L_2, {500: 1.0},
    ),
    Preset(
        "tang-poet", "two layers of LSTM over poems, one poem a line", _TANG_POET,
        "the well-known Chinese poetry generators in PyTorch",
        note="No perplexity is published. Any file with one poem a line goes with it.",
    ),
    Preset(
        "shakespeare-fast", "LSTM on tiny Shakespeare: the best held-out loss in three minutes", _SHAKESPEARE,
        "nanoGPT's README: 1.88 nats held out after 3 minutes on a CPU, 1.4697 on an A100",
        note="Those are nats on the held-out tenth; the perplexity is e to the power of it: 6.55 and 4.35.",
    ),
    Preset(
        "shakespeare-gpu", "two layers of LSTM on tiny Shakespeare, as large as a GPU trains in three minutes",
        _SHAKESPEARE_GPU, "nanoGPT's README: 1.4697 nats held out after 3 minutes on an A100",
        note="Aims at 1.38 nats, a perplexity of 3.97, on an H100. Unproven: the settings are reasoned, not tried.",
    ),
)  # fmt: skip
PRESETS = {preset.name: preset for preset in _ALL}


def suggested_prefix(corpus: str) -> str:
    """The sample prefix of the bundled presets on a text; empty, its beginning, if there are none."""
    return next((preset.config.sample_prefix for preset in _ALL if preset.config.corpus == corpus), "")


def offered_presets() -> dict[str, Preset]:
    """The bundled presets in the order of a list: ``tale-en`` first for a user whose language is not Chinese."""
    language = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return PRESETS if language.startswith("zh") else {"tale-en": PRESETS["tale-en"], **PRESETS}
