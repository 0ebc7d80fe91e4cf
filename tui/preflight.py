"""What a training will be before it starts: batches an epoch, parameters, memory. Estimates, told as such."""

from __future__ import annotations

from dataclasses import dataclass

from core.config import RunConfig, minimum_tokens, shown
from tui.quantities import bytes_text, count_text

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# Copies of the weights that an optimiser keeps beside the weights and their gradient.
KEPT = {"sgd": 0, "rmsprop": 1, "adam": 2, "adamw": 2}
BYTES = 4


@dataclass(frozen=True)
class Preflight:
    """Numbers of a training; ``batches`` is None where lines are documents, for it takes their lengths to tell.

    ``problem`` is a sentence where it cannot start.
    """

    tokens: int
    vocabulary: int
    batches: int | None
    parameters: int
    bytes: int
    problem: str = ""

    def words(self) -> str:
        """A few short lines for the foot of the form."""
        text = f"{self.tokens:,} tokens · vocabulary {self.vocabulary:,}"
        if self.problem:
            return f"{text}\n{self.problem}"
        model = f"{count_text(self.parameters)} parameters · about {bytes_text(self.bytes)}"
        if self.batches is None:
            return f"{text}\n{model}"
        batches = "1 batch" if self.batches == 1 else f"{count_text(self.batches)} batches"
        return f"{text}\n{batches} an epoch\n{model}"


def preflight(config: RunConfig, tokens: int, vocabulary: int) -> Preflight:
    """The numbers for ``config`` on a text of so many tokens, of which ``vocabulary`` are different."""
    training = tokens - int(tokens * config.validation_fraction)
    is_stream = config.documents == "stream"
    batches = max(0, training - 1) // (config.batch_size * config.num_steps) if is_stream else None
    parameters = num_parameters(config, vocabulary)
    copies = 2 + KEPT[config.optimiser] + (config.optimiser == "sgd" and config.momentum > 0)
    width = config.num_hiddens * (2 if config.bidirectional else 1)
    a_token = 2 * vocabulary + config.num_layers * width * (GATES[config.cell] + 2)
    size = BYTES * (copies * parameters + config.batch_size * config.num_steps * a_token)
    problem = ""
    if batches == 0:
        needed = minimum_tokens(config)
        problem = (
            f"too short for one batch: batch x steps needs {shown(needed)} tokens to train on, "
            f"there are {shown(training)}: make batch or steps smaller"
        )
    return Preflight(tokens, vocabulary, batches, parameters, size, problem)


def num_parameters(config: RunConfig, vocabulary: int) -> int:
    """Weights and biases of the model (torch.nn has one vector of biases more for each layer, which is not counted)."""
    directions = 2 if config.bidirectional else 1
    hidden, gates = config.num_hiddens, GATES[config.cell]
    width = config.embedding_size or vocabulary
    total = vocabulary * config.embedding_size
    for _ in range(config.num_layers):
        total += directions * gates * (width * hidden + hidden * hidden + hidden)
        width = directions * hidden
    return total + (0 if config.tied else width * vocabulary) + vocabulary
