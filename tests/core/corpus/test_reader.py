"""Files of every kind to token ids."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.corpus import reader, source
from core.corpus.counting import counter
from core.corpus.encoding import Decoder
from core.corpus.normalisation import normaliser
from core.corpus.reader import bytes_of, load_corpus
from core.corpus.vocabulary import characters, code_points
from core.errors import CorpusError

Write = Callable[..., str]

REPOSITORY = Path(__file__).resolve().parents[3]
CHINESE = "你骑着那辆旧单车，在校门口等我。\n后座的风把书包吹得像一只气球\n"


def decoded(corpus: reader.Corpus) -> str:
    return corpus.vocabulary.decode(corpus.ids)


# --- known answers -------------------------------------------------------------------------------------------------


def test_time_machine_characters(time_machine: str) -> None:
    corpus = load_corpus(time_machine, normalise="letters")
    assert (corpus.lines, len(corpus), len(corpus.vocabulary)) == (3_221, 170_580, 28)
    assert corpus.bytes == 178_979
    assert corpus.sha256 == "8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516"
    assert corpus.ids.dtype == np.uint8
    assert decoded(corpus).startswith("the time machine by h g wellsithe time traveller for so")


def test_time_machine_words(time_machine: str) -> None:
    corpus = load_corpus(time_machine, normalise="letters", tokens="word")
    assert (corpus.lines, len(corpus), len(corpus.vocabulary)) == (3_221, 32_775, 4_580)
    vocabulary = corpus.vocabulary
    top = [(vocabulary.id_to_token(index), int(vocabulary.frequencies[index])) for index in range(1, 6)]
    assert top == [("the", 2261), ("i", 1267), ("and", 1245), ("of", 1155), ("a", 816)]


# --- encodings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "named"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("gb18030", "gb18030"),
        ("gbk", "gb18030"),
    ],
)
@pytest.mark.parametrize(
    "text", [CHINESE, "Say 单车 slowly.\r\n" + CHINESE, CHINESE * 20_000], ids=["zh", "mixed", "long"]
)
def test_encodings_are_recognised(text_file: Write, codec: str, named: str, text: str) -> None:
    corpus = load_corpus(text_file(text.encode(codec)))
    assert corpus.encoding == named
    assert decoded(corpus) == text.replace("\r\n", "\n")
    assert corpus.lines == text.count("\n")


def test_utf16_with_the_other_byte_order_mark(text_file: Write) -> None:
    corpus = load_corpus(text_file(b"\xfe\xff" + CHINESE.encode("utf-16-be")))
    assert (corpus.encoding, decoded(corpus)) == ("utf-16", CHINESE)


def test_english_utf16_without_mark(text_file: Write) -> None:
    for codec in ("utf-16-le", "utf-16-be"):
        corpus = load_corpus(text_file("The Time Machine, by H. G. Wells\n".encode(codec)))
        assert corpus.encoding == codec


def test_chinese_far_behind_ascii_is_still_gb18030(text_file: Write) -> None:
    text = "slowly, slowly\n" * 60_000 + CHINESE * 3
    corpus = load_corpus(text_file(text.encode("gb18030")))
    assert (corpus.encoding, decoded(corpus)) == ("gb18030", text)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0\ufeff"), min_size=1))
@settings(max_examples=50, deadline=None)
def test_any_utf8_text_is_read_as_it_stands(text: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode("utf-8"))
        file.flush()
        assert decoded(load_corpus(file.name)) == text.replace("\r\n", "\n").replace("\r", "\n")


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: choose a file with text in it"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a binary file (a zero byte at position 8): choose a text file"),
        (bytes(1000), "is a binary file (a zero byte at position 0): choose a text file"),
        (b"\x7fELF\x02\x01\x01\0" + bytes(range(256)) * 20, "is a binary file (a zero byte at position 7)"),
        (b"a\n" * 300_000 + b"\0", "is a binary file (a zero byte at position 600,000)"),
        (b"a\0b\0 \0\0\0", "is a binary file"),
        ("Der Müller mahlt für größere Mühlen".encode("latin-1"), "is not text in UTF-8, UTF-16 or GB18030 (byte 5"),
        ("un café, deux cafés".encode("latin-1"), "is not text in UTF-8, UTF-16 or GB18030"),
        (
            b"\x1f\x8b\x08\x08\xff\xfe\xfd",
            "is not text in UTF-8, UTF-16 or GB18030 (byte 1 does not fit): save it as UTF-8",
        ),
        (CHINESE.encode()[:50] + b"\xff" + CHINESE.encode(), "is UTF-8 but damaged at byte 49: mend it"),
        (CHINESE.encode()[:-2], "is UTF-8 but damaged at byte"),
        ("\ufeff你".encode("utf-16-le") + b"\x00\xd8", "is UTF-16 but damaged at byte 4"),
        (b"\xef\xbb\xbfabc\xff", "is UTF-8-SIG but damaged at byte 6"),
    ],
    ids=range(13),
)
def test_what_is_no_text_gets_a_sentence(text_file: Write, content: bytes, sentence: str) -> None:
    with pytest.raises(CorpusError) as caught:
        load_corpus(text_file(content))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_far_into_a_file_is_located(text_file: Write) -> None:
    before = CHINESE.encode() * 20_000
    with pytest.raises(CorpusError, match=f"damaged at byte {len(before):,}"):
        load_corpus(text_file(before + b"\xff\xff" + before))


def test_what_is_no_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="has no files: choose a folder with text files in it, or a text file"):
        load_corpus(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match="is a pipe"):
        load_corpus(str(tmp_path / "pipe"))
    with pytest.raises(CorpusError, match="is a device"):
        load_corpus("/dev/zero")
    with pytest.raises(CorpusError, match="there is no file"):
        load_corpus(str(tmp_path / "missing.txt"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for given_path in (str(tmp_path / "loop"), "a" * 5000, "a/\0b", ""):
        with pytest.raises(CorpusError, match=r"there is no file|no text was named"):
            load_corpus(given_path)
    with pytest.raises(CorpusError) as caught:
        load_corpus("a" * 5000)
    assert len(str(caught.value)) < 400


def test_an_unreadable_file_gets_a_sentence(text_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text_file("text")

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reader.os, "open", refused)  # the tests may run as root, whom a mode does not stop
    with pytest.raises(CorpusError, match=r"cannot be read \(Permission denied\): choose a readable file"):
        load_corpus(path)


def test_escape_sequences_in_a_name_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mred\n.txt"
    path.touch()
    with pytest.raises(CorpusError) as caught:
        load_corpus(str(path))
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_left_gets_a_sentence(text_file: Write) -> None:
    with pytest.raises(CorpusError, match="has no tokens left after the normalisation 'letters'"):
        load_corpus(text_file(CHINESE), normalise="letters")
    with pytest.raises(CorpusError, match="has no tokens left"):
        load_corpus(text_file(" \n\t "), tokens="word")


def test_wrong_settings_get_a_sentence(text_file: Write) -> None:
    with pytest.raises(CorpusError, match="normalise must be one of none, spaces, letters, no-punctuation, got 'x'"):
        load_corpus(text_file("a"), normalise="x")
    with pytest.raises(CorpusError, match="tokens must be char or word"):
        load_corpus(text_file("a"), tokens="byte")
    with pytest.raises(CorpusError, match="at least 0"):
        load_corpus(text_file("a"), max_tokens=-1)


def test_a_word_without_end_is_refused(text_file: Write) -> None:
    for text in ("a" * 2_000_000, "a b " + "c" * 100_001 + " d"):
        with pytest.raises(CorpusError, match="without white space, which is not a word"):
            load_corpus(text_file(text), tokens="word")


# --- normalisations ------------------------------------------------------------------------------------------------


def plain(text: str, normalise: str, tokens: str) -> list[str]:
    """What the normalisations mean, in the slow and obvious way."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if normalise == "spaces":
        text = (text[:-1] if text.endswith("\n") else text).replace("\n", " ")
    elif normalise == "letters":
        lines = [re.sub("[^A-Za-z]+", " ", line).strip().lower() for line in text.split("\n")]
        text = ("" if tokens == "char" else " ").join(lines)
    elif normalise == "no-punctuation":
        kept = [character if unicodedata.category(character)[0] in "LMN" else " " for character in text]
        text = re.sub(" +", " ", "".join(kept)).strip(" ")
    return list(text) if tokens == "char" else text.split()


some_text = st.text(
    st.sampled_from("abXYZ019 ,.-_'\n\n\r\t你们，。\u3000\u0301é\u2028\u00a0\U0001f600"), min_size=1, max_size=60
)
every_way = pytest.mark.parametrize("tokens", ["char", "word"])
every_normalisation = pytest.mark.parametrize("normalise", ["none", "spaces", "letters", "no-punctuation"])


@every_way
@every_normalisation
@given(text=some_text, pieces=st.lists(st.integers(1, 7), min_size=1))
@settings(max_examples=150, deadline=None)
def test_pieces_of_any_size_give_the_plain_result(text: str, pieces: list[int], normalise: str, tokens: str) -> None:
    decoder, normal, count = Decoder("utf-8"), normaliser(normalise, tokens), counter(tokens, 1000)
    content = text.encode()
    start = 0
    while start < len(content):
        size = pieces[start % len(pieces)]
        piece = decoder.feed(content[start : start + size], start + size >= len(content))
        count.add_text(characters(normal(code_points(piece))))
        start += size
    count.close()
    expected = plain(text, normalise, tokens)
    assert len(count) == len(expected)
    if expected:
        ids, vocabulary = count.finish(0, ())
        assert [vocabulary.id_to_token(index) for index in ids.tolist()] == expected
        assert vocabulary.frequencies.sum() == len(expected)
    if tokens == "char":
        unified = text.replace("\r\n", "\n").replace("\r", "\n")
        assert characters(normaliser(normalise)(code_points(unified))) == "".join(expected)


@every_way
@every_normalisation
def test_files_larger_than_a_piece(
    text_file: Write, monkeypatch: pytest.MonkeyPatch, normalise: str, tokens: str
) -> None:
    monkeypatch.setattr(source, "PIECE", 101)
    text = "“Slowly,” he said; 慢一点 -- once  more!\r\n\r\n  And: café, no. 7\r\n" * 40
    corpus = load_corpus(text_file(text), normalise=normalise, tokens=tokens)
    assert [corpus.vocabulary.id_to_token(index) for index in corpus.ids.tolist()] == plain(text, normalise, tokens)
    assert corpus.lines == 120


def test_spaces_against_the_classic_replacement(text_file: Write) -> None:
    text = "一行\n两行\n\n三行\n"
    classic = text.replace("\n", " ").replace("\r", " ")
    assert decoded(load_corpus(text_file(text), normalise="spaces")) == classic[:-1]
    windows = text.replace("\n", "\r\n")
    assert decoded(load_corpus(text_file(windows), normalise="spaces")) == classic[:-1]


def test_lines_count_without_a_last_line_end(text_file: Write) -> None:
    assert load_corpus(text_file("a\nb")).lines == 2
    assert load_corpus(text_file("a\nb\n")).lines == 2
    assert load_corpus(text_file("a\r\n\r\nb")).lines == 3


# --- the rest ------------------------------------------------------------------------------------------------------


def test_max_tokens_takes_the_first_and_the_hash_takes_all(text_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PIECE", 64)
    path = text_file(CHINESE * 10)
    corpus = load_corpus(path, max_tokens=20)
    assert decoded(corpus) == CHINESE[:20]
    assert len(corpus.vocabulary) == len(set(CHINESE[:20])) + 1
    assert corpus.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert corpus.lines == 20
    words = load_corpus(text_file("one two three four\n" * 20), tokens="word", max_tokens=6)
    assert words.vocabulary.decode(words.ids) == "one two three four one two"


def test_more_than_65536_different_words(text_file: Write) -> None:
    text = " ".join(str(number % 70_000) for number in range(140_000))
    corpus = load_corpus(text_file(text), tokens="word")
    assert corpus.ids.dtype == np.int32
    assert corpus.vocabulary.decode(corpus.ids) == text
    rare = load_corpus(text_file(text + " 7"), tokens="word", min_freq=3)
    assert rare.ids.dtype == np.uint8
    assert rare.vocabulary.tokens == ("<unk>", "7")
    assert int(rare.ids.sum()) == 3


def test_min_freq_and_reserved(text_file: Write) -> None:
    corpus = load_corpus(text_file("aab"), min_freq=2, reserved=("<bos>",))
    assert corpus.vocabulary.tokens == ("<unk>", "<bos>", "a")
    assert corpus.ids.tolist() == [2, 2, 0]


def test_progress_is_told_and_can_stop(text_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PIECE", 10)
    told: list[tuple[int, int]] = []
    load_corpus(text_file("a" * 25), progress=lambda done, total: told.append((done, total)))
    assert told == [(10, 25), (20, 25), (25, 25)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_corpus(text_file("a" * 25), progress=stop)


def test_a_file_that_shrinks_meanwhile_gets_a_sentence(text_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PIECE", 10)
    path = text_file("a" * 25)
    with pytest.raises(CorpusError, match="became shorter while it was read"):
        load_corpus(path, progress=lambda done, total: os.truncate(path, 10))


def test_bundled_names_resolve() -> None:
    corpus = load_corpus("lyrics-zh", normalise="spaces", max_tokens=10_000)
    assert corpus.name == "lyrics-zh"
    assert len(corpus) == 10_000
    assert "\n" not in corpus.vocabulary


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_memory_stays_near_two_bytes_a_token(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_text(CHINESE * 300_000)  # 28 MB, 10 million characters
    program = (
        "import sys; from pathlib import Path; from core.corpus.reader import load_corpus\n"
        "def peak(): return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
        "before = peak()\n"
        "load_corpus(sys.argv[1])\n"
        "print(peak() - before)"  # getrusage would count the process that started this one too
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )  # fmt: skip
    assert int(run.stdout) / 1024 < 60  # MiB


def test_the_bytes_that_were_read(tmp_path: Path) -> None:
    """A file that has grown since gives the bytes that it had; one that was changed gives a sentence."""
    path = tmp_path / "log.txt"
    data = ("分开 wide and narrow\r\n" * 60_000).encode()  # several pieces
    path.write_bytes(data)
    corpus = load_corpus(str(path))
    assert b"".join(bytes_of(corpus)) == data and corpus.bytes == len(data)
    with path.open("ab") as file:
        file.write(b"\xff\xfe more")
    assert b"".join(bytes_of(corpus)) == data
    again = load_corpus(str(path), at_most=corpus.bytes)
    assert (again.sha256, again.bytes, again.ids.tolist()) == (corpus.sha256, corpus.bytes, corpus.ids.tolist())
    for other, sentence in ((data[:-1], "was changed"), (data[:-1] + b"x", "was changed"), (b"", "is empty")):
        path.write_bytes(other)
        with pytest.raises(CorpusError, match=sentence):
            list(bytes_of(corpus))
