"""The two checkpoints of a run, the latest and the best, saved together.

A better epoch may come many times a second, and syncing a file takes longer than such an epoch: so the best checkpoint
is kept in memory until the latest one is saved. The two on the disk match at every moment: the best is written to a
waiting file, then the latest is replaced, then the waiting file replaces the best. The latest contains the lowest
held-out perplexity. After a crash in between it shows whether the waiting file is the best that the latest refers to,
or belongs to epochs that the crash lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from core.errors import RunError
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
        self._written: tuple[int, ...] | None = None

    def is_as_written(self) -> bool:
        """Whether the latest checkpoint is the file that ``write`` has left; True before the first ``write``."""
        return self._written is None or self._written == self._folder.state_of(LATEST)

    def keep_best(self, tensors: Tensors, facts: Facts) -> None:
        """Keep a copy of the best checkpoint in memory, on the CPU, until the next ``write``."""
        self._best = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}, dict(facts)

    def write(self, tensors: Tensors, facts: Facts) -> None:
        """Save the latest checkpoint, and a best one that was kept.

        Raises OSError if either fails; the previous files are then unchanged, and the next ``write`` tries the best one
        again.
        """
        refused: OSError | None = None
        if self._best is not None:
            try:
                write_checkpoint(self._folder, WAITING_BEST, *self._best)
            except OSError as error:
                refused = error  # the latest is more important, and needs less room because it replaces another
        write_checkpoint(self._folder, LATEST, tensors, facts)
        self._written = self._folder.state_of(LATEST)
        if refused is not None:
            raise refused
        if self._best is not None:
            self._folder.disk.rename(self._folder, WAITING_BEST, BEST)
            self._folder.disk.sync_folder(self._folder)
            self._best = None

    def settle(self) -> None:
        """Before a run continues from the disk: move the waiting file into place, or remove it if it is obsolete."""
        self._best = None
        with contextlib.suppress(OSError):
            if self._belongs():
                self._folder.rename(WAITING_BEST, BEST)
            else:
                self._folder.remove(WAITING_BEST)

    def _belongs(self) -> bool:
        """Whether the waiting file is the best checkpoint that the latest refers to, or the only whole one."""
        try:
            best = read_header(Path(WAITING_BEST), self._folder.open_to_read)
        except RunError:
            return False
        try:
            latest = read_header(Path(LATEST), self._folder.open_to_read)
        except RunError:
            return True
        return bool(best.fact("best_validation") == latest.fact("best_validation"))
