"""Texts by name, and downloads from a server on loopback."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.corpus import download as module
from core.corpus.catalogue import DATA_DIR, DOWNLOADS, Download, download_named, resolve, texts
from core.corpus.download import download
from core.corpus.reader import load_corpus
from core.errors import CorpusError

REPOSITORY = Path(__file__).resolve().parents[3]
TEXT = "".join(f"line {number} of a text\n" for number in range(20_000)).encode()


# --- names ---------------------------------------------------------------------------------------------------------


def test_bundled_texts_are_listed_and_resolve() -> None:
    listed = {text.name: text for text in texts()}
    assert "lyrics-zh" in listed
    assert listed["lyrics-zh"].description
    for text in listed.values():
        assert text.bytes == text.path.stat().st_size
        assert resolve(text.name) == text.path


def test_listing_needs_no_numpy() -> None:
    program = (
        "import sys; from core.corpus import catalogue; catalogue.texts(); catalogue.resolve('lyrics-zh'); "
        "assert not {'numpy', 'torch', 'textual', 'urllib.request'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "mine.txt").write_text("abc")
    (tmp_path / "downloads/time-machine.txt").write_text("the time")
    (tmp_path / "README.md").write_text("no text")
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / ".hidden.txt").write_text("x")
    assert [(text.name, text.bytes, text.downloaded) for text in texts(tmp_path)] == [
        ("mine", 3, False),
        ("time-machine", 8, True),
    ]
    assert load_corpus("time-machine", data_dir=tmp_path).name == "time-machine"
    assert texts(tmp_path / "missing") == []


def test_a_name_goes_before_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lyrics-zh").write_text("mine")
    assert resolve("lyrics-zh") == DATA_DIR / "lyrics-zh.txt"
    assert resolve("./lyrics-zh") == Path("lyrics-zh")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("lyric-zh", "did you mean lyrics-zh"),
        ("time-machin", "did you mean time-machine"),
        ("time-machine", "is not downloaded yet: fetch it with 'python -m core download time-machine'"),
        ("/nowhere/at/all.txt", "there is no file '/nowhere/at/all.txt': give the path of a text file, or one of"),
        ("../data/lyrics-zh", "there is no file"),
        ("", "no text was named"),
        ("~nobody-of-this-name/x", "there is no file"),
        ("\x1b[31m", "there is no file '\\x1b[31m'"),
    ],
)
def test_what_is_not_there_gets_a_sentence(tmp_path: Path, source: str, sentence: str) -> None:
    (tmp_path / "lyrics-zh.txt").write_text("abc")
    with pytest.raises(CorpusError) as caught:
        resolve(source, tmp_path)
    assert sentence in str(caught.value)


def test_the_catalogue_is_well_formed() -> None:
    assert len({entry.name for entry in DOWNLOADS}) == len(DOWNLOADS)
    for entry in DOWNLOADS:
        assert download_named(entry.name) is entry
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert entry.bytes and entry.licence and entry.source and entry.title
        assert (entry.member is not None) == entry.url.endswith(".zip") and entry.url.startswith("https://")
    with pytest.raises(CorpusError, match="there is no text 'x' to download; there are time-machine"):
        download_named("x")


# --- downloads -----------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """What the server on loopback does, and what it was asked."""

    content: bytes = TEXT
    ranges: bool = True
    cut_after: int | None = None
    chunked: bool = False
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    port: int = 0

    def entry(self, name: str = "story", **changes: Any) -> Download:
        content = changes.pop("content", self.content)
        whole = Download(
            name=name,
            title="a story",
            url=f"http://127.0.0.1:{self.port}/story.txt",
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            licence="none",
            source="here",
        )
        return replace(whole, **changes)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if self.status != 200 or start > len(self.content):
            handler.send_error(416 if start else self.status)
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if not self.chunked:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cut_after])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = running.server_address[1]
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    running.shutdown()
    thread.join()
    running.server_close()


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "downloads").iterdir())


def test_the_right_file_arrives_and_resolves(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = download(server.entry(), data_dir=tmp_path, progress=lambda done, total: told.append((done, total)))
    assert path.read_bytes() == TEXT
    assert left_behind(tmp_path) == ["story.txt"]
    assert told[-1] == (len(TEXT), len(TEXT))
    assert load_corpus("story", data_dir=tmp_path).sha256 == server.entry().sha256


def test_a_wrong_checksum_leaves_nothing_and_spoils_nothing(server: Server, tmp_path: Path) -> None:
    download(server.entry(), data_dir=tmp_path)
    wrong = server.entry(sha256="0" * 64)
    with pytest.raises(CorpusError, match=r"is not the expected text .* nothing was kept"):
        download(wrong, data_dir=tmp_path)
    assert (tmp_path / "downloads/story.txt").read_bytes() == TEXT
    assert (tmp_path / "downloads/story.part").stat().st_size == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_connection_is_resumed(server: Server, tmp_path: Path, chunked: bool) -> None:
    server.cut_after, server.chunked = 100_000, chunked
    with pytest.raises(CorpusError, match=f"cut after 100,000 of {len(TEXT):,} bytes of story: download it again"):
        download(server.entry(), data_dir=tmp_path)
    assert not (tmp_path / "downloads/story.txt").exists()
    with pytest.raises(CorpusError, match="cut after 200,000"):
        download(server.entry(), data_dir=tmp_path)
    server.cut_after = None
    assert download(server.entry(), data_dir=tmp_path).read_bytes() == TEXT
    assert server.asked == [None, "bytes=100000-", "bytes=200000-"]


def test_a_server_without_ranges_is_asked_for_all_again(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.ranges = 100_000, False
    with pytest.raises(CorpusError, match="cut after 100,000"):
        download(server.entry(), data_dir=tmp_path)
    server.cut_after = None
    assert download(server.entry(), data_dir=tmp_path).read_bytes() == TEXT


@pytest.mark.parametrize(
    "part", [b"something else", b"x" * (len(TEXT) - 1), b"x" * len(TEXT), b"x" * (len(TEXT) + 1)], ids=range(4)
)
def test_a_foreign_beginning_is_dropped(server: Server, tmp_path: Path, part: bytes) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/story.part").write_bytes(part)
    assert download(server.entry(), data_dir=tmp_path).read_bytes() == TEXT
    assert left_behind(tmp_path) == ["story.txt"]


def test_a_complete_part_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/story.part").write_bytes(TEXT)
    assert download(Server(port=1).entry(), data_dir=tmp_path).read_bytes() == TEXT


def test_a_larger_file_is_stopped_at_once(server: Server, tmp_path: Path) -> None:
    entry = server.entry(content=TEXT[:1000])
    server.chunked = True
    with pytest.raises(CorpusError, match="larger than the expected 1,000 bytes: nothing was kept"):
        download(entry, data_dir=tmp_path)
    assert (tmp_path / "downloads/story.part").stat().st_size == 0


def test_a_refusal_gets_a_sentence(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(CorpusError, match="answers 404 Not Found; try again later"):
        download(server.entry(), data_dir=tmp_path)


def test_no_network_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        entry = Server(port=unused.getsockname()[1]).entry()
        with pytest.raises(CorpusError, match=r"http://127\.0\.0\.1:.* cannot be reached .*: check the network"):
            download(entry, data_dir=tmp_path)


def test_a_silent_server_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        entry = Server(port=silent.getsockname()[1]).entry()
        with pytest.raises(CorpusError, match="check the network"):
            download(entry, data_dir=tmp_path, seconds=0.2)


def served(content: bytes, then: str, seconds: float = 30) -> Iterator[int]:
    """A server that sends these bytes to whoever comes, as they stand, and then hangs up or says ``then`` for ever."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, contextlib.suppress(OSError):
                        client.recv(1 << 16)
                        client.sendall(content.replace(b"PORT", str(listener.getsockname()[1]).encode()))
                        until = time.monotonic() + seconds
                        while then and time.monotonic() < until:
                            client.sendall(then.encode())
                            time.sleep(0.001)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_whatever_a_server_sends_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    ok, chunked = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    redirects = [
        b"http://[::1", b"http://a..b/", b"http://" + b"a" * 70 + b".example/", b"http://\xff\xfe/", b"http://1.2.3.4:99999/",
        b"http://x:port/", b"file:///etc/passwd", b"ftp://127.0.0.1:PORT/x", b"//[", b"http://", b"", b"http://127.0.0.1:PORT/",
    ]  # fmt: skip
    sent: list[tuple[bytes, str]] = [(b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\n\r\n", "") for to in redirects]
    sent += [
        (b"", ""), (b"garbage\r\n\r\n", ""), (b"HTTP/1.1 abc\r\n\r\n", ""), (b"HTTP/1.1 999999 x\r\n\r\n", ""),
        (b"HTTP/1.1 404 " + b"x" * 60_000 + b"\r\n\r\n", ""), (ok + b"A: b\r\n" * 200 + b"\r\n", ""),
        (ok + b"Content-Length: -5\r\n\r\nabc", ""), (ok + b"Content-Length: many\r\n\r\nabc", ""),
        (ok + b"Content-Length: 99\r\n\r\nabc", ""), (chunked + b"-5\r\nabcdef", ""), (chunked + b"zz\r\nabc", ""),
        (chunked + b"f" * 70_000 + b"\r\n", ""), (chunked + b"ffffffffffffffff\r\nabc", ""),
        (b"HTTP/1.1 206 OK\r\nContent-Range: none\r\n\r\nabc", ""),
        (b"", "HTTP/1.1 100 Continue\r\n\r\n"), (ok, "A: b\r\n"), (chunked + b"0\r\n", "A: b\r\n"), (b"", "x"),
        (chunked + b"3\r\nabc\r\n", "0"),
    ]  # fmt: skip
    for number, (content, then) in enumerate(sent):
        for port in served(content, then):
            entry = Server(port=port).entry(f"story-{number}")
            with pytest.raises(CorpusError) as caught:
                download(entry, data_dir=tmp_path, seconds=0.3)
            words = str(caught.value)
            assert words.startswith((entry.name, "the connection was cut")) and len(words) < 500 and "\n" not in words
            assert not (tmp_path / f"downloads/{entry.name}.txt").exists(), (content[:80], then)


def test_one_download_at_a_time(server: Server, tmp_path: Path) -> None:
    def again(done: int, total: int) -> None:
        with pytest.raises(CorpusError, match="is being downloaded already"):
            download(server.entry(), data_dir=tmp_path)

    download(server.entry(), data_dir=tmp_path, progress=again)


def test_a_folder_that_cannot_be_written_gets_a_sentence(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "downloads").write_text("a file in the way")
    with pytest.raises(CorpusError, match="story cannot be written to"):
        download(server.entry(), data_dir=tmp_path)
    (tmp_path / "downloads").unlink()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(CorpusError, match="No space left on device"):
        download(server.entry(), data_dir=tmp_path)
    assert not (tmp_path / "downloads/story.txt").exists()


# --- archives ------------------------------------------------------------------------------------------------------


def zipped(*members: tuple[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in members:
            writer.writestr(name, content)
    return archive.getvalue()


def unpacked(server: Server, folder: Path, content: bytes) -> bytes:
    server.content = content
    return download(server.entry(member="lyrics.txt"), data_dir=folder).read_bytes()


def test_only_the_expected_member_is_unpacked(server: Server, tmp_path: Path) -> None:
    content = zipped(("../../outside.txt", b"no"), ("/tmp/outside.txt", b"no"), ("lyrics.txt", TEXT), ("b.txt", b"no"))
    assert unpacked(server, tmp_path / "data", content) == TEXT
    assert left_behind(tmp_path / "data") == ["story.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (zipped(("../lyrics.txt", TEXT)), "does not hold 'lyrics.txt'"),
        (zipped(("lyrics.txt", bytes(5_000_000))), "unpacks to more than"),
        (TEXT, "cannot be unpacked"),
        (zipped(("lyrics.txt", TEXT)).replace(b"\x08\0", b"\x63\0"), "cannot be unpacked"),
        (
            b"\xff".join([zipped(("lyrics.txt", os.urandom(3000)))[:1000], zipped(("lyrics.txt", TEXT))[1001:]]),
            "archive",
        ),
    ],
    ids=["traversal", "bomb", "no zip", "unknown method", "damaged"],
)
def test_a_hostile_archive_gets_a_sentence(server: Server, tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(CorpusError, match=f"story: its .*{sentence}|story: its {sentence}"):
        unpacked(server, tmp_path, content)
    assert not (tmp_path / "downloads/story.txt").exists()
    assert "story.unpacked" not in left_behind(tmp_path)


def test_folders_and_compressed_files_among_the_bundled_texts(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    for name in ("books/a.txt", "books/b.txt", "packed.txt.gz", "other.md"):
        (tmp_path / name).write_bytes(gzip.compress(b"text") if name.endswith("gz") else b"text")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "nothing").mkdir()
    found = {text.name: text for text in texts(tmp_path)}
    assert set(found) == {"books", "packed"}
    assert (found["books"].bytes, found["books"].description) == (8, "a folder: 2 files")
    assert (
        resolve("books", tmp_path) == tmp_path / "books" and resolve("packed", tmp_path) == tmp_path / "packed.txt.gz"
    )
