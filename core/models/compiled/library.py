"""Compile the C files beside this one and load them, once for each machine.

PyTorch runs a recurrence as some hundred small calls, each of which wakes its threads, waits for them, and sends its
result through memory. One C function takes each thread's rows through all steps instead, and does not stall where
other programs take the processor from one of the threads. It needs a C compiler (``cc``, as wherever Python packages
are built), takes two seconds, and is kept in the user's cache. Where anything fails, the reason is kept and the plain
calls are used.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent
_FLAGS = ("-O3", "-fno-math-errno", "-ffp-contract=fast", "-fPIC", "-pthread", "-std=gnu11")
_NATIVE = ("-march=native", "-mcpu=native")  # this processor's instructions, as one compiler or another calls them
_PATIENCE = 60.0  # seconds


class Unavailable(Exception):
    """There is no compiled library; the sentence says why."""


@cache
def compiled_library() -> ctypes.CDLL | str:
    """The library, or a sentence that says why there is none. Compiles it at the first call on a machine."""
    if os.environ.get("RNN_PLAYGROUND_COMPILED", "") == "0":
        return "compiled kernels are switched off by RNN_PLAYGROUND_COMPILED=0"
    try:
        return _loaded()
    except Unavailable as problem:
        return str(problem)
    except OSError as error:
        return f"the compiled kernels could not be loaded: {error}"


def _loaded() -> ctypes.CDLL:
    compiler = _compiler()
    if not compiler:
        raise Unavailable("there is no C compiler: with one (cc) the recurrences run compiled, half as fast again")
    name = f"kernels-{_identity(compiler)}.so"
    folder = _cache()
    if folder is not None:
        if not (folder / name).exists():
            _compile(compiler, folder / name)
        return ctypes.CDLL(str(folder / name))
    with tempfile.TemporaryDirectory(prefix="rnn-playground-") as place:  # readable to this user alone
        _compile(compiler, Path(place) / name)
        return ctypes.CDLL(str(Path(place) / name))


def _compiler() -> tuple[str, ...]:
    """The words of the command: ``CC``, which may have arguments as in a Makefile, or the first that is found."""
    try:
        named = shlex.split(os.environ.get("CC", ""))
    except ValueError:
        raise Unavailable(f"CC is no command: {os.environ['CC']!r} has a quotation mark without its partner") from None
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    return tuple(named) or ((found,) if found else ())


def _identity(compiler: Sequence[str]) -> str:
    """What the library depends on: the sources, how they are compiled, and the instructions of the processor."""
    digest = hashlib.sha256()
    for source in sorted(SOURCES.glob("*.[ch]")):
        digest.update(source.read_bytes())
    with suppress(OSError):
        digest.update(str(os.stat(shutil.which(compiler[0]) or compiler[0]).st_mtime_ns).encode())
    facts = (*compiler, *_FLAGS, *_NATIVE, _openmp() or "", *platform.uname()[4:], *_processor())
    digest.update(" ".join(facts).encode())
    return digest.hexdigest()[:16]


def _processor() -> list[str]:
    """The lines in which Linux names the processor and its instructions; elsewhere the machine's name must do."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        wanted = ("model name", "flags", "Features")
        return sorted({line.strip() for line in lines if line.startswith(wanted)})
    return [platform.processor()]


def _cache() -> Path | None:
    """The user's own folder for compiled kernels, closed to others; None where there is no such place."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(home) / "rnn-playground"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = found.st_uid == os.getuid() and not folder.is_symlink() and found.st_mode & 0o022 == 0
    return folder if ours and os.access(folder, os.W_OK | os.X_OK) else None


def _openmp() -> str | None:
    """The OpenMP library whose threads PyTorch works with, if it is loaded and speaks GNU's tongue."""
    with suppress(OSError), open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            path = line.rstrip("\n").partition("/")[2]
            if Path(path).name.startswith(("libgomp", "libiomp5")):
                return "/" + path
    return None


def _compile(compiler: Sequence[str], target: Path) -> None:
    """All C files into one library, whole or absent: under another name first, then renamed."""
    openmp, problem = _openmp(), ""
    handle, beside = tempfile.mkstemp(suffix=".so", dir=target.parent)
    os.close(handle)
    try:
        for threads in (openmp, None) if openmp else (None,):
            for native in _NATIVE:
                said = _compiled(compiler, native, threads, beside)
                if said is None:
                    os.chmod(beside, 0o700)
                    os.replace(beside, target)
                    return
                problem = problem or said or "it said nothing"
        raise Unavailable(f"the C compiler {shlex.join(compiler)} failed: {problem.splitlines()[0]}")
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the C compiler {shlex.join(compiler)} took longer than {_PATIENCE:.0f} seconds") from None
    finally:
        with suppress(OSError):
            os.unlink(beside)


def _compiled(compiler: Sequence[str], native: str, openmp: str | None, target: str) -> str | None:
    """Compile and link; return what the compiler says where it fails, else None."""
    sources = sorted(SOURCES.glob("*.c"))
    with tempfile.TemporaryDirectory(prefix="rnn-playground-") as place:
        # Linking by hand: with -fopenmp the linker would take its own OpenMP library beside PyTorch's.
        library = [openmp, f"-Wl,-rpath,{Path(openmp).parent}"] if openmp else []
        objects = [f"{source.stem}.o" for source in sources]
        for command in (
            [*compiler, *_FLAGS, native, *(["-fopenmp"] if openmp else []), "-c", *map(str, sources)],
            [*compiler, "-shared", "-pthread", "-o", target, *objects, *library, "-lm"],
        ):
            done = subprocess.run(
                command, cwd=place, capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL
            )
            if done.returncode != 0:
                return done.stderr.strip()
    return None
