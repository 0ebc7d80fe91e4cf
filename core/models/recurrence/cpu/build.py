"""Compile the C files beside this one and load them, once for each machine.

PyTorch runs a recurrence as some hundred small calls; each wakes its threads, waits for them, and writes its result to
memory. One C function takes each thread's rows through all steps instead, and does not stall when other programs use
one of the processors. Compiling needs ``cc`` and a few seconds; the library is kept (``kept.py``) after another process
has loaded it and proven it against the plain calls (``proof.py``). If anything fails, the plain calls are used, and
``compiled_library`` says why.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import IO

from core.models.recurrence.cpu.kept import keep_library, kept_library

SOURCES = Path(__file__).parent
_FLAGS = ("-O3", "-fno-math-errno", "-ffp-contract=fast", "-fPIC", "-pthread", "-std=gnu11")
NATIVE_FLAGS = ("-march=native", "-mcpu=native")  # the instructions of this processor: gcc and clang differ in the name
_LINK = ("-shared", "-pthread", *(("-Wl,-z,defs",) if sys.platform == "linux" else ()))
TIMEOUT_SECONDS = 60.0  # seconds, for each command
_PROOF = "core.models.recurrence.cpu.proof"


class Unavailable(Exception):
    """There is no compiled library; the sentence says why."""


_given: ctypes.CDLL | None = None


def use(library: ctypes.CDLL) -> None:
    """Compute with this library in this process, to prove it."""
    global _given
    _given = library
    compiled_library.cache_clear()


@cache
def compiled_library() -> ctypes.CDLL | str:
    """The library, or a sentence that says why there is none. Compiles it at the first call on a machine."""
    if _given is not None:
        return _given
    if os.environ.get("RNN_PLAYGROUND_COMPILED", "") == "0":
        return "compiled kernels are switched off by RNN_PLAYGROUND_COMPILED=0"
    try:
        return _found()
    except Unavailable as problem:
        return str(problem)
    except (OSError, ValueError) as error:
        return _shown(f"the compiled kernels could not be made or loaded: {error}")


def _found() -> ctypes.CDLL:
    compiler = _compiler()
    if not compiler:
        raise Unavailable("there is no C compiler: with one (cc) the recurrences run compiled, 1.5 times as fast")
    name = f"kernels-{identity(compiler)}.so"
    kept = kept_library(name)
    if kept is not None:
        with suppress(OSError):
            return load(kept)
    made = make_library(compiler)
    keep_library(name, made)
    return load(made)


def load(data: bytes) -> ctypes.CDLL:
    """Load exactly these bytes, from a place where they cannot change under a running process. Raises OSError."""
    if hasattr(os, "memfd_create"):
        with suppress(OSError):
            # It stays open: the loader would mistake a second library of the same path for the first.
            handle = os.memfd_create("kernels")
            with open(handle, "wb", closefd=False) as file:
                file.write(data)
            return ctypes.CDLL(f"/proc/self/fd/{handle}")
    with tempfile.TemporaryDirectory(prefix="rnn-playground-") as place:  # readable to this user alone
        path = Path(place) / "kernels.so"
        path.write_bytes(data)
        return ctypes.CDLL(str(path))


def _compiler() -> tuple[str, ...]:
    """The words of the command: ``CC``, which may have arguments as in a Makefile, or the first that is found."""
    try:
        named = shlex.split(os.environ.get("CC", ""))
    except ValueError:
        words = _shown(os.environ["CC"])
        raise Unavailable(f"CC is not a command: {words} has a quotation mark without its partner") from None
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    return tuple(named) or ((found,) if found else ())


def identity(compiler: Sequence[str]) -> str:
    """What the library depends on: the sources, how they are compiled, and the instructions of the processor."""
    digest = hashlib.sha256()
    for source in sorted(SOURCES.glob("*.[ch]")):
        digest.update(source.read_bytes())
    with suppress(OSError):
        digest.update(str(os.stat(shutil.which(compiler[0]) or compiler[0]).st_mtime_ns).encode())
    facts = (*compiler, *_FLAGS, *NATIVE_FLAGS, *_LINK, openmp_library() or "", *platform.uname()[4:], *_processor())
    digest.update(_shown(" ".join(facts)).encode())
    return digest.hexdigest()[:16]


def _processor() -> list[str]:
    """The lines of Linux that name the processor and its instructions; elsewhere the processor's name."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        wanted = ("model name", "flags", "Features")
        return sorted({line.strip() for line in lines if line.startswith(wanted)})
    return [platform.processor()]


def openmp_library() -> str | None:
    """The OpenMP library whose threads PyTorch uses, if it is loaded and has the interface of GNU's."""
    with suppress(OSError), open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            path = line.rstrip("\n").partition("/")[2]
            if Path(path).name.startswith(("libgomp", "libiomp5")):
                return "/" + path
    return None


def make_library(compiler: Sequence[str]) -> bytes:
    """All C files as one library that has proven itself. Raises Unavailable."""
    openmp, problem = openmp_library(), ""
    with _workplace() as place:
        target = Path(place) / "kernels.so"
        for threads in (openmp, None) if openmp else (None,):
            for native in NATIVE_FLAGS:
                said = compile_sources(compiler, native, threads, target) or prove(target)
                if not said:
                    return target.read_bytes()
                problem = problem or said
    raise Unavailable(f"the C compiler {_shown(shlex.join(compiler))} failed: {problem}")


def _workplace() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="rnn-playground-")
    except OSError as error:
        raise Unavailable(f"the recurrences cannot be compiled without a temporary folder: {error.strerror}") from None


def compile_sources(compiler: Sequence[str], native: str, openmp: str | None, target: Path) -> str:
    """Compile the files side by side and link; the first line that the compiler prints where it fails, else nothing."""
    sources = sorted(SOURCES.glob("*.c"))
    # Linking by hand: with -fopenmp the linker would take its own OpenMP library beside PyTorch's.
    library = [openmp, f"-Wl,-rpath,{Path(openmp).parent}"] if openmp else []
    options = [*_FLAGS, native, *(["-fopenmp"] if openmp else []), "-c"]
    target.unlink(missing_ok=True)
    failure = _run([[*compiler, *options, str(source)] for source in sources], target.parent)
    if failure is None:
        objects = [f"{source.stem}.o" for source in sources]
        failure = _run([[*compiler, *_LINK, "-o", str(target), *objects, *library, "-lm"]], target.parent)
    if failure is not None:
        return failure or "it printed nothing"
    return "" if target.is_file() else "it succeeded, but made no library"


def prove(target: Path) -> str:
    """The failure of a library when another process proves it; empty if it passes."""
    command = [sys.executable, "-m", _PROOF, str(target)]
    failure = _run([command], target.parent, PYTHONPATH=os.pathsep.join(sys.path))
    return "" if failure is None else f"its library was not accepted ({failure or 'it printed nothing'})"


def _run(commands: Sequence[Sequence[str]], place: Path, **environment: str) -> str | None:
    """Run commands side by side; None where all end well, else the first line that one prints, or how it ended.

    Their output goes to files: a pipe may be held open by children that outlive them.
    """
    running: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
    with ExitStack() as stack:
        try:
            for command in commands:
                output: IO[bytes] = stack.enter_context(tempfile.TemporaryFile(dir=place))
                process = subprocess.Popen(
                    command, cwd=place, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, start_new_session=True,
                )  # fmt: skip
                running.append((process, output))
            until = time.monotonic() + TIMEOUT_SECONDS
            for process, _ in running:
                process.wait(max(0.0, until - time.monotonic()))
        except BaseException as error:
            for process, _ in running:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # and what it has started
                    process.wait()
            if isinstance(error, OSError):
                return f"it cannot be run: {error.strerror}"
            if isinstance(error, subprocess.TimeoutExpired):
                return f"it took longer than {TIMEOUT_SECONDS:.0f} seconds"
            raise
        for process, output in running:
            if process.returncode < 0:
                return f"it was ended by {signal.Signals(-process.returncode).name}"
            if process.returncode > 0:
                output.seek(0)
                lines = output.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
                return lines[-1 if lines[0].startswith("Traceback") else 0] if lines else ""
    return None


def _shown(text: str) -> str:
    """With escapes for what is not Unicode: the environment may hold any bytes."""
    return text.encode("utf-8", "backslashreplace").decode()
