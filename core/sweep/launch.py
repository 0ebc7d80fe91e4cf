"""A sweep in a process of its own, which outlives whoever starts it, such as the playground."""

from __future__ import annotations

import importlib.util
import itertools
import os
import threading
from pathlib import Path

from core.errors import EngineError, UserError, refusing
from core.files import open_to_append
from core.process import start_core
from core.sweep.folder import SweepFolder, sweeps_in
from core.sweep.sweep import Sweep

NO_OPTUNA = "a search needs Optuna: pip install -e '.[sweep]'; a grid needs nothing more"


def begin_and_launch(sweep: Sweep, saves: Path) -> SweepFolder:
    """Create a sweep, see ``SweepFolder.begin``, and start a process that trains it. Raises UserError, EngineError."""
    if not sweep.is_grid and importlib.util.find_spec("optuna") is None:
        raise UserError(NO_OPTUNA)
    folder = SweepFolder(saves.absolute(), sweep.name)
    folder.begin(sweep)
    launch(folder)
    return folder


def launch(folder: SweepFolder) -> None:
    """Start a process that continues the sweep; what it prints is in the sweep's log. Raises RunError, EngineError."""
    folder.forget_stop()
    with refusing(f"{folder.log_path} cannot be written to"):
        log = open_to_append(folder.log_path, os.O_WRONLY | os.O_APPEND)
    try:
        with refusing("no sweep can be started", EngineError):
            process = start_core("sweep", f"--saves={folder.saves}", "--", folder.name, stdout=log, stderr=log)
    finally:
        os.close(log)
    threading.Thread(target=process.wait, name="sweep-reaper", daemon=True).start()


def free_sweep_name(saves: Path) -> str:
    """The first free name of sweep-1, sweep-2, ..."""
    taken = {folder.name for folder in sweeps_in(saves)}
    return next(name for number in itertools.count(1) if (name := f"sweep-{number}") not in taken)
