"""Batches: the text is copied to the device once, and batches are cut out of it there.

``core.corpus.batching_plan`` decides which tokens a batch has; this module gathers them. The plan of an epoch follows
from (seed, epoch) alone, so a resumed run needs no generator's state to find its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch

from core.corpus.batching_plan import (
    ORDER,
    RandomStarts,
    SequentialStarts,
    largest_offset,
    num_batches,
    require_one_batch,
)
from core.corpus.ids import Ids, is_mapped, pieces
from core.settings.run_config import RunConfig

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""Inputs, targets, and the mask of the targets that count (None: all); each (batch, num_steps)."""


Sizes = tuple[int, int]
"""Batches in an epoch, and the targets in them that count."""
_STEP = 1 << 24


def stream_sizes(num_tokens: int, config: RunConfig) -> Sizes:
    """The sizes of an epoch of one long text. Raises CorpusError if it is too short for one batch."""
    require_one_batch(num_tokens, config.batch_size, config.num_steps)
    per_epoch = num_batches(num_tokens, config.batch_size, config.num_steps)
    return per_epoch, per_epoch * config.batch_size * config.num_steps


def starts_of(num_tokens: int, config: RunConfig, epoch: int, version: int) -> SequentialStarts | RandomStarts:
    """Where the rows of each batch of an epoch start in the text; ``version`` of the random order: see ``order_of``."""
    generator = np.random.default_rng([config.seed, epoch])
    bound = largest_offset(num_tokens, config.batch_size, config.num_steps) if config.random_offset else 0
    sizes = (num_tokens, config.batch_size, config.num_steps, int(generator.integers(bound + 1)))
    return RandomStarts(*sizes, generator, version) if config.sampling == "random" else SequentialStarts(*sizes)


def on_device(ids: Ids, device: torch.device) -> tuple[torch.Tensor, int]:
    """Ids in the memory of a device, and the mask that makes them non-negative once they are widened; 0 for none.

    32 bits hold any vocabulary. Those of a large text stay as small as they are; torch indexes no 16 bits without a
    sign.
    """
    if not is_mapped(ids):
        return torch.from_numpy(np.ascontiguousarray(ids, dtype=np.int32)).to(device), 0
    signed: Any = ids.view(np.int16) if ids.dtype == np.uint16 else ids
    found = torch.empty(len(ids), dtype=torch.from_numpy(np.zeros(1, signed.dtype)).dtype, device=device)
    for number, piece in enumerate(pieces(signed, _STEP)):
        found[number * _STEP : number * _STEP + len(piece)] = torch.from_numpy(np.array(piece))
    return found, 0xFFFF if ids.dtype == np.uint16 else 0


class Plans(ABC):
    """The batches of a text, epoch by epoch: a plan names the rows of each batch of an epoch, and ``cut`` gathers them.

    Attributes:
        per_epoch: batches in an epoch.
        tokens_per_epoch: targets in one epoch that count.
        rows: which rows of every batch are cut: all of them, or those that a worker trains on; num_rows: how many.
        order: the version of their random order, see ``order_of``.
    """

    per_epoch: int
    tokens_per_epoch: int
    order = ORDER

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.config = config
        self._device = device
        self.keep_rows(slice(0, config.batch_size))

    def keep_rows(self, rows: slice) -> None:
        """Cut these rows of every batch from now on, and leave out the others."""
        self.rows, self.num_rows = rows, rows.stop - rows.start
        self._epoch = -1

    def keep_order(self, version: int) -> None:
        """Plan the epochs as a run of this version of the order does."""
        self.order, self._epoch = version, -1

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch ``index`` of ``epoch``, both from 0."""
        return self.cut(self.plan(epoch)[index])

    def plan(self, epoch: int) -> torch.Tensor:
        """The rows of each batch of an epoch, (batches, num_rows), which ``cut`` takes."""
        if epoch != self._epoch:
            self._rows_of_epoch = torch.from_numpy(self._plan(epoch)[:, self.rows]).to(self._device)
            self._epoch = epoch
        return self._rows_of_epoch

    def feed(self, epoch: int, index: int) -> None:
        """Make a batch ready for ``cut``, where the text is not on the device."""
        return

    @abstractmethod
    def cut(self, rows: torch.Tensor) -> Batch:
        """The batch of one row of the plan."""

    @abstractmethod
    def _plan(self, epoch: int) -> np.ndarray: ...


class Batches(Plans):
    """The batches of one long text; a plan has the positions where rows start."""

    def __init__(self, ids: np.ndarray, config: RunConfig, device: torch.device) -> None:
        """``ids``: (num_tokens,) token ids. Raises CorpusError if they are too few for one batch."""
        super().__init__(config, device)
        self.per_epoch, self.tokens_per_epoch = stream_sizes(len(ids), config)
        self._ids, self._mask = on_device(ids, device)
        self._window = torch.arange(config.num_steps + 1, device=device)

    def cut(self, rows: torch.Tensor) -> Batch:
        piece = self._ids[rows.unsqueeze(1) + self._window].long()  # (batch, num_steps + 1)
        if self._mask:
            piece &= self._mask
        return piece[:, :-1], piece[:, 1:], None

    def _plan(self, epoch: int) -> np.ndarray:
        return starts_of(len(self._ids), self.config, epoch, self.order)[np.arange(self.per_epoch)]


def without_padding(piece: torch.Tensor, padding: int) -> torch.Tensor:
    """Rows (batch, width) without the columns that are all padding; whole on a GPU, which would have to wait for it."""
    if piece.device.type == "cuda":
        return piece
    used = int((piece != padding).any(dim=0).sum())
    return piece[:, : max(2, used)]
