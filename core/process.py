"""This process: its locale, its limits, its garbage collector, its memory, and the programs that it starts."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import mmap
import os
import platform
import resource
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError

if TYPE_CHECKING:
    import subprocess

# About ten for an engine, a few clients, and those of libraries while they load.
FEWEST_OPEN = 64
# Thresholds of the collector's three generations. Python's own 700 makes it run thirty times a second while a curve is
# drawn, and find almost nothing. 20,000 new objects take 8 ms or more beside a training, which a key waits for.
COLLECTION_THRESHOLDS = (5_000, 10, 10)
# <malloc.h>: M_TRIM_THRESHOLD, the free bytes at the end of the heap that are returned to the system, and
# M_MMAP_THRESHOLD, the size from which an allocation is mapped on its own and unmapped when it is freed.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 30
_LARGE_PAGED_BYTES = 1 << 29
_MADV_HUGEPAGE = 14  # <sys/mman.h>


def speak_utf8() -> None:
    """Start Python again in UTF-8 mode if the locale is C, which does not know typed UTF-8. To be called first."""
    if sys.getfilesystemencoding() == "ascii":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def temporary_folder() -> Path:
    """The folder of temporary files, which torch needs. Raises UserError if none is writable."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        raise UserError("no temporary folder is writable: set TMPDIR to a writable one") from None


def require_open_files() -> None:
    """Raise the limit on open files to ``FEWEST_OPEN``. Raises UserError if the system does not allow that."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not 0 <= allowed < FEWEST_OPEN:  # a negative number means no limit
        return
    if 0 <= most < FEWEST_OPEN:
        raise UserError(f"{most} open files are allowed, and this program needs {FEWEST_OPEN}: raise ulimit -n")
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (FEWEST_OPEN, most))


def pause_collection() -> None:
    """Switch the garbage collector off until ``resume_collection``, while the program starts.

    Modules and widgets live as long as the program. The collector would traverse them some three hundred times: a sixth
    of the time to the first paint, and with torch a third of the time of a short command.
    """
    gc.disable()


def resume_collection() -> None:
    """Exclude all objects made so far from collection and switch the collector on again.

    A full collection over them would stop the screen for 50 to 100 ms. Does nothing if the collector is on.
    """
    if gc.isenabled():
        return
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)
    gc.enable()


def keep_freed_memory() -> None:
    """Keep up to 1 GiB of freed memory for the next batch, in large pages, with the C library of GNU.

    Each batch allocates the same large buffers. By default the system zeroes them page by page and takes them back: a
    third of the time of a training step of an LSTM with 512 hidden units. Of pages of 4 kB, scattered over memory, some
    buffers do not fit into a core's cache: from process to process the same training takes up to 1.4 times as long.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return
    library.mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
    library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    # This allocation makes the heap grow. Its pages are never written, so they take no memory; freed, they serve the
    # next allocations, in large pages.
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.free.argtypes = [ctypes.c_void_p]
    place = library.malloc(_LARGE_PAGED_BYTES)
    if place:
        first = -(-place // mmap.PAGESIZE) * mmap.PAGESIZE
        library.madvise(first, _LARGE_PAGED_BYTES - mmap.PAGESIZE, _MADV_HUGEPAGE)
        library.free(place)


def cores() -> int:
    """The CPU cores that this process may use; in a container at most its quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            return max(1, min(allowed, round(int(quota) / int(period))))
    return allowed


_PROCESSORS = Path("/proc/cpuinfo")


@cache
def _processor() -> dict[str, str]:
    """What Linux says of the first processor; empty elsewhere. Of many processors, all would take milliseconds."""
    with contextlib.suppress(OSError), _PROCESSORS.open(encoding="utf-8") as lines:
        first = itertools.takewhile(str.strip, lines)
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first)}
    return {}


def processor_name() -> str:
    """What the processor calls itself."""
    return _processor().get("model name") or platform.processor() or platform.machine() or "CPU"


@cache
def is_bf16_fast() -> bool:
    """Whether this processor multiplies bfloat16 faster than single precision: by a matrix unit, or by vectors.

    Those of Intel's processors are no faster: without its matrix unit a Xeon multiplied at 145 GFLOP/s in bfloat16 and
    at 250 in single precision; with AVX2 alone at 2 and 37.
    """
    found = _processor()
    features = {*found.get("flags", "").split(), *found.get("Features", "").split()}
    return bool(features & {"amx_bf16", "bf16"} or ("avx512_bf16" in features and "Intel" not in processor_name()))


def torchrun_size() -> int:
    """The number of workers that torchrun has started with this process, or another launcher with its variables; 0."""
    with contextlib.suppress(KeyError, ValueError):
        return int(os.environ["WORLD_SIZE"]) if int(os.environ["RANK"]) >= 0 else 0
    return 0


def program_environment() -> dict[str, str]:
    """The environment of a ``python -m core`` that this process starts: it finds this package from any folder."""
    here = str(Path(__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}


def start_core(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start ``python -m core`` in a process session of its own: a hang-up or ctrl+c here does not reach it.

    ``options``: of ``subprocess.Popen``. Raises OSError.
    """
    import subprocess

    return subprocess.Popen(
        [sys.executable, "-m", "core", *arguments], stdin=subprocess.DEVNULL, start_new_session=True,
        env=program_environment(), **options,
    )  # fmt: skip
