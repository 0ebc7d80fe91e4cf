"""Batches: the text is copied to the device once, and batches are cut out of it there.

``core.corpus.batching_plan`` decides which tokens a batch has; this module gathers them. The plan of an epoch follows
from (seed, epoch) alone, so a resumed run needs no generator's state to find its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

from core.corpus.batching_plan import largest_offset, num_batches, random_starts, require_one_batch, sequential_starts
from core.errors import CorpusError
from core.settings.run_config import RunConfig

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""Inputs, targets, and the mask of the targets that count (None: all); each (batch, num_steps)."""


class Plans(ABC):
    """The batches of a text, epoch by epoch: a plan names the rows of each batch of an epoch, and ``cut`` gathers them.

    Attributes:
        per_epoch: batches in an epoch.
        tokens_per_epoch: targets in one epoch that count.
    """

    per_epoch: int
    tokens_per_epoch: int

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.config = config
        self._device = device
        self._epoch = -1

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch ``index`` of ``epoch``, both from 0."""
        return self.cut(self.plan(epoch)[index])

    def plan(self, epoch: int) -> torch.Tensor:
        """The rows of each batch of an epoch, (batches, batch), which ``cut`` takes."""
        if epoch != self._epoch:
            self._rows_of_epoch = torch.from_numpy(self._plan(epoch)).to(self._device)
            self._epoch = epoch
        return self._rows_of_epoch

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
        require_one_batch(len(ids), config.batch_size, config.num_steps)
        self.per_epoch = num_batches(len(ids), config.batch_size, config.num_steps)
        self.tokens_per_epoch = self.per_epoch * config.batch_size * config.num_steps
        # 32 bits hold any vocabulary and halve the memory of a long text; a batch is widened when it is cut out.
        self._ids = torch.from_numpy(np.ascontiguousarray(ids, dtype=np.int32)).to(device)
        self._window = torch.arange(config.num_steps + 1, device=device)

    def cut(self, rows: torch.Tensor) -> Batch:
        piece = self._ids[rows.unsqueeze(1) + self._window].long()  # (batch, num_steps + 1)
        return piece[:, :-1], piece[:, 1:], None

    def _plan(self, epoch: int) -> np.ndarray:
        config, length = self.config, len(self._ids)
        generator = np.random.default_rng([config.seed, epoch])
        bound = largest_offset(length, config.batch_size, config.num_steps) if config.random_offset else 0
        offset = int(generator.integers(bound + 1))
        if config.sampling == "random":
            return random_starts(length, config.batch_size, config.num_steps, offset, generator)
        return sequential_starts(length, config.batch_size, config.num_steps, offset)


class LineBatches(Plans):
    """Batches of poems: each line of the text is one row, in random order in each epoch.

    A row is the start token, the line, the end token, and padding that the loss leaves out. A line is read up to
    ``num_steps`` - 1 tokens, which leaves a place for its end token. The last batch of an epoch may have fewer poems
    than the others: its empty rows are all padding.
    """

    def __init__(self, rows: np.ndarray, padding: int, config: RunConfig, device: torch.device) -> None:
        """``rows``: (poems, num_steps + 1) from ``line_rows``. Raises CorpusError if there are none."""
        super().__init__(config, device)
        if len(rows) == 0:
            raise CorpusError("the text has no lines to train on: with documents=lines each line is a poem")
        self.per_epoch = -(-len(rows) // config.batch_size)
        self.tokens_per_epoch = int((rows[:, 1:] != padding).sum())
        self._padding = padding
        self._rows = torch.from_numpy(np.vstack([rows, np.full_like(rows[:1], padding)])).to(device)

    def cut(self, rows: torch.Tensor) -> Batch:
        piece = self._rows[rows].long()  # (batch, num_steps + 1)
        targets = piece[:, 1:]
        return piece[:, :-1], targets, targets != self._padding

    def _plan(self, epoch: int) -> np.ndarray:
        poems, batch_size = len(self._rows) - 1, self.config.batch_size
        order = np.full(self.per_epoch * batch_size, poems)
        order[:poems] = np.random.default_rng([self.config.seed, epoch]).permutation(poems)
        return order.reshape(self.per_epoch, batch_size)
