"""The token store: a second start reads nothing, what is damaged is made again, and nothing is ever half there."""

from __future__ import annotations

import errno
import gzip
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.corpus.draft import Draft
from core.corpus.ids import is_mapped
from core.corpus.reader import Corpus, load_corpus
from core.corpus.token_store import TokenStore, default_store
from core.errors import CorpusError

TEXT = "你骑着那辆旧单车，在校门口等我。\nslowly, slowly\n" * 40
LATER = 10_000_000_000  # ns: the files of a test are new, and the store does not trust the times of new files


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """A store that keeps every text."""
    return made(tmp_path / "tokens")


def made(folder: Path, bound: int = 1 << 30) -> TokenStore:
    return TokenStore(folder, bound, smallest=1, clock=lambda: time.time_ns() + LATER)


def same(left: Corpus, right: Corpus) -> bool:
    names = ("name", "sha256", "bytes", "encoding", "lines", "vocabulary", "files")
    return (
        all(getattr(left, name) == getattr(right, name) for name in names) and left.ids.tolist() == right.ids.tolist()
    )


def no_progress(_done: int, _total: int) -> None:
    raise AssertionError("the text was read again")


@pytest.mark.parametrize("tokens", ["char", "word"])
@pytest.mark.parametrize("more", [{}, {"normalise": "spaces", "min_freq": 3}, {"max_tokens": 50, "reserved": ("<a>",)}])
def test_a_kept_text_is_the_same_and_is_not_read_again(
    text_file: Callable[..., str], store: TokenStore, tokens: str, more: dict[str, Any]
) -> None:
    path = text_file(TEXT)
    plain = load_corpus(path, tokens=tokens, **more)
    first = load_corpus(path, tokens=tokens, store=store, **more)
    again = load_corpus(path, tokens=tokens, store=store, progress=no_progress, **more)
    assert not is_mapped(plain.ids) and is_mapped(first.ids) and is_mapped(again.ids)
    assert plain.ids.dtype == first.ids.dtype == again.ids.dtype == np.uint8
    assert same(plain, first) and same(first, again) and not again.problem


def test_every_type_of_ids_and_a_type_that_grows(text_file: Callable[..., str], store: TokenStore) -> None:
    for size, dtype in ((200, np.uint8), (255, np.uint8), (256, np.uint16), (60_000, np.uint16), (66_000, np.int32)):
        text = "".join(chr(0x10000 + place) for place in range(size)) * 2
        path = text_file("ab" * 300_000 + text)
        kept, plain = load_corpus(path, store=store), load_corpus(path)
        assert kept.ids.dtype == plain.ids.dtype
        assert same(kept, plain) and same(kept, load_corpus(path, store=store, progress=no_progress))
        assert kept.vocabulary.decode(kept.ids[600_000:].tolist()) == text
        assert kept.ids.dtype == (dtype if size != 255 else np.uint16)


def test_a_changed_file_is_read_again(text_file: Callable[..., str], store: TokenStore) -> None:
    path = text_file(TEXT)
    first = load_corpus(path, store=store)
    before = os.stat(path)
    Path(path).write_text(TEXT.replace("slowly", "SLOWLY"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the time of any change cannot be set back
    assert load_corpus(path, store=store).sha256 != first.sha256
    os.replace(text_file(TEXT, "other.txt"), path)
    assert load_corpus(path, store=store).sha256 == first.sha256


def test_a_file_changed_just_before_is_not_trusted(text_file: Callable[..., str], tmp_path: Path) -> None:
    path, read = text_file(TEXT), []
    now = TokenStore(tmp_path / "tokens", 1 << 30, smallest=1)
    for _ in range(2):
        load_corpus(path, store=now, progress=lambda *place: read.append(place))
    assert len(read) == 2


def test_the_same_text_elsewhere_shares_its_entry(text_file: Callable[..., str], store: TokenStore) -> None:
    load_corpus(text_file(TEXT), store=store)
    load_corpus(text_file(TEXT, "copy.txt"), store=store)
    load_corpus(text_file(TEXT, "third.txt"), store=store, min_freq=2)
    assert len(store.entries()) == 2


@pytest.mark.parametrize("place", ["ids", "vocabulary", "facts", "end", "cut", "empty", "foreign"])
def test_a_damaged_entry_is_made_again(text_file: Callable[..., str], store: TokenStore, place: str) -> None:
    path = text_file(TEXT)
    good = load_corpus(path, store=store)
    (entry,) = store.folder.glob("*.tokens")
    data = bytearray(entry.read_bytes())
    where = {"ids": 100, "vocabulary": len(good) + 50, "facts": len(data) - 100, "end": len(data) - 20}
    if place in where:
        data[where[place]] ^= 1
    contents = {"cut": bytes(data[: len(data) // 2]), "empty": b"", "foreign": b"\x89PNG" * 999}.get(place, bytes(data))
    entry.unlink()  # the old one is in use
    entry.write_bytes(contents)
    again = made(store.folder)
    corpus = load_corpus(path, store=again)
    assert same(corpus, good) and corpus.problem == "the kept tokens of the text were damaged: the text was read again"
    assert same(load_corpus(path, store=made(store.folder), progress=no_progress), good)


def test_a_pipe_in_the_place_of_an_entry_blocks_nobody(text_file: Callable[..., str], store: TokenStore) -> None:
    path = text_file(TEXT)
    good = load_corpus(path, store=store)
    (entry,) = store.folder.glob("*.tokens")
    entry.unlink()
    os.mkfifo(entry)
    assert same(load_corpus(path, store=store), good)


def test_a_full_disk_leaves_the_text_in_memory(
    text_file: Callable[..., str], store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, left = text_file(TEXT * 100), os.pwrite, [5000]

    def full(descriptor: int, data: Any, place: int) -> int:
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data, place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        corpus = load_corpus(path, store=store)
    assert not is_mapped(corpus.ids) and same(corpus, load_corpus(path))
    assert "cannot be written (No space left on device): the text stays in memory" in corpus.problem
    assert not list(store.folder.glob("*.tokens")) and not list(store.folder.glob(".making-*"))


def test_a_folder_that_cannot_be_made(text_file: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    corpus = load_corpus(text_file(TEXT), store=made(tmp_path / "file" / "tokens"))
    assert "cannot be written (Not a directory)" in corpus.problem


def test_the_bound_removes_the_least_recently_used(text_file: Callable[..., str], tmp_path: Path) -> None:
    paths = [text_file(TEXT + str(number), f"{number}.txt") for number in range(3)]
    sizer = made(tmp_path / "size")
    load_corpus(paths[0], store=sizer)
    seconds = [0]
    store = TokenStore(
        tmp_path / "tokens", int(sizer.bytes * 2.5), smallest=1, clock=lambda: time.time_ns() + LATER + seconds[0]
    )
    for path in (paths[0], paths[1], paths[0], paths[2]):
        seconds[0] += 10_000_000_000
        in_use = load_corpus(path, store=store)
    assert {entry.name for entry in store.entries()} == {"0", "2"} and store.bytes <= store.bound
    assert store.clear() > 0 and store.entries() == [] and not list(store.folder.iterdir())
    assert same(in_use, load_corpus(paths[2])), "what was removed stays while it is in use"


def test_a_text_beyond_the_bound_is_not_kept(text_file: Callable[..., str], tmp_path: Path) -> None:
    store = made(tmp_path / "tokens", bound=100)
    corpus = load_corpus(text_file(TEXT), store=store)
    assert is_mapped(corpus.ids) and "more than the cache may hold (100 B, RNN_PLAYGROUND_CACHE_GB)" in corpus.problem
    assert same(corpus, load_corpus(text_file(TEXT))) and not list(store.folder.glob("*.tokens"))


def test_a_store_that_keeps_nothing_leaves_nothing(text_file: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    store = made(tmp_path / "tokens", bound=0)
    path = text_file(TEXT + "".join(chr(0x4E00 + place) for place in range(300)))
    seen: list[Path] = []
    corpus = load_corpus(path, store=store, progress=lambda *_: seen.extend(store.folder.iterdir()))
    assert is_mapped(corpus.ids) and same(corpus, load_corpus(path)) and not corpus.problem
    assert not seen and not list(store.folder.iterdir())


def test_leftovers_of_killed_processes_are_removed(text_file: Callable[..., str], store: TokenStore) -> None:
    store.folder.mkdir()
    left = store.folder / ".making-0123"
    left.write_bytes(b"half")
    with Draft(store.folder):
        load_corpus(text_file(TEXT), store=store)
        assert not left.exists()
        assert len(list(store.folder.glob(".making-*"))) == 1, "that of a living process stays"


def test_threads_that_keep_the_same_text(text_file: Callable[..., str], store: TokenStore) -> None:
    path, found = text_file(TEXT * 50), []
    plain = load_corpus(path)
    threads = [
        threading.Thread(target=lambda: found.append(load_corpus(path, store=made(store.folder)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(same(corpus, plain) for corpus in found)
    assert len(store.entries()) == 1 and not list(store.folder.glob(".making-*"))


def _load_for_ever(path: str, folder: Path) -> None:
    while True:
        store = made(folder)
        store.clear()
        load_corpus(path, store=store)


def test_killed_writers_leave_whole_entries_or_none(
    text_file: Callable[..., str], store: TokenStore, trials: int
) -> None:
    path = text_file(TEXT * 200)
    plain = load_corpus(path)
    context = multiprocessing.get_context("fork")
    for trial in range(3 * trials):
        writer = context.Process(target=_load_for_ever, args=(path, store.folder))
        writer.start()
        writer.join(0.02 + 0.013 * trial % 0.1)
        writer.kill()
        writer.join()
        fresh = made(store.folder)
        corpus = load_corpus(path, store=fresh)
        assert same(corpus, plain) and not corpus.problem
    fresh.clear()
    assert not list(store.folder.iterdir())


def test_the_users_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RNN_PLAYGROUND_CACHE_GB", raising=False)
    assert default_store().folder == tmp_path / "rnn-playground" / "tokens"
    monkeypatch.setenv("RNN_PLAYGROUND_CACHE_GB", "0.5")
    assert default_store().bound == 500_000_000
    monkeypatch.setenv("RNN_PLAYGROUND_CACHE_GB", "0")
    assert default_store().bound == 0 and default_store().folder == Path(tempfile.gettempdir())
    for given in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("RNN_PLAYGROUND_CACHE_GB", given)
        with pytest.raises(CorpusError, match="RNN_PLAYGROUND_CACHE_GB must be a number of gigabytes"):
            default_store()


def test_a_compressed_text_is_kept_by_what_is_in_it(tmp_path: Path, store: TokenStore) -> None:
    path = tmp_path / "text.txt.gz"
    path.write_bytes(gzip.compress(TEXT.encode()))
    first = load_corpus(str(path), store=store)
    assert same(first, load_corpus(str(path), store=store, progress=no_progress))
    (tmp_path / "text.txt").write_text(TEXT)
    load_corpus(str(tmp_path / "text.txt"), store=store)
    assert len(store.entries()) == 1
