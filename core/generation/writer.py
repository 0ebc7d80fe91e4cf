"""Writing: a model continues a prefix, token by token, and returns each piece as soon as it is written.

    for piece in write(model, vocabulary, "Once upon", 200, Sampling("top-p", seed=1)):
        print(piece, end="")

``Writing`` is the same for every option of a request. Its state is in attributes and not in a suspended frame, so the
model may be trained on between two calls, and no context (gradients, modes) is held across them.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterator

import numpy as np

from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.generation.acrostic import Acrostic, Initial, beginning, stop_ids
from core.generation.beam import BeamSearch
from core.generation.decoder import BatchStream, SingleStream, open_stream
from core.generation.events import Piece
from core.generation.options import GenerationRequest, Sampling
from core.generation.strategies import Chooser
from core.generation.transcript import Rules, Sample, Transcript
from core.models.language_model import LanguageModel
from core.models.recurrence.cpu.step import CompiledText
from core.settings.run_config import END


def write(
    model: LanguageModel, vocabulary: Vocabulary, prefix: str = "", length: int = 200, sampling: Sampling | None = None
) -> Iterator[str]:
    """Yield the continuation of ``prefix``, ``length`` tokens, piece by piece; by default at temperature 1.

    The model may be trained on between two pieces; each uses its current weights. With an empty prefix it begins as
    after a line break, or as after its most frequent token if the vocabulary has no line break. Raises UserError.
    """
    writing = Writing(model, vocabulary, GenerationRequest(prefix, length, sampling or Sampling()))
    while not writing.finished:
        for piece in writing.advance():
            yield piece.text


class Writing:
    """One request in progress.

    Random numbers are drawn on the CPU, whatever the device, independently of training: one for each sampled token.
    Each sample has its own stream of them, so its text does not depend on where the others end.

    Attributes:
        seed: of the random numbers: the request's, or a new one.
        unknown: tokens of prefix, acrostic and mood that are not in the vocabulary; the model reads the unknown token.
        samples: the texts, finished or not; those of a beam search at its end, the best first.
    """

    def __init__(self, model: LanguageModel, vocabulary: Vocabulary, request: GenerationRequest) -> None:
        """Raises UserError if this model cannot write what is asked for."""
        if model.config.bidirectional:
            raise UserError(
                "a bidirectional model cannot write: it would have to know the next token before it predicts it"
            )
        self.request = request
        self.finished = False
        self._model, self._vocabulary = model, vocabulary
        self.seed = secrets.randbelow(10**6) if request.sampling.seed is None else request.sampling.seed
        asked = (request.prefix, request.heads, request.mood)
        self.unknown = list(dict.fromkeys(token for text in asked for token in vocabulary.unknown_tokens(text)))
        self._rules = self._rules_of(request)
        self._is_beam = request.sampling.is_search
        self._transcripts = [] if self._is_beam else [self._new_transcript(number) for number in range(request.count)]
        self._beam: BeamSearch | None = None
        self._scores: list[float] = []
        self._unread = deque(self._opening())
        self._stream = open_stream(model, alone=request.count == 1 and not self._is_beam)
        self._compiled = self._compiled_text()

    def _rules_of(self, request: GenerationRequest) -> Rules:
        vocabulary = self._vocabulary
        stop = stop_ids(vocabulary, request.stop)
        end = vocabulary.token_to_id(END) if END in vocabulary.reserved else None
        never = {0, *(vocabulary.token_to_id(token) for token in vocabulary.reserved)} - stop - {end}
        return Rules(
            vocabulary=vocabulary,
            chooser=Chooser(request.sampling, self._model.vocabulary_size),
            prefix=request.prefix,
            length=request.length,
            ends=stop if end is None else stop | {end},
            end=end,
            masked=np.array(sorted(index for index in never if index is not None), dtype=np.int64),
            details=request.details,
        )

    def _new_transcript(self, number: int) -> Transcript:
        vocabulary, request = self._vocabulary, self.request
        heads = [token for token in vocabulary.split(request.heads) if not token.isspace()]
        initials = [Initial(token, vocabulary.token_to_id(token)) for token in heads]
        acrostic = Acrostic(initials, vocabulary, request.verse_length, request.length) if initials else None
        return Transcript(number, self._rules, self.seed, acrostic)

    def _compiled_text(self) -> CompiledText | None:
        """What chooses the tokens of a single text; None where a choice needs more than scores and a number."""
        rules, request = self._rules, self.request
        temperature = rules.chooser.temperature_alone
        if not isinstance(self._stream, SingleStream) or temperature is None or request.heads:
            return None
        return self._stream.text(temperature, rules.masked.tolist(), rules.ends)

    def _opening(self) -> list[int]:
        """The ids that the model reads first: mood, beginning of a text, prefix."""
        vocabulary = self._vocabulary
        mood, prefix = (vocabulary.encode(text).tolist() for text in (self.request.mood, self.request.prefix))
        start = beginning(vocabulary) if mood or not prefix or vocabulary.reserved else []
        return [*mood, *start, *prefix] or [min(1, len(vocabulary) - 1)]

    def advance(self, seconds: float = 0.01) -> list[Piece]:
        """Write for ``seconds``, at least one token; return what is new, at most one piece of each text.

        Raises UserError for non-finite scores.
        """
        until = time.perf_counter() + seconds
        self._stream.refresh()
        with np.errstate(over="ignore", invalid="ignore"):
            while not self.finished:
                if len(self._unread) > 1:
                    self._stream.advance((self._unread.popleft(),))
                elif self._is_beam:
                    self._search()
                elif isinstance(self._stream, SingleStream):
                    self._write_alone(self._stream, until)
                else:
                    self._write_on()
                if time.perf_counter() >= until:
                    break
        return [piece for text in self._transcripts[: self.request.count] if (piece := text.taken())]

    def _write_alone(self, stream: SingleStream, until: float) -> None:
        """Write the only text until its end or the time ``until``: ``_write_on`` without the cost of several texts."""
        text = self._transcripts[0]
        if self._unread:
            text.last = self._unread.popleft()
        while not text.ended:
            if self._compiled is None:
                text.write(stream.step(text.last))
            else:
                text.write_by(self._compiled, stream.scores, until - time.perf_counter())
            if time.perf_counter() >= until:
                break
        self.finished = bool(text.ended)

    def _write_on(self) -> None:
        """Add one token to every text."""
        texts = self._transcripts
        if self._unread:
            last = self._unread.popleft()
            for text in texts:
                text.last = last
            assert isinstance(self._stream, BatchStream)
            self._stream.select([0] * len(texts))
        logits = self._stream.advance([text.last for text in texts])  # (texts, vocabulary)
        for row, text in enumerate(texts):
            if not text.ended:
                text.write(logits[row])
        self.finished = all(text.ended for text in texts)

    def _search(self) -> None:
        """Add one token to every candidate of the beam search; at its end, take over the texts it has found."""
        rules, sampling = self._rules, self.request.sampling
        if self._beam is None:
            assert isinstance(self._stream, BatchStream)
            last = self._unread.popleft()
            self._beam = BeamSearch(self._stream, last, sampling.width, rules.length, rules.masked, rules.ends)
        self._beam.advance()
        if not self._beam.finished:
            return
        for result in self._beam.results():
            text = self._new_transcript(0)
            for token in result.ids:
                text.add(token)
            self._transcripts.append(text)
            self._scores.append(result.score)
        if rules.details:
            self._add_details(self._transcripts[0])
        self.finished = True

    def _add_details(self, text: Transcript) -> None:
        """Read a whole text once more for the details of each token."""
        stream = open_stream(self._model, alone=True)
        *before, last = self._opening()
        for token in before:
            stream.advance((token,))
        for index, token in enumerate(text.sample().ids):
            text.add_details(stream.advance((last,))[0], index)
            last = token

    @property
    def samples(self) -> list[Sample]:
        scores: list[float] | list[None] = self._scores or [None] * len(self._transcripts)
        return [text.sample(score) for text, score in zip(self._transcripts, scores, strict=True)]
