"""Vocabulary: the two-way table between tokens and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core.corpus import splitting
from core.errors import CorpusError
from core.units import counted

TokenKind = Literal["char", "word"]

UNKNOWN = "<unk>"
FORMAT = 1
MAXIMUM_SIZE = 2**26
"""A file with more tokens is damaged."""
LONGEST_WORD = 100_000
"""Characters; a longer stretch without white space is not a word."""

_CODE_POINTS = 0x110000


class Vocabulary:
    """Tokens and ids: the unknown token is id 0, then the reserved tokens, then the text's, most frequent first.

    Equally frequent tokens are in the order of their first appearance in the text, so the ids depend on the text
    alone. Reserved tokens are never made from the characters of a text: ``encode("<eos>")`` gives five ids
    in a character vocabulary.

    Attributes:
        kind: ``"char"`` or ``"word"``.
        tokens: every token, by id.
        reserved: the reserved tokens, ids 1 to ``len(reserved)``.
        frequencies: int64 (size,): how often each token occurs in the text; entry 0 counts the unknown ones.
    """

    def __init__(self, kind: TokenKind, tokens: Sequence[str], frequencies: Sequence[int], reserved: int = 0) -> None:
        """``tokens`` and ``frequencies`` by id, the unknown token first and then ``reserved`` reserved ones."""
        self.kind: TokenKind = kind
        self.tokens = tuple(tokens)
        self.reserved = self.tokens[1 : 1 + reserved]
        self.frequencies: npt.NDArray[np.int64] = np.asarray(frequencies, dtype=np.int64)
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        self._table: npt.NDArray[np.int64] | None = None
        _check(self, reserved)

    @classmethod
    def from_counts(
        cls,
        kind: TokenKind,
        tokens: Sequence[str],
        counts: npt.NDArray[np.int64],
        *,
        min_freq: int = 0,
        reserved: Sequence[str] = (),
    ) -> tuple[Vocabulary, npt.NDArray[np.int64]]:
        """The vocabulary of a text whose distinct ``tokens``, in order of first appearance, occur ``counts`` times.

        Returns it with the final id of each given token, int64 (len(tokens),): 0 for those rarer than ``min_freq``.
        Raises ``CorpusError`` for invalid reserved tokens.
        """
        special = {UNKNOWN: 0}
        for token in reserved:
            if not isinstance(token, str) or not token or token in special:
                raise CorpusError(f"reserved tokens must be distinct texts other than {UNKNOWN}, got {token!r}")
            special[token] = len(special)
        final = np.zeros(len(tokens), dtype=np.int64)
        frequencies = np.zeros(len(special), dtype=np.int64)
        common = counts >= min_freq
        for index, token in enumerate(tokens) if len(special) > 1 or kind == "word" else ():
            if token in special:
                final[index] = special[token]
                common[index] = False
        np.add.at(frequencies, final[~common], counts[~common])
        order = np.flatnonzero(common)
        order = order[np.argsort(-counts[order], kind="stable")]
        final[order] = np.arange(len(special), len(special) + len(order))
        all_tokens = [*special, *(tokens[index] for index in order.tolist())]
        return cls(kind, all_tokens, [*frequencies.tolist(), *counts[order].tolist()], len(reserved)), final

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Vocabulary({self.kind}, {counted(len(self), 'token')})"

    def token_to_id(self, token: str) -> int:
        """The id of a token; 0 for one that is not in the vocabulary."""
        return self._ids.get(token, 0)

    def id_to_token(self, index: int) -> str:
        """The token of an id. Raises ``IndexError`` outside 0 to ``len - 1``."""
        if not 0 <= index < len(self.tokens):
            raise IndexError(f"id must be between 0 and {len(self.tokens) - 1:,}, got {index:,}")
        return self.tokens[index]

    def split(self, text: str) -> list[str]:
        """See ``core.corpus.splitting.split``."""
        return splitting.split(text, self.kind)

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """The ids of a text, int64 (tokens,); 0 for unknown tokens. The text is not normalised."""
        if self.kind == "word":
            return np.fromiter(map(self.token_to_id, text.split()), dtype=np.int64)
        return self._code_point_table()[code_points(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids: characters side by side, words with blanks between. Raises ``IndexError``."""
        found = ids.tolist() if isinstance(ids, np.ndarray) else [int(index) for index in ids]
        if found:
            self.id_to_token(min(found)), self.id_to_token(max(found))
        return ("" if self.kind == "char" else " ").join(map(self.tokens.__getitem__, found))

    def unknown_tokens(self, text: str) -> list[str]:
        """The distinct tokens of a text that are not in the vocabulary, in the order of their appearance."""
        return splitting.unknown_tokens(text, self.kind, self)

    def to_json(self) -> dict[str, Any]:
        """JSON-able; ``from_json`` reads it back."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "reserved": len(self.reserved),
            "tokens": list(self.tokens),
            "frequencies": self.frequencies.tolist(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Vocabulary:
        """The inverse of ``to_json``. Raises ``CorpusError`` for anything that ``to_json`` cannot have made."""
        if not isinstance(value, Mapping):
            raise _damaged("it must be an object")
        if value.get("format") != FORMAT or isinstance(value.get("format"), bool):
            raise _damaged(f"its format must be {FORMAT}, got {str(value.get('format'))[:40]!r}")
        kind, tokens, frequencies = value.get("kind"), value.get("tokens"), value.get("frequencies")
        if kind != "char" and kind != "word":
            raise _damaged("its kind must be char or word")
        if not isinstance(tokens, list) or not all(type(token) is str for token in tokens):
            raise _damaged("its tokens must be a list of texts")
        if not isinstance(frequencies, list) or not all(type(count) is int for count in frequencies):
            raise _damaged("its frequencies must be a list of whole numbers")
        if any(not 0 <= count < 2**63 for count in frequencies):
            raise _damaged("its frequencies must be between 0 and 2**63 - 1")
        reserved = value.get("reserved")
        if type(reserved) is not int:
            raise _damaged("its reserved must be a whole number")
        return cls(kind, tokens, frequencies, reserved)

    def _code_point_table(self) -> npt.NDArray[np.int64]:
        """int64 (0x110000,): the id of every code point. A look-up in it is ten times a dictionary's speed."""
        if self._table is None:
            table = np.zeros(_CODE_POINTS, dtype=np.int64)
            single = [(ord(token), index) for index, token in enumerate(self.tokens) if len(token) == 1]
            if single:
                points, ids = zip(*single, strict=True)
                table[list(points)] = ids
            self._table = table
        return self._table


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The code points of a text, uint32 (characters,), read-only. Lone surrogates are allowed; no token has one."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def narrow_code_points(text: str) -> npt.NDArray[np.unsignedinteger[Any]]:
    """The code points of a text in the smallest of uint8, uint16 and uint32 that is quickly had, read-only."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    units = text.encode("utf-16-le", "surrogatepass")
    return np.frombuffer(units, dtype="<u2") if len(units) == 2 * len(text) else code_points(text)


def characters(points: npt.NDArray[np.unsignedinteger[Any]]) -> str:
    """The inverse of ``code_points``."""
    return points.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


def _damaged(reason: str) -> CorpusError:
    return CorpusError(f"the vocabulary is damaged: {reason}")


def _check(vocabulary: Vocabulary, reserved: int) -> None:
    tokens = vocabulary.tokens
    if not tokens or tokens[0] != UNKNOWN:
        raise _damaged(f"its first token must be {UNKNOWN}")
    if len(tokens) > MAXIMUM_SIZE:
        raise _damaged(f"it has {counted(len(tokens), 'token')}, more than {MAXIMUM_SIZE:,}")
    if len(tokens) != len(vocabulary.frequencies):
        raise _damaged(f"it has {counted(len(tokens), 'token')} and {len(vocabulary.frequencies):,} frequencies")
    if len(vocabulary._ids) != len(tokens):
        raise _damaged("it has a token twice")
    if not 0 <= reserved < len(tokens):
        raise _damaged(f"it has {counted(len(tokens), 'token')} and claims {reserved:,} reserved ones")
    own = tokens[1 + reserved :]
    if vocabulary.kind == "char" and any(len(token) != 1 for token in own):
        raise _damaged("its tokens must be single characters")
    if vocabulary.kind == "word" and any(not 1 <= len(token) <= LONGEST_WORD for token in own):
        raise _damaged(f"its words must have 1 to {LONGEST_WORD:,} characters")
    if vocabulary.kind == "word" and any(len(token.split()) != 1 for token in own):
        raise _damaged("a word in it holds white space")
    if not all(1 <= len(token) <= LONGEST_WORD for token in vocabulary.reserved):
        raise _damaged(f"its reserved tokens must have 1 to {LONGEST_WORD:,} characters")
    try:
        "".join(tokens).encode("utf-8")
    except UnicodeEncodeError:
        raise _damaged("a token in it is half a surrogate pair") from None
