"""Files that somebody else may have put there: what is no regular file is refused, and never waited for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from core.files import NotRegularError, open_new, open_to_append, open_to_read


def listen_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": listen_at,
    "folder": Path.mkdir,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a terminal": lambda path: path.symlink_to("/dev/tty"),
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    for name, put in ODD.items():
        path = Path(name)
        put(path)
        for opened in (open_to_read, open_to_append, open_new):
            try:
                opened(path)
            except OSError:
                continue
            pytest.fail(f"{opened.__name__} opened a {name}")


def test_a_pipe_that_takes_the_place_of_a_file_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the name and the opening: the opening itself must not wait either."""
    path = tmp_path / "file"
    path.write_text("x")
    status = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda *_, **__: status)
    monkeypatch.setattr(os, "lstat", lambda *_, **__: status)
    for opened in (open_to_read, open_to_append):
        with pytest.raises(NotRegularError, match="it is a pipe, no file"):
            opened(path)


def test_a_link_to_a_file_is_read_and_not_written(tmp_path: Path) -> None:
    mine, link = tmp_path / "mine", tmp_path / "link"
    mine.write_bytes(b"x")
    link.symlink_to(mine)
    with open_to_read(link) as file:
        assert file.read() == b"x"
    for opened in (open_to_append, open_new):
        with pytest.raises(OSError):
            opened(link)
    assert mine.read_bytes() == b"x"
