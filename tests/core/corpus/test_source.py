"""Texts of several files, of folders and patterns, and compressed ones."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import zstandard

from core.corpus import source
from core.corpus.reader import Corpus, bytes_of, load_corpus
from core.errors import CorpusError

FILES = {"b.txt": "second\n", "a.txt": "first, 没有行尾", "sub/c.txt": "third\n", "empty.txt": "", "z.txt": "last"}
JOINED = "first, 没有行尾\nsecond\nthird\nlast"


def text_of(corpus: Corpus) -> str:
    return corpus.vocabulary.decode(corpus.ids.tolist())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    (tmp_path / "texts" / ".hidden.txt").write_bytes(b"\0")
    (tmp_path / "texts" / ".git").mkdir()
    (tmp_path / "texts" / ".git" / "x").write_bytes(b"\0")
    (tmp_path / "texts" / "broken.txt").symlink_to(tmp_path / "nowhere")
    return tmp_path / "texts"


@pytest.mark.parametrize("size", [1 << 19, 3])
def test_a_folder_is_its_files_in_the_order_of_their_names(
    folder: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "PIECE", size)
    corpus = load_corpus(str(folder))
    assert (text_of(corpus), corpus.lines, corpus.name, corpus.encoding) == (JOINED, 4, "texts", "utf-8")
    assert [file.name for file in corpus.files] == ["a.txt", "b.txt", "empty.txt", "sub/c.txt", "z.txt"]
    for file in corpus.files:
        data = (folder / file.name).read_bytes()
        assert (file.sha256, file.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    joined = JOINED.encode()
    assert corpus.bytes == len(joined) and corpus.sha256 == hashlib.sha256(joined).hexdigest()
    assert b"".join(bytes_of(corpus)) == joined
    assert (
        load_corpus(str(folder) + "/", tokens="word").ids.tolist()
        == load_corpus(str(folder), tokens="word").ids.tolist()
    )


def test_a_copy_of_the_joined_bytes_is_the_same_text(folder: Path, tmp_path: Path) -> None:
    corpus = load_corpus(str(folder))
    copy = tmp_path / "copy.txt"
    copy.write_bytes(b"".join(bytes_of(corpus)))
    again = load_corpus(str(copy))
    assert (again.sha256, text_of(again), again.vocabulary) == (corpus.sha256, text_of(corpus), corpus.vocabulary)


def test_a_pattern_chooses_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = load_corpus(f"{folder}/[ab].txt")
    assert (text_of(corpus), corpus.name) == ("first, 没有行尾\nsecond\n", "texts")
    assert text_of(load_corpus(f"{folder}/**/c.*")) == "third\n"
    (folder / "[ab].txt").write_text("itself")
    assert text_of(load_corpus(f"{folder}/[ab].txt")) == "itself", "a file of that name comes first"
    with pytest.raises(CorpusError, match="there is no file"):
        load_corpus(f"{folder}/*.md")


def test_each_file_has_its_own_encoding(tmp_path: Path) -> None:
    words = "你骑着那辆旧单车，在校门口等我。"
    for name, codec in (("1", "utf-8"), ("2", "gb18030"), ("3", "utf-16"), ("4", "utf-8-sig")):
        (tmp_path / name).write_bytes(words.encode(codec))
    (tmp_path / "5").write_bytes(b"slowly\n" * 100_000 + words.encode("gb18030"))
    corpus = load_corpus(str(tmp_path))
    assert text_of(corpus) == f"{words}\n" * 4 + "slowly\n" * 100_000 + words
    assert [file.encoding for file in corpus.files] == ["utf-8", "gb18030", "utf-16", "utf-8-sig", "gb18030"]
    assert corpus.encoding == "mixed" and not corpus.is_one_file


def test_growth_after_the_bytes_of_a_run_changes_nothing(folder: Path) -> None:
    corpus = load_corpus(str(folder))
    (folder / "zz.txt").write_text("later")
    again = load_corpus(str(folder), at_most=corpus.bytes)
    assert (again.sha256, text_of(again), again.files) == (corpus.sha256, JOINED, corpus.files)


@pytest.mark.parametrize("size", [1 << 19, 5])
@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_compressed_texts(tmp_path: Path, ending: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PIECE", size)
    data = (JOINED * 30).encode()
    packed = {"gz": gzip.compress, "zst": zstandard.compress}[ending]
    path = tmp_path / f"text.txt.{ending}"
    path.write_bytes(packed(data[:100]) + packed(data[100:]))  # two members one after the other
    corpus = load_corpus(str(path))
    assert (text_of(corpus), corpus.name, corpus.bytes) == (JOINED * 30, "text", len(data))
    assert corpus.sha256 == hashlib.sha256(data).hexdigest() and b"".join(bytes_of(corpus)) == data
    assert [file.name for file in corpus.files] == [path.name]
    part = load_corpus(str(path), at_most=107)
    assert part.sha256 == hashlib.sha256(data[:107]).hexdigest()


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_compressed_text_that_is_cut_or_damaged_gets_a_sentence(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(1).integers(97, 123, 100_000, dtype=np.uint8).tobytes()
    with_checksum = zstandard.ZstdCompressor(write_checksum=True)  # as the zstd command does
    whole = {"gz": gzip.compress, "zst": with_checksum.compress}[ending](noise)
    damaged = whole[:3000] + bytes(64) + whole[3064:]
    for data in (whole[: len(whole) // 2], whole[:-3], damaged, b"not packed at all", whole + b"and more"):
        path = tmp_path / f"text.{ending}"
        path.write_bytes(data)
        with pytest.raises(
            CorpusError, match=r"is cut or damaged as a (gzip|zstd) file \(.*\): fetch or pack it again$"
        ):
            load_corpus(str(path))


def test_little_that_becomes_much_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "zeros.zst"
    path.write_bytes(zstandard.compress(bytes(100_000_000)))
    with pytest.raises(CorpusError, match="is a binary file"):
        load_corpus(str(path))


def test_what_is_wrong_in_a_folder_is_named(folder: Path) -> None:
    def refused() -> str:
        with pytest.raises(CorpusError) as caught:
            load_corpus(str(folder))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert refused() == f"'{folder}/picture.png' is a binary file (a zero byte at position 8): choose a text file"
    (folder / "picture.png").unlink()
    (folder / "part.gz").write_bytes(gzip.compress(b"text" * 100)[:-9])
    assert f"'{folder}/part.gz' is cut or damaged as a gzip file" in refused()
    (folder / "part.gz").unlink()
    os.mkfifo(folder / "pipe")
    assert refused() == f"'{folder}/pipe' is a pipe: choose a regular text file"
    (folder / "pipe").unlink()
    for path in folder.rglob("*.txt"):
        path.write_bytes(b"")
    assert refused() == f"'{folder}' is empty: choose a file with text in it"


def test_a_folder_with_too_many_files_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_FILES", 3)
    with pytest.raises(CorpusError, match="has more than 3 files: choose a folder with fewer"):
        load_corpus(str(folder))
