"""Failures of the machine in words that say what to change, and their place in a run's log."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
import time
import traceback

import torch

from core.errors import UserError
from core.runs.held_folder import HeldFolder
from core.runs.run import LOG

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


def failure_words(error: BaseException, folder: HeldFolder | None = None) -> str:
    """An exception of the machine in words, with what to change; all of it is in the log of the run in ``folder``."""
    if isinstance(error, UserError):
        return _first_line(error)
    if is_out_of_memory(error):
        words = "out of memory: choose a smaller batch_size, num_steps or num_hiddens, or another device"
    else:
        words = f"the engine failed ({type(error).__name__}: {_first_line(error)})"
    return f"{words}; the log is {folder.path / LOG}" if folder is not None else words


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def write_failure(error: BaseException, folder: HeldFolder | None) -> None:
    """Append an exception with its traceback to a run's log; a disk that does not take it causes no second failure.

    Without a run it goes to standard error.
    """
    with contextlib.suppress(OSError, ValueError, MemoryError):  # ValueError: standard error that was closed
        words = f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{''.join(traceback.format_exception(error))}"
        if folder is None:
            sys.stderr.write(words)
            return
        descriptor = folder.open_to_append(folder.path / LOG, os.O_WRONLY | os.O_APPEND)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(words)


def free_memory(model: torch.nn.Module) -> None:
    """Give back what a failed batch has left, so that whoever goes on has it."""
    for weight in model.parameters():
        weight.grad = None
    gc.collect()
    torch.cuda.empty_cache()  # nothing happens where there is no CUDA
