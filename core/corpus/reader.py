"""A text file as token ids: encoding, normalisation, tokens and vocabulary in one pass, piece by piece."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from core.corpus import catalogue
from core.corpus.counting import Counter, counter
from core.corpus.encoding import Decoder, binary_error, candidates, undecodable_error
from core.corpus.normalisation import normaliser
from core.corpus.vocabulary import TokenKind, Vocabulary, code_points, text_of
from core.errors import CorpusError
from core.files import NotRegularError, open_to_read
from core.settings.run_config import RunConfig

Progress = Callable[[int, int], None]
"""Called with the bytes read and the bytes in all. An exception from it ends the reading."""

# The look-ups of one piece stay in the second-level cache; twice and half the size were slower.
_PIECE = 1 << 19


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as token ids, with what identifies it.

    Attributes:
        name: the file's name without its ending.
        sha256, bytes: of the whole file.
        encoding: as Python names it: ``open(path, encoding=corpus.encoding)`` reads the same text.
        normalise, tokens: how the text was cut, see ``load_corpus``.
        lines: lines of the whole file, before normalisation; the last one needs no line end.
        ids: (tokens,), uint16 if the vocabulary has at most 65,536 entries, else int32.
        vocabulary: of the tokens in ``ids``.
    """

    name: str
    path: Path
    sha256: str
    bytes: int
    encoding: str
    normalise: str
    tokens: str
    lines: int
    ids: npt.NDArray[np.uint16] | npt.NDArray[np.int32]
    vocabulary: Vocabulary

    def __len__(self) -> int:
        """The number of tokens."""
        return len(self.ids)


def load_corpus(
    source: str,
    *,
    normalise: str = "none",
    tokens: str = "char",
    max_tokens: int = 0,
    min_freq: int = 0,
    reserved: Sequence[str] = (),
    data_dir: Path | None = None,
    progress: Progress | None = None,
    at_most: int = 0,
) -> Corpus:
    """Read a text: a bundled or downloaded one by its name, or any file by its path.

    Args:
        source: ``"lyrics-zh"``, or the path of a file in UTF-8, UTF-16, UTF-32 with a byte order mark, or GB18030.
        normalise: see ``normalisation.normaliser``. Line ends are LF for all of them.
        tokens: ``"char"``, or ``"word"``, separated by white space.
        max_tokens: use only the first ``max_tokens``; 0 uses all. The vocabulary is that of the tokens used.
        min_freq: tokens rarer than this become the unknown token.
        reserved: tokens with the ids from 1 on, whether or not the text has them.
        data_dir: folder of the bundled texts, by default this project's ``data/``.
        progress: called with the bytes read and the bytes in all, every half megabyte.
        at_most: read as if the file had only this many bytes; 0 reads all of it.

    Memory: two bytes a token (four beyond 65,536 different ones), the vocabulary, and a few megabytes.

    Raises ``CorpusError`` with one sentence for a file that cannot be read, is not text, or has no tokens.
    """
    if tokens not in get_args(TokenKind):
        raise CorpusError(f"tokens must be char or word, got {tokens!r}")
    if max_tokens < 0 or min_freq < 0:
        raise CorpusError(f"max_tokens and min_freq must be at least 0, got {max_tokens:,} and {min_freq:,}")
    normaliser(normalise, tokens)  # refuse a wrong name before a long read
    path = catalogue.resolve(source, data_dir)
    try:
        with _TextFile(path, at_most) as file:
            encoding, lines, sha256, count = _counted(file, normalise, tokens, max_tokens, progress)
            ids, vocabulary = count.finish(min_freq, reserved)
    except MemoryError:
        words = "{path} is too large for the free memory: choose a smaller {max_tokens}"
        refused = RunConfig.refusal("max_tokens", words, path=_named(path))
        raise CorpusError(str(refused), refused.field, refused.labelled) from None
    except OSError as error:
        raise CorpusError(
            f"{_named(path)} cannot be read ({error.strerror or error}): choose a readable file"
        ) from None
    return Corpus(path.stem, path, sha256, file.size, encoding, normalise, tokens, lines, ids, vocabulary)


def _counted(
    file: _TextFile, normalise: str, tokens: str, max_tokens: int, progress: Progress | None
) -> tuple[str, int, str, Counter]:
    """The encoding, lines, sha256 and tokens of a file. Raises ``CorpusError``."""
    encodings = candidates(file.head)
    if not encodings:
        raise binary_error(_named(file.path), file.head.index(0))
    first_failure: CorpusError | None = None
    for encoding in encodings:
        decoder, count = Decoder(encoding), counter(tokens, min(max_tokens or file.size, file.size))
        try:
            lines, sha256 = _read(file, decoder, count, normalise, tokens, progress)
            break
        except UnicodeDecodeError as failure:
            first_failure = first_failure or undecodable_error(_named(file.path), failure, decoder)
            if decoder.sure:
                raise first_failure from None
    else:
        raise first_failure or AssertionError
    if not len(count):
        raise CorpusError(
            f"{_named(file.path)} has no tokens left after the normalisation {normalise!r}: "
            "choose another normalisation or another text"
        )
    return encoding, lines, sha256, count


def _read(
    file: _TextFile, decoder: Decoder, count: Counter, normalise: str, tokens: str, progress: Progress | None
) -> tuple[int, str]:
    """One pass over the file. Returns its lines and its sha256. Raises ``UnicodeDecodeError``, ``CorpusError``."""
    digest = hashlib.sha256()
    normal = normaliser(normalise, tokens)
    splits_anyway = tokens == "word" and normalise in ("none", "spaces")  # words are split at line ends and blanks
    lines, last, done = 0, "\n", 0
    for piece in file.pieces():
        digest.update(piece)
        done += len(piece)
        # also beyond max_tokens: the number of lines, and whether it is text, must not depend on it
        text = decoder.feed(piece, final=done == file.size)
        if "\0" in text:
            raise binary_error(_named(file.path), done - len(piece) + max(piece.find(0), 0))
        lines += text.count("\n")
        last = text[-1:] or last
        if not count.full:
            if splits_anyway:
                count.add_text(text)
            elif tokens == "word":
                count.add_text(text_of(normal(code_points(text))))
            else:
                count.add(normal(code_points(text)))
        if progress is not None:
            progress(done, file.size)
    count.close()
    return lines + (last != "\n"), digest.hexdigest()


def bytes_of(corpus: Corpus) -> Iterator[bytes]:
    """The bytes that a text was read from, in pieces. Raises CorpusError, after the last one, if they have changed."""
    digest = hashlib.sha256()
    with _TextFile(corpus.path, corpus.bytes) as file:
        for piece in file.pieces():
            digest.update(piece)
            yield piece
    if digest.hexdigest() != corpus.sha256:
        raise CorpusError(f"{_named(corpus.path)} was changed while it was read: read it again")


class _TextFile:
    """An open regular file. Raises ``CorpusError`` for anything else, without blocking."""

    def __init__(self, path: Path, at_most: int = 0) -> None:
        self.path = path
        try:
            self._file = open_to_read(path)
        except IsADirectoryError:
            raise CorpusError(f"{_named(path)} is a folder: choose a text file in it") from None
        except NotRegularError as error:
            raise CorpusError(f"{_named(path)} is {error.kind}: choose a regular text file") from None
        self._descriptor = self._file.fileno()
        try:
            self.size = os.fstat(self._descriptor).st_size
            if not self.size:
                raise CorpusError(f"{_named(path)} is empty: choose a file with text in it")
            self.size = min(self.size, at_most or self.size)
            self.head = os.pread(self._descriptor, min(_PIECE, self.size), 0)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> _TextFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def pieces(self) -> Iterator[bytes]:
        """The bytes that the file had when it was opened, without later additions."""
        position = 0
        while position < self.size:
            piece = os.pread(self._descriptor, min(_PIECE, self.size - position), position)
            if not piece:
                raise CorpusError(f"{_named(self.path)} became shorter while it was read: read it again")
            position += len(piece)
            yield piece


def _named(path: Path) -> str:
    """A path for an error message: quoted, control characters escaped."""
    return repr(str(path))
