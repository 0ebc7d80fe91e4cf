"""Failures of the machine in words that say what to change, and their place in a run's log."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
import time
import traceback
from pathlib import Path

import torch

from core.errors import UserError
from core.files import open_to_append

# How the allocators of torch, C++ and CUDA's libraries say that there is no more; none has a class of its own for all.
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
    """Whether a smaller model or batch would have gone well."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)


def failure_words(error: BaseException, log: Path | None = None) -> str:
    """An exception of the machine in words, with what to change; ``log`` is where all of it can be read."""
    if isinstance(error, UserError):
        return _first_line(error)
    if is_out_of_memory(error):
        words = "out of memory: choose a smaller batch_size, num_steps or num_hiddens, or another device"
    else:
        words = f"the engine failed ({type(error).__name__}: {_first_line(error)})"
    return f"{words}; the log is {log}" if log is not None else words


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def write_failure(error: BaseException, log: Path | None) -> None:
    """Append an exception with its traceback to a log; a disk that does not take it causes no second failure.

    Without a log it goes to standard error.
    """
    with contextlib.suppress(OSError, MemoryError):
        words = f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{''.join(traceback.format_exception(error))}"
        if log is None:
            sys.stderr.write(words)
            return
        descriptor = open_to_append(log, os.O_WRONLY | os.O_APPEND)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(words)


def free_memory(model: torch.nn.Module) -> None:
    """Give back what a failed batch has left, so that whoever goes on has it."""
    for weight in model.parameters():
        weight.grad = None
    gc.collect()
    torch.cuda.empty_cache()  # nothing happens where there is no CUDA
