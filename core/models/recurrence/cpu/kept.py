"""Where compiled libraries are kept, and the conditions for loading one.

A library runs with all rights of its user. So it is read only if no other user can have written it: the file, the
folder and every folder and link on the way to it belong to the user or to root, and others have no write permission.
Its sha256 follows its last byte: a file that was cut or damaged is compiled again.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import stat
import tempfile
from pathlib import Path

_LARGEST = 64 << 20
_DIGEST = hashlib.sha256().digest_size
_MOST_LINKS = 40


def kept_library(name: str) -> bytes | None:
    """The library of that name, or None if there is none that may be loaded."""
    for folder in _folders():
        data = _read(folder / name)
        if data is not None:
            return data
    return None


def keep_library(name: str, data: bytes) -> None:
    """Keep a library for the next process, whole or not at all. If that fails, the next process compiles it again."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            _write(folder / name, data + hashlib.sha256(data).digest())
            return


def _folders() -> list[Path]:
    """The user's cache, then their temporary folder, for a cache that is read-only or not safe."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    wanted = [Path(home) / "rnn-playground"]
    with contextlib.suppress(OSError):
        wanted.append(Path(tempfile.gettempdir()) / f"rnn-playground-{os.getuid()}")
    return [folder for folder in wanted if folder.is_absolute() and _is_usable(folder)]


def _is_usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and found.st_mode & 0o022 == 0
        return ours and is_out_of_reach(folder) and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def is_out_of_reach(path: Path) -> bool:
    """Whether only the user and root can change what is at that path, through any links on it."""
    here, ahead, links = Path("/"), list(reversed(path.parts[1:])), 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            here = here.parent
            continue
        found = (here / part).lstat()
        if found.st_uid not in (0, os.getuid()):
            return False
        if stat.S_ISLNK(found.st_mode):
            target, links = Path(os.readlink(here / part)), links + 1
            if links > _MOST_LINKS:
                return False
            here = Path("/") if target.is_absolute() else here
            ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            continue
        # In a folder like /tmp others may create files, but not move ours.
        if not found.st_mode & stat.S_ISVTX and _others_may_write(found):
            return False
        here = here / part
    return True


def _others_may_write(found: os.stat_result) -> bool:
    if found.st_mode & 0o002:
        return True
    return bool(found.st_mode & 0o020) and not is_private_group(found.st_gid)


def is_private_group(number: int) -> bool:
    """Whether it is the user's own group: many systems give each user one, with a umask of 002."""
    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _read(path: Path) -> bytes | None:
    try:
        # A link is refused, and a pipe without a writer does not block.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            found = os.fstat(handle)
            ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and found.st_mode & 0o022 == 0
            content = file.read(_LARGEST) if ours and found.st_size <= _LARGEST else b""
    except OSError:
        return None
    data, digest = content[:-_DIGEST], content[-_DIGEST:]
    return data if data and hashlib.sha256(data).digest() == digest else None


def _write(path: Path, content: bytes) -> None:
    handle, beside = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(beside, path)  # without a sync: the checksum finds what a crash of the machine has cut
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
