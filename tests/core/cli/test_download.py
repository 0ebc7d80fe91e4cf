"""``python -m core download``, from a server on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.corpus import catalogue
from tests.core.cli.commands import Printed

pytestmark = pytest.mark.usefixtures("as_it_was")


TEXT = b"a line of a text\n" * 5000


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Iterator[catalogue.Download]:
    """A text on a server on loopback, which the catalogue lists."""
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(TEXT)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(TEXT)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    entry = catalogue.Download(
        "story", "a story", f"http://127.0.0.1:{server.server_address[1]}/story.txt", len(TEXT),
        hashlib.sha256(TEXT).hexdigest(), "free for all", "the neighbours",
    )  # fmt: skip
    monkeypatch.setattr(catalogue, "DOWNLOADS", (entry,))
    yield entry
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_says_what_it_is_first(
    run: Callable[..., Printed], story: catalogue.Download, tmp_path: Path
) -> None:
    printed = run("download", "story", "--data", tmp_path)
    assert printed.code == 0 and printed.err == ""
    lines = printed.out.splitlines()
    assert lines[0] == "story: a story; 85.0 kB, free for all"
    assert lines[1] == f"  from {story.url} (the neighbours)"
    assert lines[2] == f"saved as {tmp_path / 'downloads/story.txt'}"
    assert (tmp_path / "downloads/story.txt").read_bytes() == TEXT
    (facts,) = run("stats", "--corpus", "story", "--data", tmp_path, "--json").json()
    assert facts["bytes"] == len(TEXT)


def test_a_download_as_json(run: Callable[..., Printed], story: catalogue.Download, tmp_path: Path) -> None:
    first, *between, last = run("download", "story", "--data", tmp_path, "--json").json()
    assert first == {
        "event": "download", "name": "story", "title": "a story", "bytes": len(TEXT), "licence": "free for all",
        "source": "the neighbours", "url": story.url,
    }  # fmt: skip
    assert between[-1] == {"event": "progress", "bytes": len(TEXT), "total": len(TEXT)}
    assert {event["event"] for event in between} == {"progress"}
    assert last == {"event": "done", "name": "story", "path": str(tmp_path / "downloads/story.txt")}
    assert run("download", "--json").json() == [first]
    assert "story: a story; 85.0 kB" in run("download").out


def test_a_download_that_fails(
    run: Callable[..., Printed], story: catalogue.Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "DOWNLOADS", (replace(story, sha256="0" * 64),))
    printed = run("download", "story", "--data", tmp_path)
    assert printed.code == 2 and printed.out.startswith("story: a story")
    assert printed.err.startswith("error: story from http://127.0.0.1") and "nothing was kept" in printed.err
    assert not (tmp_path / "downloads/story.txt").exists()
    (tmp_path / "file").write_text("x")
    printed = run("download", "story", "--data", tmp_path / "file")
    assert printed.code == 2 and "cannot be written to" in printed.err


def test_the_bar_of_a_download(
    run: Callable[..., Printed], story: catalogue.Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    printed = run("download", "story", "--data", tmp_path)
    assert f"\r\x1b[K{'━' * 20} 85.0 kB of 85.0 kB" in printed.out
    assert printed.out.index("from http://") < printed.out.index("\r")
