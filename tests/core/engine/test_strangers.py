"""Another user of the machine can neither come in nor stand in the way: a real one where root runs the tests."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.engine.client import EngineClient
from core.engine.protocol import encoded, runtime_folder
from core.engine.server import Server
from core.errors import EngineError, RunError

STRANGER = 65534
USER = 65533
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


def done_by(uid: int, act: Callable[[], object]) -> None:
    """Let another user do something, in a child; a failure there fails the test."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "see what the child printed"


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that everybody may write to, as /tmp is."""
    folder = Path(tempfile.mkdtemp(prefix="c", dir="/tmp"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def refused(sentence: str) -> Callable[[], None]:
    """That the runtime folder is refused with that sentence, and no engine starts in it."""

    def check() -> None:
        for attempt in (runtime_folder, lambda: Server().start()):
            with pytest.raises(RunError) as caught:
                attempt()
            assert sentence in str(caught.value) and "\n" not in str(caught.value)
            assert "must be a folder of yours that only you can enter (mode 0700): remove it, or set" in str(
                caught.value
            )

    return check


@as_root
def test_a_stranger_cannot_come_in(runtime: Path, common: Path) -> None:
    server = Server()
    path = server.start()

    def knock() -> None:
        for attempt in (lambda: os.listdir(runtime), lambda: path.stat(), lambda: path.unlink()):
            with pytest.raises(PermissionError):
                attempt()
        with socket.socket(socket.AF_UNIX) as knocking, pytest.raises(PermissionError):
            knocking.connect(str(path))

    done_by(STRANGER, knock)

    # And where the walls have fallen, the engine looks who it is.
    def enter() -> None:
        with socket.socket(socket.AF_UNIX) as entering:
            entering.settimeout(10)
            entering.connect(str(path))
            try:
                entering.sendall(encoded({"id": 1, "request": "quit"}))
                assert entering.recv(1) == b""
            except (BrokenPipeError, ConnectionResetError):
                pass

    runtime.chmod(0o755)
    path.chmod(0o666)
    done_by(STRANGER, enter)
    assert server.inbox.qsize() == 0 and server.num_clients == 0
    server.close()


@as_root
def test_a_stranger_s_folder_is_in_the_way(common: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = common / "rnn-playground"
    monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", str(place))
    for mode in (0o700, 0o777):
        done_by(STRANGER, lambda mode=mode: (place.mkdir(exist_ok=True), place.chmod(mode)))  # type: ignore[misc]
        refused(f"it belongs to the user with the id {STRANGER}")()
        if mode == 0o777:
            done_by(USER, refused(f"it belongs to the user with the id {STRANGER}"))
    assert list(place.iterdir()) == []


@as_root
def test_a_stranger_s_link_is_in_the_way(common: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, mine = common / "rnn-playground", common / "mine"
    monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", str(place))
    done_by(USER, lambda: mine.mkdir(mode=0o700))
    done_by(STRANGER, lambda: place.symlink_to(mine))
    done_by(USER, refused("it is a symbolic link"))
    assert list(mine.iterdir()) == []


@as_root
@pytest.mark.parametrize("base", ["temporary", "of the session"])
def test_where_nothing_is_chosen_it_is_as_private(common: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.delenv("RNN_PLAYGROUND_RUNTIME", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(common))
    if base == "of the session":
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(common))
    name = "rnn-playground" if base == "of the session" else f"rnn-playground-{USER}"

    def check() -> None:
        os.umask(0)
        assert runtime_folder() == common / name
        assert stat.S_IMODE((common / name).stat().st_mode) == 0o700

    done_by(USER, check)

    def look() -> None:
        with pytest.raises(PermissionError):
            os.listdir(common / name)

    done_by(STRANGER, look)
    if base == "of the session":
        done_by(STRANGER, refused(f"it belongs to the user with the id {USER}"))


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o750, 0o1777])
def test_a_folder_for_several_is_refused(runtime: Path, mode: int) -> None:
    runtime.chmod(mode)
    refused(f"it has mode {mode:04o}")()
    runtime.chmod(0o700)
    assert list(runtime.iterdir()) == []


def test_all_folders_on_the_way_are_private(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", str(runtime / "a/b/c"))
    before = os.umask(0)
    try:
        runtime_folder()
    finally:
        os.umask(before)
    for part in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((runtime / part).stat().st_mode) == 0o700, part


@as_root
async def test_an_engine_of_somebody_else_is_none_of_ours(common: Path) -> None:
    """Where a stranger listens in our place, we do not talk to him."""
    path, ready = common / "one.sock", os.pipe()
    child = os.fork()
    if child == 0:
        os.setresuid(STRANGER, STRANGER, STRANGER)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()
        os.write(ready[1], b"x")
        accepted, _ = listener.accept()
        os._exit(1 if accepted.recv(1) else 0)
    os.read(ready[0], 1)
    with pytest.raises(EngineError, match="belongs to another user"):
        await EngineClient.connect(path)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "he has heard nothing"
