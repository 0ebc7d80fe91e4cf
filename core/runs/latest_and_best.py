"""The two checkpoints of a run, the latest and the best, put on the disk as one.

A better epoch may come many times a second, and forcing a file to the disk takes longer than such an epoch: so the best
checkpoint waits in memory until the latest one is taken. What the disk then holds belongs together at every moment: the
best goes to a file of its own, the latest takes its place, and only then does the best take its own. The latest knows
the lowest held-out perplexity; by it, whoever opens the run after a crash in between can tell whether the waiting file
is the best that the latest speaks of, or belongs to epochs that were lost with the crash.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from core.errors import RunError
from core.runs.atomic_write import Disk
from core.runs.checkpoint import write_checkpoint
from core.runs.checkpoint_header import read_header
from core.runs.held_folder import HeldFolder
from core.runs.run import BEST, LATEST, WAITING_BEST

Tensors = Mapping[str, torch.Tensor]
Facts = Mapping[str, Any]


class Checkpoints:
    """Writes the checkpoints of one run."""

    def __init__(self, folder: HeldFolder) -> None:
        self._folder = folder
        self._best: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = None

    def keep_best(self, tensors: Tensors, facts: Facts) -> None:
        """This is the best so far: a copy is kept in memory, on the CPU, and written with the next ``write``."""
        self._best = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}, dict(facts)

    def write(self, tensors: Tensors, facts: Facts, disk: Disk) -> None:
        """Put the latest checkpoint on the disk, and with it the best where there is a better one than there was.

        Raises OSError where either could not be; what was there before is then still there, and a best one that could
        not be written is tried again with the next ``write``.
        """
        refused: OSError | None = None
        if self._best is not None:
            try:
                write_checkpoint(self._folder, WAITING_BEST, *self._best, disk)
            except OSError as error:
                refused = error  # the latest is the more important one, and takes less room where it replaces another
        write_checkpoint(self._folder, LATEST, tensors, facts, disk)
        if refused is not None:
            raise refused
        if self._best is not None:
            disk.rename(self._folder, WAITING_BEST, BEST)
            disk.sync_folder(self._folder)
            self._best = None

    def settle(self) -> None:
        """Forget a best checkpoint that the latest one on the disk knows nothing of; put one that it knows in place.

        To be called before a run goes on from what the disk holds.
        """
        self._best = None
        with contextlib.suppress(OSError):
            if self._belongs():
                self._folder.rename(WAITING_BEST, BEST)
            else:
                self._folder.remove(WAITING_BEST)

    def _belongs(self) -> bool:
        """Whether the waiting file is the best checkpoint that the latest one knows, or the last whole one there is."""
        try:
            best = read_header(Path(WAITING_BEST), self._folder.open_to_read)
        except RunError:
            return False
        try:
            latest = read_header(Path(LATEST), self._folder.open_to_read)
        except RunError:
            return True
        return bool(best.fact("best_validation") == latest.fact("best_validation"))
