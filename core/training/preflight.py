"""Estimates before a training starts: batches an epoch, parameters, memory, and warnings.

No torch in this module: the screen imports it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from core.corpus.splitting import split, unknown_tokens
from core.device import Device
from core.settings.cells import CELLS
from core.settings.run_config import RunConfig, minimum_tokens, shown
from core.units import bytes_text, counted

# Copies of the weights that an optimiser keeps, in addition to the weights and their gradient.
KEPT = {"sgd": 0, "rmsprop": 1, "adam": 2, "adamw": 2}
WITH_MOMENTUM = ("sgd", "rmsprop")  # momentum adds one copy
BYTES = 4
# A CPU has so many logits at once, and those of so many rows at least; see ``core.models.feedforward``.
LOGITS_AT_ONCE, FEWEST_ROWS = 1 << 20, 128
FEW_HELD_OUT = 200  # tokens; the perplexity of fewer is mostly noise
_NAMED = 10  # unknown tokens in a warning


@dataclass(frozen=True)
class TextFacts:
    """Sizes of a text; if each line is a document, also the number of ``lines``, and the tokens of the ``longest``.

    ``known``: the tokens of its vocabulary, if they are known.
    """

    tokens: int
    vocabulary: int
    lines: int | None = None
    longest: int = 0
    known: Container[str] | None = None


@dataclass(frozen=True)
class Memory:
    """Estimated memory of a training, in bytes."""

    weights: int
    gradients: int
    optimiser: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimiser + self.activations


@dataclass(frozen=True)
class Preflight:
    """Estimates of a training.

    ``cut`` is a sentence if only a part of the text is used, ``problem`` one if the training cannot start;
    ``warnings`` are sentences about a training that can.
    """

    text: TextFacts
    batches: int
    tokens_per_epoch: int
    parameters: int
    memory: Memory
    num_epochs: int
    cut: str = ""
    problem: str = ""
    warnings: tuple[str, ...] = ()
    minutes: float = 0.0


def preflight(config: RunConfig, text: TextFacts, device: Device | None = None) -> Preflight:
    """The estimates and warnings for ``config`` on a text."""
    if config.documents == "lines":
        batches, tokens, problem, warnings = _poems(config, text)
    else:
        batches, tokens, problem, warnings = _stream(config, text)
    parameters = num_parameters(config, text.vocabulary)
    memory = memory_of(config, text.vocabulary, device.name if device is not None else "")
    all_warnings = (*warnings, *_prefix_warnings(config, text.known), *_memory_warnings(memory.total, device))
    cut = _cut_words(config, text)
    length = config.num_epochs, cut, problem, all_warnings, config.minutes
    return Preflight(text, batches, tokens, parameters, memory, *length)


def _cut_words(config: RunConfig, text: TextFacts) -> str:
    # A text of exactly max_tokens tokens counts as cut: the reader stops there.
    if not 0 < config.max_tokens <= text.tokens:
        return ""
    return f"only the first {counted(text.tokens, 'token is', 'tokens are')} used: max tokens 0 uses the whole text"


def _stream(config: RunConfig, text: TextFacts) -> tuple[int, int, str, list[str]]:
    """Batches, tokens an epoch, problem and warnings for one long text."""
    held_out = int(text.tokens * config.validation_fraction)
    training = text.tokens - held_out
    a_batch = config.batch_size * config.num_steps
    batches = max(0, training - 1) // a_batch
    warnings: list[str] = []
    problem = _nothing_held_out(config, held_out, text.tokens, "tokens")
    if not problem and not batches:
        less = ", or hold out less" if text.tokens >= minimum_tokens(config) else ""
        problem = (
            f"too short for one batch: batch x steps needs {counted(minimum_tokens(config), 'token')} to train on, "
            f"there are {shown(training)}: make batch or steps smaller{less}"
        )
    if 2 <= held_out < FEW_HELD_OUT:
        warnings.append(
            f"only {counted(held_out, 'token is', 'tokens are')} held out: too few for a reliable perplexity"
        )
    return batches, batches * a_batch, problem, warnings


def _poems(config: RunConfig, text: TextFacts) -> tuple[int, int, str, list[str]]:
    """The same for a text whose lines are documents; line ends count as end tokens."""
    lines = text.lines or 0
    held_out = int(lines * config.validation_fraction)
    training, warnings = lines - held_out, []
    problem = "all lines of the text are empty: each line would be a document" if not lines else ""
    problem = problem or _nothing_held_out(config, held_out, lines, "lines")
    if text.longest > config.num_steps - 1:
        warnings.append(
            f"the longest line has {counted(text.longest, 'token')}: a line is cut at {shown(config.num_steps - 1)}, "
            "which is steps less 1"
        )
    return -(-training // config.batch_size), text.tokens * training // max(1, lines), problem, warnings


def _nothing_held_out(config: RunConfig, held_out: int, length: int, noun: str) -> str:
    if config.validation_fraction == 0 or held_out >= 2:
        return ""
    return (
        f"too short for the split: {config.validation_fraction:g} of {shown(length)} {noun} holds out "
        f"{shown(held_out)}, and at least 2 are needed: hold out more or nothing"
    )


def _prefix_warnings(config: RunConfig, known: Container[str] | None) -> Iterable[str]:
    """A sentence if tokens of the sample prefix are not among the ``known`` ones of the text; see ``TextFacts``."""
    if known is None or not config.sample_every or config.bidirectional:
        return
    prefix = config.sample_prefix
    unknown = unknown_tokens(prefix, config.tokens, known)
    if unknown:
        is_partly = len(unknown) < len(set(split(prefix, config.tokens)))
        what = "read as <unk>" if is_partly else "samples continue the beginning of the text"
        yield f"sample prefix: not in the vocabulary, {what}: {', '.join(unknown[:_NAMED])}"


def _memory_warnings(needed: int, device: Device | None) -> Iterable[str]:
    if device is None or device.memory_total is None:
        return
    name, total, used = device.name, device.memory_total, device.memory_used
    if needed > total:
        yield f"larger than the memory of {name}, {bytes_text(total)}: make hidden, batch or steps smaller"
    elif used is not None and needed > total - used:
        yield f"more than is free on {name} now, {bytes_text(total - used)} of {bytes_text(total)}"


def require_memory(config: RunConfig, vocabulary: int, name: str, memory: int | None) -> None:
    """Raise ConfigError for a model whose training needs more than the ``memory`` bytes of device ``name``.

    Only weights, gradients and the optimiser's state count; activations are an estimate, and only a warning.
    """
    needed = memory_of(config, vocabulary)
    lasting = needed.weights + needed.gradients + needed.optimiser
    if memory is not None and lasting > memory:
        words = (
            "{num_hiddens} {hidden} makes a model of {parameters} parameters, which takes {needed} in training, and "
            "{name} has {memory}: make {num_hiddens}, {num_layers} or {embedding_size} smaller"
        )
        hidden, parameters = shown(config.num_hiddens), shown(num_parameters(config, vocabulary))
        sizes = {
            "hidden": hidden,
            "parameters": parameters,
            "needed": bytes_text(lasting),
            "memory": bytes_text(memory),
        }
        raise RunConfig.refusal("num_hiddens", words, name=name, **sizes)


def device_named(name: str, devices: Iterable[Device]) -> Device | None:
    """The device of a configuration; the best device for ``auto`` and for an unknown name."""
    known = list(devices)
    wanted = {"cuda": "cuda:0"}.get(name, name)
    return next((device for device in known if device.name == wanted), known[0] if known else None)


def memory_of(config: RunConfig, vocabulary: int, device: str = "") -> Memory:
    """The memory of a training, with four bytes a number; ``device``: its name if not that of the configuration.

    Two moments of a step need the most: the loss, with the logits and before the gradients of the recurrent layers are
    made, and the backward pass of the last of them.
    """
    parameters = num_parameters(config, vocabulary)
    cell, on_cpu = CELLS[config.cell], (device or config.device) == "cpu"
    gates, tokens = len(cell.gates), config.batch_size * config.num_steps
    copies = KEPT[config.optimiser] + (config.optimiser in WITH_MOMENTUM and config.momentum > 0)
    width = config.num_hiddens * (2 if config.bidirectional else 1)
    logits = tokens * vocabulary
    if config.cpu_path == "textbook":  # one-hot vectors and whole logits, which autograd keeps
        numbers = 4 * logits + tokens * config.num_layers * width * (gates + 3)
    else:
        kept = tokens * config.num_layers * width * (1 if gates == 1 else gates + cell.num_states + 1)
        logits = min(logits, max(LOGITS_AT_ONCE, FEWEST_ROWS * vocabulary)) if on_cpu else 2 * logits
        # The output layer's matrix and its transpose, packed.
        packed = 2 * width * vocabulary if on_cpu and config.cpu_path == "auto" else 0
        later = max(0, parameters - (width + 1) * vocabulary)  # gradients
        if config.precision == "bf16":  # a copy in two bytes of the factors of products; of logits a second one
            kept, packed = kept * 3 // 2, packed // 2
            logits = logits * 3 // 2 if config.cpu_path == "auto" else 2 * logits
        logits += packed
        back = gates + 2 + (gates if config.num_layers > 1 else 0)  # gradients: states, gates, inputs
        if on_cpu and _is_textbooks(config):  # its memory stays from batch to batch
            numbers = kept + tokens * width * (back + 1) + logits + gates * width * width
        else:
            numbers = kept + max(tokens * width * back, tokens * width + logits - later)
    weights, activations = BYTES * parameters, BYTES * (numbers + _copied_weights(config, vocabulary))
    return Memory(weights, weights, copies * weights, activations)


def _is_textbooks(config: RunConfig) -> bool:
    """Whether the compiled kernels compute a batch without autograd: see ``recurrence/cpu/batch.py``."""
    changed = config.embedding_size or config.dropout or config.weight_dropout or config.bidirectional
    is_served = config.implementation == "scratch" or config.cell == "rnn"
    return is_served and config.cpu_path == "auto" and config.num_layers == 1 and not changed


def _copied_weights(config: RunConfig, vocabulary: int) -> int:
    """Numbers of the weights that are held twice: packed, narrowed, or with their gates in another order."""
    gates, hidden = len(CELLS[config.cell].gates), config.num_hiddens
    recurrent = gates * hidden * hidden
    output = hidden * vocabulary if config.precision == "bf16" and config.cpu_path == "plain" else 0
    if config.implementation == "torch.nn":
        inputs = gates * hidden * (config.embedding_size or vocabulary)
        return output + (recurrent if gates == 1 else inputs + (1 if config.cpu_path == "auto" else 2) * recurrent)
    if config.cpu_path != "auto":
        return output + recurrent
    # In single precision a packed matrix is let go before the gradient of the matrix is made.
    return recurrent // 2 if config.precision == "bf16" else 0


def num_parameters(config: RunConfig, vocabulary: int) -> int:
    directions = 2 if config.bidirectional else 1
    hidden, cell = config.num_hiddens, CELLS[config.cell]
    gates = len(cell.gates)
    # torch.nn has two bias vectors, one redundant; a GRU from scratch has b_hn and the biases of its gates.
    biases = 2 * gates if config.implementation == "torch.nn" else gates + len(cell.extra)
    width = config.embedding_size or vocabulary
    total = vocabulary * config.embedding_size
    for _ in range(config.num_layers):
        total += directions * hidden * (gates * (width + hidden) + biases)
        width = directions * hidden
    return total + (0 if config.tied else width * vocabulary) + vocabulary
