"""RunConfig: the one description of every setting.

The form, the command-line flags, ``run.json``, the presets and the error messages are derived from the fields
below. A new hyperparameter is one new field here and appears everywhere. No torch in this module: the screen
imports it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from core.errors import ConfigError
from core.setting import Setting, Value, shortened, shown

__all__ = [
    "END", "PADDING", "START", "RunConfig", "Setting", "Value", "minimum_tokens", "setting", "settings", "shown",
]  # fmt: skip

# What stands around a poem, and behind it up to num_steps: the ids 1, 2 and 3 where documents are lines.
START, END, PADDING = "<start>", "<end>", "<pad>"


def _setting(default: Any, group: str, label: str, help: str, **facts: Any) -> Any:
    return field(default=default, metadata={"group": group, "label": label, "help": help, **facts})


def _is_rnn(config: RunConfig) -> bool:
    return config.cell == "rnn"


def _is_stream(config: RunConfig) -> bool:
    return config.documents == "stream"


def _held_out(config: RunConfig) -> bool:
    return config.validation_fraction > 0


@dataclass(frozen=True)
class RunConfig:
    """All that determines a run. Every instance is valid: construction checks each value and raises ``ConfigError``."""

    # the text
    corpus: str = _setting("lyrics-zh", "text", "corpus", "a bundled text, or the path of a text file")
    normalise: str = _setting(
        "spaces", "text", "normalise",
        "spaces: line ends become blanks; letters: a to z only, lower case, line by line; "
        "no-punctuation: letters and digits of any script",
        choices=("none", "spaces", "letters", "no-punctuation"),
    )  # fmt: skip
    tokens: str = _setting("char", "text", "tokens", "what the model reads one at a time", choices=("char", "word"))
    documents: str = _setting(
        "stream", "text", "documents",
        "stream: one long text; lines: each line is a poem of its own, between a start and an end token",
        choices=("stream", "lines"),
    )  # fmt: skip
    max_tokens: int = _setting(
        10_000, "text", "max tokens", "use the first so many tokens; 0 uses the whole text",
        unit="tokens", minimum=0, maximum=10**10,
    )  # fmt: skip
    min_freq: int = _setting(
        0, "text", "min freq", "tokens rarer than this become the unknown token", unit="times", minimum=0, maximum=10**9
    )
    validation_fraction: float = _setting(
        0.0, "text", "held out", "share of the text, at its end, that is not trained on and measured after each epoch",
        minimum=0.0, maximum=0.5,
    )  # fmt: skip

    # the model
    implementation: str = _setting(
        "scratch", "model", "model", "our own equations, or PyTorch's layers", choices=("scratch", "torch.nn")
    )
    cell: str = _setting("rnn", "model", "cell", "the recurrent unit", choices=("rnn", "gru", "lstm"))
    activation: str = _setting(
        "tanh",
        "model",
        "activation",
        "the nonlinearity of the hidden state",
        choices=("tanh", "relu"),
        relevant=_is_rnn,
    )
    num_hiddens: int = _setting(
        256, "model", "hidden", "hidden units in each layer", unit="units", minimum=1, maximum=16_384
    )
    num_layers: int = _setting(1, "model", "layers", "recurrent layers on top of each other", minimum=1, maximum=8)
    bidirectional: bool = _setting(
        False, "model", "bidirectional",
        "reads both ways: it sees its own answer, so its perplexity is no language model's, and it cannot write",
    )  # fmt: skip
    embedding_size: int = _setting(
        0,
        "model",
        "embedding",
        "size of the input vectors; 0 feeds one-hot vectors",
        unit="units",
        minimum=0,
        maximum=16_384,
    )
    tied: bool = _setting(
        False, "model", "tied", "input and output share one embedding table; needs embedding = hidden",
        relevant=lambda config: config.embedding_size > 0,
    )  # fmt: skip
    dropout: float = _setting(
        0.0, "model", "dropout", "share of units silenced between layers and before the output", minimum=0.0, below=1.0
    )
    weight_dropout: float = _setting(
        0.0, "model", "weight dropout", "share of the recurrent weights W_h silenced for each batch (DropConnect)",
        minimum=0.0, below=1.0,
    )  # fmt: skip
    initialisation: str = _setting(
        "auto", "model", "initial weights",
        "normal: N(0, 0.01), biases 0; uniform: between -1/sqrt(hidden) and 1/sqrt(hidden); auto: normal for scratch, "
        "uniform for torch.nn",
        choices=("auto", "normal", "uniform"),
    )  # fmt: skip

    # the batches
    batch_size: int = _setting(
        32, "batches", "batch", "sequences side by side", unit="sequences", minimum=1, maximum=65_536
    )
    num_steps: int = _setting(
        35, "batches", "steps", "tokens in each sequence: how far gradients go back in time", unit="tokens",
        minimum=1, maximum=10_000,
    )  # fmt: skip
    sampling: str = _setting(
        "sequential", "batches", "sampling",
        "sequential: each batch continues the one before; random: pieces in random order",
        choices=("sequential", "random"), relevant=_is_stream,
    )  # fmt: skip
    state: str = _setting(
        "auto", "batches", "state",
        "carried (and detached) from batch to batch, or reset to zero; auto: carried for sequential, reset for random",
        choices=("auto", "carried", "reset"), relevant=_is_stream,
    )  # fmt: skip
    random_offset: bool = _setting(
        True, "batches", "random offset", "each epoch cuts the text at another place, less than one sequence on",
        relevant=_is_stream,
    )  # fmt: skip

    # the optimisation
    num_epochs: int = _setting(
        250, "training", "epochs", "passes over the text", unit="epochs", minimum=1, maximum=10**9, live=True
    )
    optimiser: str = _setting(
        "sgd", "training", "optimiser", "how gradients change the weights", choices=("sgd", "adam", "adamw", "rmsprop")
    )
    learning_rate: float = _setting(
        100.0, "training", "lr", "learning rate: the size of a step", above=0.0, maximum=1e6, live=True
    )
    momentum: float = _setting(
        0.0, "training", "momentum", "share of the last step that is kept", minimum=0.0, below=1.0,
        relevant=lambda config: config.optimiser in ("sgd", "rmsprop"),
    )  # fmt: skip
    weight_decay: float = _setting(
        0.0, "training", "weight decay", "pull of the weights towards zero", minimum=0.0, maximum=10.0
    )
    schedule: str = _setting(
        "constant", "training", "schedule",
        "how the learning rate goes: step multiplies it every so many epochs, cosine warms up and sinks to zero, "
        "plateau multiplies it when the perplexity stands still",
        choices=("constant", "step", "cosine", "plateau"),
    )  # fmt: skip
    warmup_epochs: float = _setting(
        0.0, "training", "warm-up", "the learning rate rises from 0 over so many epochs", unit="epochs", minimum=0.0,
        maximum=1e6, relevant=lambda config: config.schedule == "cosine",
    )  # fmt: skip
    decay_epochs: int = _setting(
        10, "training", "decay every", "epochs between two decays (step), or without progress before one (plateau)",
        unit="epochs", minimum=1, maximum=10**6, relevant=lambda config: config.schedule in ("step", "plateau"),
    )  # fmt: skip
    decay_factor: float = _setting(
        0.5, "training", "decay by", "a decay multiplies the learning rate by this", above=0.0, below=1.0,
        relevant=lambda config: config.schedule in ("step", "plateau"),
    )  # fmt: skip
    clipping: str = _setting(
        "norm", "training", "clipping", "limits the gradient: its global norm, each value, or not at all",
        choices=("none", "norm", "value"),
    )  # fmt: skip
    clip: float = _setting(
        0.01, "training", "clip", "the limit", above=0.0, maximum=1e6, relevant=lambda config: config.clipping != "none"
    )
    patience: int = _setting(
        0, "training", "patience", "stop after so many epochs without a better held-out perplexity; 0 never does",
        unit="epochs", minimum=0, maximum=10**6, relevant=_held_out,
    )  # fmt: skip

    # the machine
    seed: int = _setting(1, "machine", "seed", "same seed, same numbers", minimum=0, maximum=2**63 - 1)
    device: str = _setting("auto", "machine", "device", "auto takes the best there is: cuda, cuda:1, mps, cpu")
    threads: int = _setting(
        0, "machine", "threads", "CPU threads; 0 takes one per core", unit="threads", minimum=0, maximum=1024
    )
    precision: str = _setting(
        "fp32", "machine", "precision", "number format of the matrix products", choices=("fp32", "tf32", "bf16")
    )
    cpu_path: str = _setting(
        "auto", "machine", "CPU path",
        "auto: recurrence, loss and dropout in kernels compiled here, given a C compiler; plain: PyTorch's calls alone",
        choices=("auto", "plain"),
        relevant=lambda config: not config.device.startswith("cuda"),
    )  # fmt: skip
    gpu_path: str = _setting(
        "auto", "machine", "GPU path",
        "auto: the step in a CUDA graph and the recurrence in a persistent kernel, each where it can be had; graph or "
        "kernel: that one alone; plain: neither",
        choices=("auto", "graph", "kernel", "plain"),
        relevant=lambda config: config.device.startswith(("auto", "cuda")),
    )  # fmt: skip
    sample_every: int = _setting(
        10, "machine", "sample every", "epochs between two samples of the model's writing; 0 writes none",
        unit="epochs", minimum=0, maximum=10**9,
    )  # fmt: skip
    sample_prefix: str = _setting(
        "", "machine", "sample prefix", "how the samples begin; empty takes the beginning of the text",
        relevant=lambda config: config.sample_every > 0,
    )  # fmt: skip
    sample_length: int = _setting(
        50, "machine", "sample length", "tokens in a sample", unit="tokens", minimum=1, maximum=10_000,
        relevant=lambda config: config.sample_every > 0,
    )  # fmt: skip
    checkpoint_seconds: float = _setting(
        30.0,
        "machine",
        "save every",
        "at most so much work is lost in a crash",
        unit="seconds",
        minimum=0.0,
        maximum=86_400.0,
    )

    def __post_init__(self) -> None:
        for setting in settings():
            checked = setting.check(getattr(self, setting.name))
            object.__setattr__(self, setting.name, checked)
        if self.tied and self.embedding_size != self.num_hiddens * (2 if self.bidirectional else 1):
            raise ConfigError(
                "tied needs embedding_size equal to the width of the output layer's input, "
                f"{shown(self.num_hiddens * (2 if self.bidirectional else 1))}, got {shown(self.embedding_size)}",
                "tied",
            )
        if self.documents == "lines" and self.normalise in ("spaces", "letters", "no-punctuation"):
            raise ConfigError(
                f"documents=lines needs the line ends, which normalise={self.normalise} takes away: "
                "choose normalise=none",
                "documents",
            )
        if self.documents == "lines" and self.tokens == "word":
            raise ConfigError("documents=lines needs tokens=char: words have no line ends between them", "documents")
        if not self.corpus.strip():
            raise ConfigError("corpus must be the name of a bundled text or the path of a file, got nothing", "corpus")

    @property
    def reserved_tokens(self) -> tuple[str, ...]:
        """Tokens that the vocabulary has beside those of the text."""
        return (START, END, PADDING) if self.documents == "lines" else ()

    @property
    def carries_state(self) -> bool:
        """Whether the hidden state at the end of a batch begins the next one."""
        if self.documents == "lines":
            return False
        return self.state == "carried" or (self.state == "auto" and self.sampling == "sequential")

    @property
    def initial_weights(self) -> str:
        """``initialisation`` with ``auto`` resolved."""
        if self.initialisation != "auto":
            return self.initialisation
        return "normal" if self.implementation == "scratch" else "uniform"

    def replace(self, **changes: Any) -> RunConfig:
        """A copy with some settings changed. Raises ``ConfigError`` for a wrong value or an unknown name."""
        for name in changes:
            setting(name)
        return dataclasses.replace(self, **changes)

    def with_texts(self, pairs: Mapping[str, str]) -> RunConfig:
        """A copy with settings as a person typed them: ``{"num_steps": "35"}``. Raises ``ConfigError``."""
        return self.replace(**{name: setting(name).parse(text) for name, text in pairs.items()})

    def to_dict(self) -> dict[str, Value]:
        """The settings as JSON-able values, in the order of the fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """The inverse of ``to_dict``; missing settings take their defaults. Raises ``ConfigError``."""
        for name in values:
            setting(name)
        return cls(**values)


@cache
def settings() -> tuple[Setting, ...]:
    """Every setting, in the order in which a form shows them."""
    kinds = {"int": int, "float": float, "bool": bool, "str": str}
    return tuple(
        Setting(name=item.name, kind=kinds[str(item.type)], default=cast(Value, item.default), **item.metadata)
        for item in dataclasses.fields(RunConfig)
    )


@cache
def _by_name() -> dict[str, Setting]:
    return {item.name: item for item in settings()}


def setting(name: str) -> Setting:
    """The setting of that name. Raises ``ConfigError`` with the nearest names for a wrong one."""
    found = _by_name().get(name)
    if found is None:
        import difflib

        near = difflib.get_close_matches(str(name)[:100], _by_name(), n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(_by_name())}"
        raise ConfigError(f"there is no setting {shortened(repr(str(name)))}{hint}")
    return found


def minimum_tokens(config: RunConfig) -> int:
    """Tokens that the training part must have for one batch: ``batch_size * num_steps`` inputs and one target more."""
    return config.batch_size * config.num_steps + 1
