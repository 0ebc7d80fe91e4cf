"""The processes that a test has started, found by the folder of their sockets."""

from __future__ import annotations

from pathlib import Path

import psutil


def processes_of(runtime: str | Path) -> list[psutil.Process]:
    """All whose ``RNN_PLAYGROUND_RUNTIME`` is that folder, the oldest first; one that ends meanwhile is left out."""
    found = []
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            if process.environ().get("RNN_PLAYGROUND_RUNTIME") == str(runtime):
                found.append((process.create_time(), process))
        except (psutil.Error, OSError, IndexError):  # IndexError: psutil reads an empty line of a process that ends
            continue
    return [process for _, process in sorted(found, key=lambda pair: pair[0])]


def engines_of(runtime: str | Path) -> list[psutil.Process]:
    """The engines among them."""
    found = []
    for process in processes_of(runtime):
        try:
            if "engine" in process.cmdline():
                found.append(process)
        except (psutil.Error, OSError, IndexError):
            continue
    return found
