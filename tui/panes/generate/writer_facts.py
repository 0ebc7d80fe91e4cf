"""What a request depends on: the beginning of the run's text, its tokens, whether it can write."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import CorpusError, RunError
from core.files import open_to_read
from core.generation.options import LINE_END
from core.runs.run import Run
from core.settings.run_config import RunConfig

if TYPE_CHECKING:
    from core.corpus.vocabulary import Vocabulary

LONGEST = 24
LARGEST_VOCABULARY = 4 << 20  # bytes; reading a larger one would take too long


@dataclass(frozen=True)
class WriterFacts:
    """``beginning`` is a suggested prefix of known tokens; ``token_kind`` is char or word; ``tokens`` the vocabulary,
    empty if it cannot be read; ``stops`` are examples of stop tokens.
    """

    beginning: str = ""
    token_kind: str = "char"
    bidirectional: bool = False
    tokens: frozenset[str] = frozenset()
    stops: tuple[str, ...] = ()

    def knows(self, text: str) -> bool:
        """Whether every token of ``text`` is in the vocabulary; true if the vocabulary is not known."""
        parts = text.split() if self.token_kind == "word" else list(text)
        return not self.tokens or all(part in self.tokens for part in parts)


def writer_facts(path: Path) -> WriterFacts:
    """The facts of the run at ``path``; what cannot be read has its default. Reads files."""
    run = Run(path)
    try:
        config = run.metadata().config
    except RunError:
        return WriterFacts()
    vocabulary = _vocabulary(run)
    tokens = frozenset(vocabulary.tokens) if vocabulary is not None else frozenset()
    stops = _stops(vocabulary) if vocabulary is not None else ()
    facts = WriterFacts("", config.tokens, config.bidirectional, tokens, stops)
    # The prefix of the samples may be a preset's, for another text than this run's: for an English one, and Chinese
    # texts often contain Latin letters.
    offers = [config.sample_prefix, _beginning(run, config)]
    if config.sample_prefix.isascii() and not offers[1].isascii():
        offers.reverse()
    return replace(facts, beginning=next((text for text in offers if text and facts.knows(text)), ""))


def _vocabulary(run: Run) -> Vocabulary | None:
    from core.corpus.vocabulary import Vocabulary

    try:
        if run.vocabulary_path.stat().st_size > LARGEST_VOCABULARY:
            return None
        return Vocabulary.from_json(run.vocabulary_json())
    except (OSError, RunError, CorpusError):
        return None


def _stops(vocabulary: Vocabulary) -> tuple[str, ...]:
    """``line`` if the model knows line ends, and a token that ends sentences if it knows one."""
    from core.generation.acrostic import line_end
    from core.settings.run_config import END

    has_lines = line_end(vocabulary) is not None or END in vocabulary.reserved
    sentence_ends = [end for end in "。.！!？?" if end in vocabulary]
    return (*([LINE_END] if has_lines else []), *sentence_ends[:1])


def _beginning(run: Run, config: RunConfig) -> str:
    """The first word of the run's text, or its first two characters if it has no blanks; else empty."""
    try:
        with open_to_read(run.corpus_path) as file:
            head = file.read(256)
        # The last character may be cut.
        text = head.decode("utf-8-sig", errors="strict" if len(head) < 256 else "ignore").lstrip()
    except (OSError, UnicodeDecodeError):
        return ""
    if config.normalise == "letters":
        text = "".join(character.lower() if character.isascii() and character.isalpha() else " " for character in text)
    words = text.split()
    if not words or not words[0].isprintable():
        return ""
    return words[0][:LONGEST] if words[0].isascii() else words[0][:2]
