"""What a run tells after an epoch beside its numbers: what the model writes, and a warning where it has gone astray."""

from __future__ import annotations

import math

from core.config import RunConfig
from core.corpus.reader import Corpus
from core.corpus.vocabulary import Vocabulary
from core.events import EpochFinished, SampleWritten
from core.generation.options import GenerationRequest, Sampling
from core.generation.writer import Writing
from core.models.language_model import LanguageModel

# A sample is written for so many seconds before the engine looks at its requests again.
WRITING_SECONDS = 0.02
# A model that knows nothing has a loss of log(vocabulary); one that has learned nonsense has several times that.
TIMES_UNIFORM = 3.0


class SampleInMaking:
    """A sample at the end of ``epoch``, written a little at a time; training waits for it."""

    def __init__(self, model: LanguageModel, vocabulary: Vocabulary, epoch: int, prefix: str, length: int) -> None:
        self._epoch, self._prefix = epoch, prefix
        self._writing = Writing(model, vocabulary, GenerationRequest(prefix, length, Sampling("greedy")))
        self._pieces: list[str] = []

    def advance(self) -> SampleWritten | None:
        """Write for some milliseconds; the event when all is written. Raises UserError as ``Writing`` does."""
        self._pieces += [piece.text for piece in self._writing.advance(WRITING_SECONDS)]
        if not self._writing.finished:
            return None
        return SampleWritten(self._epoch, self._prefix, "".join(self._pieces))


def sample_prefix(config: RunConfig, corpus: Corpus) -> str:
    """How samples begin: the setting's text, or the beginning of the corpus where it says nothing that is known."""
    prefix, vocabulary = config.sample_prefix, corpus.vocabulary
    if prefix and len(vocabulary.unknown_tokens(prefix)) < len(set(vocabulary.split(prefix))):
        return prefix
    return vocabulary.decode(corpus.ids[: 2 if vocabulary.kind == "word" else 5].tolist())


def is_exploding(event: EpochFinished, vocabulary_size: int) -> bool:
    """Whether a whole epoch went much worse than guessing among all tokens would have."""
    return vocabulary_size > 1 and event.loss > TIMES_UNIFORM * math.log(vocabulary_size)


def explosion_words(event: EpochFinished, vocabulary_size: int) -> str:
    """What is said of such an epoch."""
    return (
        f"epoch {event.epoch:,} had a loss of {event.loss:.1f} nats, where guessing among all {vocabulary_size:,} "
        f"tokens has {math.log(vocabulary_size):.1f}: the learning rate, {event.learning_rate:g}, is probably too "
        "high, and a lower one or a tighter clip usually helps"
    )
