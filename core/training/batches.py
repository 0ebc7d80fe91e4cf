"""Batches: the text lies on the device once, and a batch is cut out of it there.

Which tokens stand in a batch is settled by ``core.corpus.batching_plan``; this module only gathers them. The plan of an
epoch follows from (seed, epoch) alone, so that a resumed run needs no generator's state to find its place.
"""

from __future__ import annotations

import numpy as np
import torch

from core.corpus.batching_plan import largest_offset, num_batches, random_starts, require_one_batch, sequential_starts
from core.errors import CorpusError
from core.settings.run_config import RunConfig

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""Inputs, targets, and where a target counts (None: everywhere); each (batch, num_steps)."""


class Batches:
    """The batches of a text of ``num_tokens`` tokens, epoch by epoch."""

    def __init__(self, ids: np.ndarray, config: RunConfig, device: torch.device) -> None:
        """``ids``: (num_tokens,) token ids. Raises CorpusError where they do not make one batch."""
        require_one_batch(len(ids), config.batch_size, config.num_steps)
        self.config = config
        self.per_epoch = num_batches(len(ids), config.batch_size, config.num_steps)
        # 32 bits hold any vocabulary and halve what a long text takes; a batch is widened when it is cut out.
        self._ids = torch.from_numpy(np.ascontiguousarray(ids, dtype=np.int32)).to(device)
        self._window = torch.arange(config.num_steps + 1, device=device)
        self._starts: torch.Tensor | None = None
        self._epoch = -1

    @property
    def tokens_per_epoch(self) -> int:
        """Targets in one epoch: batches x batch_size x num_steps."""
        return self.per_epoch * self.config.batch_size * self.config.num_steps

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch ``index`` of ``epoch`` (both from 0): inputs and targets, each (batch, num_steps), int64; no mask."""
        return self.cut(self.plan(epoch)[index])

    def plan(self, epoch: int) -> torch.Tensor:
        """What ``cut`` makes each batch of an epoch of, (batches, batch): where its rows begin."""
        if epoch != self._epoch or self._starts is None:
            self._starts = torch.from_numpy(self._plan(epoch)).to(self._ids.device)
            self._epoch = epoch
        return self._starts

    def cut(self, starts: torch.Tensor) -> Batch:
        """The batch of one row of the plan."""
        piece = self._ids[starts.unsqueeze(1) + self._window].long()  # (batch, num_steps + 1)
        return piece[:, :-1], piece[:, 1:], None

    def _plan(self, epoch: int) -> np.ndarray:
        """Where the rows of each batch of an epoch begin: (batches, batch)."""
        config, length = self.config, len(self._ids)
        generator = np.random.default_rng([config.seed, epoch])
        bound = largest_offset(length, config.batch_size, config.num_steps) if config.random_offset else 0
        offset = int(generator.integers(bound + 1))
        if config.sampling == "random":
            return random_starts(length, config.batch_size, config.num_steps, offset, generator)
        return sequential_starts(length, config.batch_size, config.num_steps, offset)


class LineBatches:
    """Batches of poems: each line of the text is one row, in random order in each epoch.

    A row is the start token, the line, the end token, and padding that no loss is counted for. A line is read up to
    ``num_steps`` - 1 tokens, so that its end token still has a place. The last batch of an epoch may have fewer poems
    than the others: its empty rows are all padding.
    """

    def __init__(self, rows: np.ndarray, padding: int, config: RunConfig, device: torch.device) -> None:
        """``rows``: (poems, num_steps + 1) from ``line_rows``. Raises CorpusError where there is none."""
        if len(rows) == 0:
            raise CorpusError("the text has no lines to train on: with documents=lines each line is a poem")
        self.config = config
        self.per_epoch = -(-len(rows) // config.batch_size)
        self._padding = padding
        self._rows = torch.from_numpy(np.vstack([rows, np.full_like(rows[:1], padding)])).to(device)
        self.tokens_per_epoch = int((rows[:, 1:] != padding).sum())
        self._order: torch.Tensor | None = None
        self._epoch = -1

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch ``index`` of ``epoch``: inputs, targets and mask, each (batch, num_steps)."""
        return self.cut(self.plan(epoch)[index])

    def plan(self, epoch: int) -> torch.Tensor:
        """What ``cut`` makes each batch of an epoch of, (batches, batch): its poems."""
        if epoch != self._epoch or self._order is None:
            poems, batch_size = len(self._rows) - 1, self.config.batch_size
            order = np.full(self.per_epoch * batch_size, poems)
            order[:poems] = np.random.default_rng([self.config.seed, epoch]).permutation(poems)
            self._order = torch.from_numpy(order).view(self.per_epoch, batch_size).to(self._rows.device)
            self._epoch = epoch
        return self._order

    def cut(self, poems: torch.Tensor) -> Batch:
        """The batch of one row of the plan."""
        piece = self._rows[poems].long()  # (batch, num_steps + 1)
        targets = piece[:, 1:]
        return piece[:, :-1], targets, targets != self._padding
