"""A text as token ids: encoding, normalisation, tokens and vocabulary in one pass, piece by piece.

The ids of a small text are in memory; those of a large one are in the token store, mapped into memory, and the next
process that wants them does not read the text.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from core.corpus import catalogue
from core.corpus.counting import Counter, counter
from core.corpus.draft import StoreError
from core.corpus.encoding import Decoder, binary_error, candidates, undecodable_error
from core.corpus.ids import Ids
from core.corpus.normalisation import normaliser
from core.corpus.source import FileFacts, TextFacts, TextFile, files_of, is_compressed, quoted, text_name
from core.corpus.token_store import TokenStore, default_store
from core.corpus.vocabulary import TokenKind, Vocabulary, characters, narrow_code_points
from core.errors import CorpusError
from core.settings.run_config import RunConfig
from core.units import bytes_text

Progress = Callable[[int, int], None]
"""Called with the bytes read and the bytes in all, on the disk. An exception from it ends the reading."""

MIXED = "mixed"
_NO_LIMIT = 1 << 62
# Smaller texts are hashed between their pieces: a thread costs more.
_HASHED_BESIDE = 4 << 20
# Without a store a text may take this part of the machine's memory.
_SHARE_OF_MEMORY = 8


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as token ids, with what identifies it.

    Attributes:
        name: the file's name without its ending, or the folder's name.
        path: of the file or the folder, or a pattern of files.
        sha256, bytes: of the whole text, decompressed; of several files, joined, with a line end after each.
        encoding: as Python names it: ``open(path, encoding=corpus.encoding)`` reads the same text; ``mixed`` for files
            that differ.
        normalise, tokens: how the text was cut, see ``load_corpus``.
        lines: lines of the whole text, before normalisation; the last one needs no line end.
        ids: (tokens,), uint8, uint16 or int32, whichever holds the vocabulary; of a large text mapped from the store.
        vocabulary: of the tokens in ``ids``.
        files: those that it was read from, in order; empty for one that is not compressed.
        problem: a sentence if the token store could not be used as it should; else empty.
        origin: where the text was when a run copied it to ``path``; None if ``path`` is no such copy.
    """

    name: str
    path: Path
    sha256: str
    bytes: int
    encoding: str
    normalise: str
    tokens: str
    lines: int
    ids: Ids
    vocabulary: Vocabulary
    files: tuple[FileFacts, ...] = ()
    problem: str = ""
    origin: Path | None = None

    def __len__(self) -> int:
        """The number of tokens."""
        return len(self.ids)

    @property
    def is_one_file(self) -> bool:
        """Whether the joined bytes of its files, in one file, are the same text."""
        return len(self.files) < 2 or self.encoding == "utf-8"


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
    store: TokenStore | None = None,
) -> Corpus:
    """Read a text: a bundled or downloaded one by its name, or any file or files by their path.

    Args:
        source: ``"lyrics-zh"``, or the path of a file in UTF-8, UTF-16, UTF-32 with a byte order mark, or GB18030; a
            folder or a pattern such as ``texts/*.txt`` reads all its files in the order of their names, a line end
            after each. Files that end in ``.gz`` or ``.zst`` are decompressed.
        normalise: see ``normalisation.normaliser``. Line ends are LF for all of them.
        tokens: ``"char"``, or ``"word"``, separated by white space.
        max_tokens: use only the first ``max_tokens``; 0 uses all. The vocabulary is that of the tokens used.
        min_freq: tokens rarer than this become the unknown token.
        reserved: tokens with the ids from 1 on, whether or not the text has them.
        data_dir: folder of the bundled texts, by default this project's ``data/``.
        progress: called with the bytes read and the bytes in all, every half megabyte.
        at_most: read as if the text had only this many bytes; 0 reads all of it.
        store: where the ids of a large text are kept, by default in the user's cache.

    Memory: the vocabulary and a few megabytes; two bytes a token, or one or four, of a small text.

    Raises ``CorpusError`` with one sentence for a text that cannot be read, is not text, or has no tokens.
    """
    if tokens not in get_args(TokenKind):
        raise CorpusError(f"tokens must be char or word, got {tokens!r}")
    if max_tokens < 0 or min_freq < 0:
        raise CorpusError(f"max_tokens and min_freq must be at least 0, got {max_tokens:,} and {min_freq:,}")
    normaliser(normalise, tokens)  # refuse a wrong name before a long read
    path = catalogue.resolve(source, data_dir)
    reading = {
        "normalise": normalise, "tokens": tokens, "max_tokens": max_tokens, "min_freq": min_freq,
        "reserved": list(reserved),
    }  # fmt: skip
    store = store or default_store()
    try:
        text = _Text(path, at_most or _NO_LIMIT, progress)
        facts, ids, vocabulary = _from_store(text, reading, store) or _read_and_kept(text, reading, store)
    except MemoryError:
        words = "{path} is too large for the free memory: choose a smaller {max_tokens}"
        raise CorpusError.of(RunConfig.refusal("max_tokens", words, path=quoted(path))) from None
    except OSError as error:
        named = quoted(Path(error.filename)) if isinstance(error.filename, str) else quoted(path)
        raise CorpusError(f"{named} cannot be read ({error.strerror or error}): choose a readable file") from None
    return Corpus(
        text_name(path), path, facts.sha256, facts.bytes, facts.encoding, normalise, tokens, facts.lines, ids,
        vocabulary, facts.files, store.problem,
    )  # fmt: skip


Found = tuple[TextFacts, Ids, Vocabulary]


def _from_store(text: _Text, reading: dict[str, Any], store: TokenStore) -> Found | None:
    """A text that is kept, if its files are known and unchanged."""
    facts = store.facts_of(text.identities())
    kept = None if facts is None else store.find(facts, reading)
    return None if facts is None or kept is None else (facts, *kept)


def _read_and_kept(text: _Text, reading: dict[str, Any], store: TokenStore) -> Found:
    """Read a text; keep it if it is large."""
    began = store.now()
    try:
        return _read(text, reading, store, began)
    except StoreError as error:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        words = f"the cache in {store.folder} cannot be written ({error})"
        if text.size > memory // _SHARE_OF_MEMORY:
            raise CorpusError(
                f"{quoted(text.path)} has {bytes_text(text.size)}, too much to keep in memory, and {words}: free some "
                "space there, or set XDG_CACHE_HOME to a folder with more"
            ) from None
        store.problem = f"{words}: the text stays in memory, and the next start reads it again"
        return _read(text, reading, None, began)


def _read(text: _Text, reading: dict[str, Any], store: TokenStore | None, began: int) -> Found:
    """Read a text, and keep it in the store if it is large. Raises StoreError."""
    draft = None if store is None else store.draft
    limit = 0 if store is None else store.smallest

    def fresh() -> Counter:
        return counter(reading["tokens"], reading["max_tokens"], draft, limit)

    count, facts = text.read(fresh, reading["normalise"], reading["tokens"])
    try:
        if not len(count):
            raise CorpusError(
                f"{quoted(text.path)} has no tokens left after the normalisation {reading['normalise']!r}: "
                "choose another normalisation or another text"
            )
        if store is None or facts.bytes < limit:
            return facts, *count.finish(reading["min_freq"], reading["reserved"])
        vocabulary, final = count.vocabulary(reading["min_freq"], reading["reserved"])
        drafted = count.drafted()
        assert drafted is not None
        ids = store.keep(drafted, final, vocabulary, facts, reading, text_name(text.path))
        if text.is_unchanged:
            store.learn(text.identities(), text.changed_ns, began, facts)
        return facts, ids, vocabulary
    finally:
        count.discard()


def bytes_of(corpus: Corpus) -> Iterator[bytes]:
    """The bytes that a text was read from, in pieces. Raises CorpusError, after the last one, if they have changed."""
    digest = hashlib.sha256()
    for piece in _Text(corpus.path, corpus.bytes, None).pieces():
        for data in (b"\n" if piece.needs_line_end else b"", piece.data):
            digest.update(data)
            yield data
    if digest.hexdigest() != corpus.sha256:
        raise CorpusError(f"{quoted(corpus.path)} was changed while it was read: read it again")


class _OtherEncoding(Exception):
    """A file is not in the encoding that it was taken for: read the text again."""


@dataclass(frozen=True)
class _Piece:
    """Bytes of one file of a text; ``begins`` and ``ends`` it; ``position``: bytes read on the disk, of all files."""

    data: bytes
    file: int
    begins: bool
    ends: bool
    position: int
    needs_line_end: bool = False


class _Text:
    """The files of a text.

    Attributes:
        size: bytes on the disk, of all files.
        changed_ns: when the last of them was changed.
        is_unchanged: whether none was changed while it was read.
    """

    def __init__(self, path: Path, at_most: int, progress: Progress | None) -> None:
        self.path, self._at_most, self._progress = path, at_most, progress
        self._paths = files_of(path)
        self._identities: list[list[Any]] = []
        for source in self._paths:
            with TextFile(source.path) as file:
                self._identities.append([source.name, *file.identity])
        self.size = sum(identity[3] for identity in self._identities)
        self.changed_ns = max(max(identity[4:]) for identity in self._identities)
        self.is_unchanged = True
        self._encodings: dict[int, int] = {}  # of each file, the number of the candidate that is tried
        self._failures: dict[int, CorpusError] = {}
        if not self.size:
            raise CorpusError(f"{quoted(path)} is empty: choose a file with text in it")

    def identities(self) -> list[list[Any]]:
        """What names the contents of the files without reading them."""
        return [*self._identities, [self._at_most]]

    def pieces(self) -> Iterator[_Piece]:
        """The bytes of all files, up to the limit. A line end is missing where a file ends without one."""
        done = before = 0
        last = b"\n"
        for number, source in enumerate(self._paths):
            if done >= self._at_most:
                return
            with TextFile(source.path) as file:
                self.is_unchanged &= [source.name, *file.identity] == self._identities[number]
                begins = True
                for data, ends, position in file.pieces(self._at_most - done):
                    needs_line_end = bool(begins and data and last != b"\n")
                    done += len(data) + needs_line_end
                    yield _Piece(data, number, begins, ends, before + position, needs_line_end)
                    last, begins = data[-1:] or last, False
                self.is_unchanged &= file.is_unchanged()
                before += file.size

    def read(self, fresh: Callable[[], Counter], normalise: str, tokens: str) -> tuple[Counter, TextFacts]:
        """One pass over the files, more where an encoding was taken for another for long.

        Raises CorpusError, OSError, StoreError.
        """
        while True:
            count = fresh()
            try:
                with _Digests(len(self._paths) > 1, self.size) as digests:
                    return count, self._read(count, digests, normalise, tokens)
            except _OtherEncoding:
                count.discard()
            except BaseException:
                count.discard()
                raise

    def _read(self, count: Counter, digests: _Digests, normalise: str, tokens: str) -> TextFacts:
        normal = normaliser(normalise, tokens)
        splits_anyway = tokens == "word" and normalise in ("none", "spaces")  # words are split at line ends and blanks
        lines, last, total, size, files, decoder = 0, "\n", 0, 0, [], Decoder("utf-8")
        for piece in self.pieces():
            digests.update(piece)
            size = len(piece.data) + (0 if piece.begins else size)
            total += len(piece.data) + piece.needs_line_end
            # also beyond max_tokens: the number of lines, and whether it is text, must not depend on it
            decoder, text = self._decoded(piece, decoder)
            if "\0" in text:
                place = size - len(piece.data) + max(piece.data.find(0), 0)
                raise binary_error(quoted(self._paths[piece.file].path), place)
            if piece.begins and piece.file and text and last != "\n":
                text = "\n" + text
            lines += text.count("\n")
            last = text[-1:] or last
            if not count.full:
                if splits_anyway:
                    count.add_text(text)
                elif tokens == "word":
                    count.add_text(characters(normal(narrow_code_points(text))))
                else:
                    count.add(normal(narrow_code_points(text)))
            if piece.ends:
                name = self._paths[piece.file].name
                files.append(FileFacts(name, digests.of_file(), size, decoder.encoding))
            if self._progress is not None:
                self._progress(piece.position, min(self.size, self._at_most))
        count.close()
        encodings = {file.encoding for file in files if file.bytes} or {"utf-8"}
        encoding = encodings.pop() if len(encodings) == 1 else MIXED
        plain = len(self._paths) == 1 and self._paths[0].path == self.path and not is_compressed(self.path)
        listed = () if plain else tuple(files)
        return TextFacts(digests.of_all(), total, encoding, lines + (last != "\n"), listed)

    def _decoded(self, piece: _Piece, decoder: Decoder) -> tuple[Decoder, str]:
        """The text of a piece, and the decoder for the next one of its file. Raises CorpusError, _OtherEncoding."""
        file, path = piece.file, self._paths[piece.file].path
        if not piece.begins:
            try:
                return decoder, decoder.feed(piece.data, piece.ends)
            except UnicodeDecodeError as failure:
                self._failed(file, decoder, failure)
            self._encodings[file] += 1
            raise _OtherEncoding
        encodings = candidates(piece.data)
        if not encodings:
            raise binary_error(quoted(path), piece.data.index(0))
        for number in range(self._encodings.get(file, 0), len(encodings)):
            decoder, self._encodings[file] = Decoder(encodings[number]), number
            try:
                return decoder, decoder.feed(piece.data, piece.ends)
            except UnicodeDecodeError as failure:
                self._failed(file, decoder, failure)
        raise self._failures[file]

    def _failed(self, file: int, decoder: Decoder, failure: UnicodeDecodeError) -> None:
        """Note a failure; raise the first one of the file as CorpusError if no other encoding is possible."""
        named = quoted(self._paths[file].path)
        first = self._failures.setdefault(file, undecodable_error(named, failure, decoder))
        if decoder.sure:
            raise first from None


class _Digests(AbstractContextManager["_Digests"]):
    """The sha256 of each file and of all of them; of a long text computed in a thread, beside the decoding."""

    def __init__(self, several: bool, size: int) -> None:
        self._all = hashlib.sha256() if several else None
        self._file = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1, "sha256") if size >= _HASHED_BESIDE else None
        self._last: Future[None] | None = None

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def update(self, piece: _Piece) -> None:
        if piece.begins:
            self._wait()
            self._file = hashlib.sha256()
        if self._pool is None:
            self._update(piece)
            return
        self._wait()  # one piece at a time: the memory stays bounded
        self._last = self._pool.submit(self._update, piece)

    def of_file(self) -> str:
        self._wait()
        return self._file.hexdigest()

    def of_all(self) -> str:
        self._wait()
        return (self._all or self._file).hexdigest()

    def _update(self, piece: _Piece) -> None:
        self._file.update(piece.data)
        if self._all is not None:
            self._all.update(b"\n" if piece.needs_line_end else b"")
            self._all.update(piece.data)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()
            self._last = None
