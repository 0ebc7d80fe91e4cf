"""Batches: the text lies on the device once, and a batch is cut out of it there.

Which tokens stand in a batch is settled by ``core.corpus.partition``; this module only gathers them. The plan of an
epoch follows from (seed, epoch) alone, so that a resumed run needs no generator's state to find its place.
"""

from __future__ import annotations

import numpy as np
import torch

from core.config import RunConfig
from core.corpus.partition import largest_offset, num_batches, random_starts, sequential_starts


class Batches:
    """The batches of a text of ``num_tokens`` tokens, epoch by epoch."""

    def __init__(self, ids: np.ndarray, config: RunConfig, device: torch.device) -> None:
        """``ids``: (num_tokens,) token ids. Raises CorpusError where they do not make one batch."""
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

    def batch(self, epoch: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Batch ``index`` of ``epoch`` (both from 0): inputs and targets, each (batch, num_steps), int64."""
        if epoch != self._epoch or self._starts is None:
            self._starts = torch.from_numpy(self._plan(epoch)).to(self._ids.device)
            self._epoch = epoch
        piece = self._ids[self._starts[index].unsqueeze(1) + self._window].long()  # (batch, num_steps + 1)
        return piece[:, :-1], piece[:, 1:]

    def _plan(self, epoch: int) -> np.ndarray:
        """Where the rows of each batch of an epoch begin: (batches, batch)."""
        config, length = self.config, len(self._ids)
        generator = np.random.default_rng([config.seed, epoch])
        bound = largest_offset(length, config.batch_size, config.num_steps) if config.random_offset else 0
        offset = int(generator.integers(bound + 1))
        if config.sampling == "random":
            return random_starts(length, config.batch_size, config.num_steps, offset, generator)
        return sequential_starts(length, config.batch_size, config.num_steps, offset)
