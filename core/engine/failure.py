"""Failures: a sentence that says what to change, and a traceback in the run's log."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
import time
import traceback
from typing import Any

import torch

from core.engine.protocol import error_event
from core.errors import UserError
from core.runs.held_folder import HeldFolder
from core.runs.run import LOG

# Messages of the allocators of torch, C++ and CUDA, which have no common exception class.
_NO_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "alloc_failed",
    "storage size calculation overflowed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: a smaller model or batch may fit."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)


def failure_words(error: BaseException, folder: HeldFolder | None = None) -> str:
    """A sentence for an exception, with what to change and the path of the log in ``folder``."""
    if isinstance(error, UserError):
        return _first_line(error)
    if is_out_of_memory(error):
        words = "out of memory: make batch, steps or hidden smaller, or use another device"
    else:
        words = f"the engine failed ({type(error).__name__}: {_first_line(error)})"
    return f"{words}; the log is {folder.path / LOG}" if folder is not None else words


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


def failure_event(error: Exception, folder: HeldFolder | None) -> dict[str, Any]:
    """The last event of a request that failed; a failure of ours is written to the log in ``folder``."""
    if isinstance(error, UserError):
        return error_event(error)
    write_failure(error, folder)
    return {"event": "error", "message": failure_words(error, folder)}


def write_failure(error: BaseException, folder: HeldFolder | None) -> None:
    """Append a traceback to a run's log, or write it to standard error without a run. Never raises."""
    with contextlib.suppress(OSError, ValueError, MemoryError):  # ValueError: standard error that was closed
        words = f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{''.join(traceback.format_exception(error))}"
        if folder is None:
            sys.stderr.write(words)
            return
        descriptor = folder.open_to_append(folder.path / LOG, os.O_WRONLY | os.O_APPEND)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(words)


def free_memory(model: torch.nn.Module) -> None:
    """Free the memory that a failed batch has left."""
    for weight in model.parameters():
        weight.grad = None
    gc.collect()
    torch.cuda.empty_cache()  # does nothing without CUDA
