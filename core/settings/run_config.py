"""RunConfig: the one description of every setting of a run.

A new hyperparameter is one new field here: the form, the flags of the command line, ``run.json``, the presets and the
error messages are derived from it. No torch in this module: the screen imports it.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.settings.cells import CELLS
from core.settings.setting import Setting, Settings, Value, described, shown

__all__ = [
    "END", "PADDING", "START", "RunConfig", "Setting", "Value", "live_setting", "minimum_tokens", "setting",
    "settings", "shown",
]  # fmt: skip

# Before and after each poem, and after its end up to num_steps: the ids 1, 2 and 3 where documents are lines.
START, END, PADDING = "<start>", "<end>", "<pad>"


def _is_stream(config: RunConfig) -> bool:
    return config.documents == "stream"


@dataclass(frozen=True)
class RunConfig(Settings):
    """All settings of a run."""

    # the text
    corpus: str = described("lyrics-zh", "text", "corpus", "name of a bundled text, or path of a text file")
    normalise: str = described(
        "spaces", "text", "normalise",
        "spaces: line breaks become spaces; letters: a to z only, in lower case, line by line; "
        "no-punctuation: letters and digits of any script",
        choices=("none", "spaces", "letters", "no-punctuation"),
    )  # fmt: skip
    tokens: str = described(
        "char", "text", "tokens", "unit of text that the model reads at each step", choices=("char", "word")
    )
    documents: str = described(
        "stream", "text", "documents",
        "stream: one long text; lines: each line is a separate poem, between a start and an end token",
        choices=("stream", "lines"),
    )  # fmt: skip
    max_tokens: int = described(
        10_000, "text", "max tokens", "use only the first N tokens of the text; 0 uses all",
        unit="tokens", minimum=0, maximum=10**10,
    )  # fmt: skip
    min_freq: int = described(
        0, "text", "min freq", "tokens that occur fewer times than this become the unknown token", unit="times",
        minimum=0, maximum=10**9,
    )  # fmt: skip
    validation_fraction: float = described(
        0.0, "text", "held out",
        "fraction of the text, at its end, kept out of training and evaluated after each epoch",
        minimum=0.0, maximum=0.5,
    )  # fmt: skip

    # the model
    implementation: str = described(
        "scratch", "model", "model",
        "scratch: the textbook's equations, written out; torch.nn: PyTorch's layers",
        choices=("scratch", "torch.nn"),
    )  # fmt: skip
    cell: str = described("rnn", "model", "cell", "type of recurrent unit", choices=tuple(CELLS))
    activation: str = described(
        "tanh", "model", "activation", "activation function of the hidden state", choices=("tanh", "relu"),
        relevant=lambda config: CELLS[config.cell].has_activation,
    )  # fmt: skip
    num_hiddens: int = described(
        256, "model", "hidden", "hidden units in each layer", unit="units", minimum=1, maximum=16_384
    )
    num_layers: int = described(1, "model", "layers", "stacked recurrent layers", minimum=1, maximum=8)
    bidirectional: bool = described(
        False, "model", "bidirectional",
        "reads in both directions: it sees the tokens it predicts, so its perplexity is not a language model's, and it "
        "cannot write",
    )  # fmt: skip
    embedding_size: int = described(
        0, "model", "embedding", "size of the embedding vectors; 0 uses one-hot vectors", unit="units", minimum=0,
        maximum=16_384,
    )  # fmt: skip
    tied: bool = described(
        False, "model", "tied", "input and output layer share one embedding table; needs embedding = hidden",
        relevant=lambda config: config.embedding_size > 0,
    )  # fmt: skip
    dropout: float = described(
        0.0, "model", "dropout",
        "fraction of units set to zero in training, between layers and before the output",
        minimum=0.0, below=1.0,
    )  # fmt: skip
    weight_dropout: float = described(
        0.0, "model", "weight dropout", "fraction of the recurrent weights W_h set to zero in each batch (DropConnect)",
        minimum=0.0, below=1.0,
    )  # fmt: skip
    initialisation: str = described(
        "auto", "model", "initial weights",
        "normal: N(0, 0.01), biases 0; uniform: between -1/sqrt(hidden) and 1/sqrt(hidden); auto: normal for scratch, "
        "uniform for torch.nn",
        choices=("auto", "normal", "uniform"),
    )  # fmt: skip

    # the batches
    batch_size: int = described(
        32, "batches", "batch", "sequences in each batch", unit="sequences", minimum=1, maximum=65_536
    )
    num_steps: int = described(
        35, "batches", "steps", "tokens in each sequence: how far back in time gradients flow", unit="tokens",
        minimum=1, maximum=10_000,
    )  # fmt: skip
    sampling: str = described(
        "sequential", "batches", "sampling",
        "sequential: each batch continues the previous one; random: sequences in random order",
        choices=("sequential", "random"), relevant=_is_stream,
    )  # fmt: skip
    state: str = described(
        "auto", "batches", "state",
        "hidden state at the start of a batch: carried over (detached), or reset to zero; auto: carried for "
        "sequential, reset for random",
        choices=("auto", "carried", "reset"), relevant=_is_stream,
    )  # fmt: skip
    random_offset: bool = described(
        True, "batches", "random offset", "each epoch starts at a random offset of less than one sequence",
        relevant=_is_stream,
    )  # fmt: skip
    bucketing: bool = described(
        False, "batches", "bucketing", "lines of like length share a batch, so that little of it is padding",
        relevant=lambda config: config.documents == "lines",
    )  # fmt: skip

    # the optimisation
    num_epochs: int = described(
        250, "training", "epochs", "passes over the text", unit="epochs", minimum=1, maximum=10**9, live=True
    )
    minutes: float = described(
        0.0, "training", "time budget",
        "training ends after so many minutes: once the pace is measured, epochs and schedule are fitted to them, and "
        "the last epoch may be cut; 0: no budget, train all epochs",
        unit="minutes", minimum=0.0, maximum=525_600.0,
    )  # fmt: skip
    optimiser: str = described(
        "sgd", "training", "optimiser", "algorithm that updates the weights",
        choices=("sgd", "adam", "adamw", "rmsprop"),
    )  # fmt: skip
    learning_rate: float = described(
        100.0, "training", "lr", "learning rate: step size of the optimiser", above=0.0, maximum=1e6, live=True
    )
    momentum: float = described(
        0.0, "training", "momentum", "fraction of the previous update that is kept in the next", minimum=0.0, below=1.0,
        relevant=lambda config: config.optimiser in ("sgd", "rmsprop"),
    )  # fmt: skip
    weight_decay: float = described(
        0.0, "training", "weight decay", "strength of the decay of the weights towards zero", minimum=0.0, maximum=10.0
    )
    schedule: str = described(
        "constant", "training", "schedule",
        "how the learning rate changes: step decays it at regular intervals, cosine warms up and falls to zero, "
        "plateau decays it when the perplexity stops improving",
        choices=("constant", "step", "cosine", "plateau"),
    )  # fmt: skip
    warmup_epochs: float = described(
        0.0, "training", "warm-up", "epochs in which the learning rate rises from 0", unit="epochs", minimum=0.0,
        maximum=1e6, relevant=lambda config: config.schedule == "cosine",
    )  # fmt: skip
    decay_epochs: int = described(
        10, "training", "decay every", "epochs between decays (step), or without improvement before a decay (plateau)",
        unit="epochs", minimum=1, maximum=10**6, relevant=lambda config: config.schedule in ("step", "plateau"),
    )  # fmt: skip
    decay_factor: float = described(
        0.5, "training", "decay by", "factor of the learning rate at each decay", above=0.0, below=1.0,
        relevant=lambda config: config.schedule in ("step", "plateau"),
    )  # fmt: skip
    clipping: str = described(
        "norm", "training", "clipping",
        "what is clipped: the global norm of the gradient, each of its values, or nothing",
        choices=("none", "norm", "value"),
    )  # fmt: skip
    clip: float = described(
        0.01, "training", "clip", "largest gradient norm (or value) allowed", above=0.0, maximum=1e6,
        relevant=lambda config: config.clipping != "none",
    )  # fmt: skip
    patience: int = described(
        0, "training", "patience", "stop after N epochs without a better held-out perplexity; 0 never stops early",
        unit="epochs", minimum=0, maximum=10**6, relevant=lambda config: config.validation_fraction > 0,
    )  # fmt: skip

    # the machine
    seed: int = described(
        1, "machine", "seed", "seed of the random numbers: the same seed gives the same run", minimum=0,
        maximum=2**63 - 1,
    )  # fmt: skip
    device: str = described(
        "auto", "machine", "device", "cuda, cuda:1, mps or cpu; auto chooses the best one available"
    )
    threads: int = described(
        0, "machine", "threads", "CPU threads; 0 uses one per core", unit="threads", minimum=0, maximum=1024
    )
    workers: int = described(
        0, "machine", "workers",
        "processes that train the model together, each on its rows of every batch; 0: one for each GPU, 1 on a CPU",
        unit="processes", minimum=0, maximum=1024,
    )  # fmt: skip
    precision: str = described(
        "fp32",
        "machine",
        "precision",
        "number format of the factors of matrix products",
        choices=("fp32", "tf32", "bf16"),
    )
    cpu_path: str = described(
        "auto", "machine", "CPU path",
        "auto: recurrence, loss and dropout in C kernels, compiled on this machine if it has a compiler; plain: "
        "PyTorch's operations only; textbook: the equations as the textbook writes them, on any device, slowly",
        choices=("auto", "plain", "textbook"),
        relevant=lambda config: config.cpu_path == "textbook" or not config.device.startswith("cuda"),
    )  # fmt: skip
    gpu_path: str = described(
        "auto", "machine", "GPU path",
        "auto: the step in a CUDA graph and the recurrence in a persistent kernel, each where available; graph or "
        "kernel: only that one; plain: neither",
        choices=("auto", "graph", "kernel", "plain"),
        relevant=lambda config: config.device.startswith(("auto", "cuda")),
    )  # fmt: skip
    sample_every: int = described(
        10, "machine", "sample every", "epochs between samples of what the model writes; 0 writes none",
        unit="epochs", minimum=0, maximum=10**9,
    )  # fmt: skip
    sample_prefix: str = described(
        "", "machine", "sample prefix", "text that each sample continues; empty uses the beginning of the corpus",
        relevant=lambda config: config.sample_every > 0,
    )  # fmt: skip
    sample_length: int = described(
        50, "machine", "sample length", "tokens in each sample", unit="tokens", minimum=1, maximum=10_000,
        relevant=lambda config: config.sample_every > 0,
    )  # fmt: skip
    inspect_every: int = described(
        0, "machine", "inspect every",
        "epochs between measurements of the gradient's factor through time and of the saturated units; 0 measures none",
        unit="epochs", minimum=0, maximum=10**9,
    )  # fmt: skip
    checkpoint_seconds: float = described(
        30.0, "machine", "save every", "seconds between checkpoints: the most that a crash can cost", unit="seconds",
        minimum=0.0, maximum=86_400.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        width = self.num_hiddens * (2 if self.bidirectional else 1)
        if self.tied and self.embedding_size != width:
            raise self.refusal(
                "tied", "{tied} needs {embedding_size} equal to the width of the output layer's input, {width}, got "
                "{given}", width=shown(width), given=shown(self.embedding_size),
            )  # fmt: skip
        if self.documents == "lines" and self.normalise != "none":
            raise self.refusal(
                "documents",
                "{documents}=lines needs the line breaks, which {normalise}={given} removes: choose {normalise}=none",
                given=self.normalise,
            )
        if self.documents == "lines" and self.tokens == "word":
            raise self.refusal(
                "documents", "{documents}=lines needs {tokens}=char: there are no line breaks between words"
            )
        if self.cpu_path == "textbook" and self.implementation != "scratch":
            raise self.refusal(
                "cpu_path",
                "{cpu_path}=textbook needs {implementation}=scratch, got {given}: PyTorch's layers have their own "
                "arithmetic",
                given=self.implementation,
            )
        cell = CELLS[self.cell]
        if self.implementation == "torch.nn" and not cell.layer:
            raise self.refusal(
                "implementation", "{implementation}=torch.nn has no layer for {cell}={given}: choose "
                "{implementation}=scratch", given=self.cell,
            )  # fmt: skip
        if self.cpu_path != "textbook" and not cell.is_derived:
            raise self.refusal(
                "cpu_path", "{cell}={given} is computed by the textbook's equations alone: choose {cpu_path}=textbook",
                given=self.cell,
            )  # fmt: skip
        if self.cpu_path == "textbook" and self.precision == "bf16":
            raise self.refusal(
                "cpu_path", "{cpu_path}=textbook computes in {precision}=fp32 or tf32, got {given}", given="bf16"
            )
        if self.workers > self.batch_size:
            raise self.refusal(
                "workers", "{workers} must be at most {batch_size}, {count}: each trains on its rows, got {given}",
                count=shown(self.batch_size), given=shown(self.workers),
            )  # fmt: skip
        if not self.corpus.strip():
            raise self.refusal(
                "corpus", "{corpus} must be the name of a bundled text or the path of a file, got nothing"
            )

    @property
    def reserved_tokens(self) -> tuple[str, ...]:
        """Tokens that the vocabulary has in addition to those of the text."""
        return (START, END, PADDING) if self.documents == "lines" else ()

    @property
    def carries_state(self) -> bool:
        """Whether the next batch begins with the hidden state at the end of the previous one."""
        if self.documents == "lines":
            return False
        return self.state == "carried" or (self.state == "auto" and self.sampling == "sequential")

    @property
    def model_name(self) -> str:
        """``scratch rnn 256`` or ``torch.nn lstm 256 x 2``."""
        layers = f" x {self.num_layers}" if self.num_layers > 1 else ""
        return f"{self.implementation} {self.cell} {self.num_hiddens}{layers}"

    @property
    def initial_weights(self) -> str:
        """``initialisation`` with ``auto`` resolved."""
        if self.initialisation != "auto":
            return self.initialisation
        return "normal" if self.implementation == "scratch" else "uniform"


settings, setting = RunConfig.settings, RunConfig.setting


def live_setting(name: str) -> Setting:
    """A setting that may change while a run trains. Raises ConfigError for any other."""
    known = setting(name)
    if not known.live:
        live = " and ".join(f"{{{item.name}}}" for item in settings() if item.live)
        raise RunConfig.refusal(name, f"{{{name}}} cannot change after a run is created, only {live} can")
    return known


def minimum_tokens(config: RunConfig) -> int:
    """Tokens that the training part needs for one batch: ``batch_size * num_steps`` inputs and one more target."""
    return config.batch_size * config.num_steps + 1
