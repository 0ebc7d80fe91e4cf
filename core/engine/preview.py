"""What the model of a run writes after an epoch, a little at a time."""

from __future__ import annotations

from core.corpus.reader import Corpus
from core.corpus.vocabulary import Vocabulary
from core.events import SampleWritten
from core.generation.options import GenerationRequest, Sampling
from core.generation.writer import Writing
from core.models.language_model import LanguageModel
from core.settings.run_config import RunConfig

# A sample is written for so many seconds before the engine looks at its requests again.
WRITING_SECONDS = 0.02


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
