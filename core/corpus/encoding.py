"""The encoding of a text file: guessed from its beginning, then verified by decoding all of it."""

from __future__ import annotations

import codecs
import re
import unicodedata

from core.errors import CorpusError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = re.compile("[ \n\t\u3000-\u3002\uff0c]")
_NON_ASCII_RUNS = re.compile("[^\x00-\x7f]+")
_HEAD = 1 << 16
_SURELY_UTF8 = 10
"""Characters beyond ASCII: GB18030 is valid UTF-8 for this many of them in about one text of 10**9."""


def candidates(head: bytes) -> tuple[str, ...]:
    """The encodings to try for a file that begins with ``head``, as Python names them; none for a binary file."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return (encoding,)
    if b"\0" not in head[:_HEAD]:
        return ("utf-8", "gb18030")
    scores = {encoding: _utf16_score(head[:_HEAD], encoding) for encoding in ("utf-16-le", "utf-16-be")}
    best = max(scores, key=lambda encoding: scores[encoding])
    return (best,) if scores[best] else ()


def _utf16_score(head: bytes, encoding: str) -> int:
    """The line ends, blanks and stops of ``head`` in this byte order; 0 if it is not valid text.

    In the wrong order a line end is U+0A00 and a Chinese comma U+0CFF, which do not exist.
    """
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head[: len(head) & ~1])
    except UnicodeDecodeError:
        return 0
    for character in set(text):
        category = unicodedata.category(character)
        if category in ("Cn", "Co", "Cs") or (category == "Cc" and character not in "\t\n\r\f\v\x1b"):
            return 0
    return len(_SEPARATORS.findall(text))


class Decoder:
    """Decodes a file piece by piece, with line ends (CRLF, CR) as LF, and checks that it is text.

    ``feed`` raises ``UnicodeDecodeError``, with the position in the file as ``start``.
    """

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self._decode = codecs.getincrementaldecoder(encoding)().decode
        self._position = 0
        self._after_return = False
        self._looked_at = encoding != "gb18030"
        self.beyond_ascii = 0  # characters seen; counted until there are enough

    def feed(self, piece: bytes, final: bool = False) -> str:
        """The text of the next bytes."""
        try:
            text = self._decode(piece, final)
        except UnicodeDecodeError as error:
            start = self._position + len(piece) - len(error.object) + error.start
            self._note(error.object[: error.start].decode(self.encoding, "ignore"))
            raise UnicodeDecodeError(error.encoding, error.object, start, start + 1, error.reason) from None
        self._note(text)
        if not self._looked_at and not text.isascii():
            self._looked_at = True
            if not _plausible_chinese(text):
                raise UnicodeDecodeError(self.encoding, piece, self._position, self._position + 1, "not Chinese")
        self._position += len(piece)
        return self._unified_line_ends(text)

    def _note(self, text: str) -> None:
        if self.beyond_ascii < _SURELY_UTF8 and not text.isascii():
            self.beyond_ascii += sum(map(len, _NON_ASCII_RUNS.findall(text)))

    def _unified_line_ends(self, text: str) -> str:
        if self._after_return and text.startswith("\n"):
            text = text[1:]
        if text:
            self._after_return = text.endswith("\r")
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

    @property
    def sure(self) -> bool:
        """Whether enough has been decoded to exclude any other encoding."""
        return self.encoding != "utf-8" or self.beyond_ascii >= _SURELY_UTF8


def _plausible_chinese(text: str) -> bool:
    """Whether a text decoded as GB18030 looks Chinese, rather than misread Latin-1 or Big5, which decode too.

    In Latin-1, an umlaut and the letter after it become one rare character among letters; Chinese text has runs, mostly
    of the common characters of the older GB2312 standard.
    """
    runs = _NON_ASCII_RUNS.findall(text)
    count = sum(map(len, runs))
    common = len("".join(runs).encode("gb2312", "ignore")) // 2
    alone = sum(len(run) == 1 for run in runs)
    return common >= 0.4 * count and alone <= 0.5 * count


def binary_error(name: str, position: int) -> CorpusError:
    return CorpusError(f"{name} is a binary file (a zero byte at position {position:,}): choose a text file")


def undecodable_error(name: str, failure: UnicodeDecodeError, decoder: Decoder) -> CorpusError:
    """The error for a file in an unknown encoding, or damaged in a known one."""
    if decoder.sure:
        return CorpusError(
            f"{name} is {decoder.encoding.upper()} but damaged at byte {failure.start:,}: mend it, or save it as UTF-8"
        )
    return CorpusError(
        f"{name} is not text in UTF-8, UTF-16 or GB18030 (byte {failure.start:,} does not fit): save it as UTF-8"
    )
