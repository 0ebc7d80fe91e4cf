"""Batches of a text that is not on the device, since it is too long, or its lines are poems: cut and fed to it.

On a CPU a batch is cut when it is wanted. For a GPU a thread cuts some batches ahead into pinned memory, and each is
copied into one buffer that never moves, so that a CUDA graph can read it. The tokens of a long text are mapped from the
store; its batches have the same as those of ``core.training.batches``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from core.corpus.batching_plan import LineRows, Order, RandomStarts, SequentialStarts, bucketed, order_of
from core.corpus.ids import Ids, release
from core.errors import CorpusError
from core.settings.run_config import RunConfig
from core.training.batches import Batch, Plans, Sizes, starts_of, stream_sizes, without_padding

# A page fault maps what lies together in the page cache: 500 kB of a large file on Linux 6.18, 2 MB at most.
ROWS_BEFORE_RELEASE = 128
AHEAD = 4

Cut = Callable[[int, int], np.ndarray]
"""The rows of batch ``index`` of ``epoch``, int32 (batch, width)."""


class MappedBatches(Plans):
    """Batches that are cut when they are wanted; ``padding`` is the id that fills the rows of poems, None elsewhere."""

    padding: int | None = None

    def __init__(self, sizes: Sizes, width: int, config: RunConfig, device: torch.device) -> None:
        """``width``: tokens of a row, its last target included."""
        super().__init__(config, device)
        self.width = width
        self.per_epoch, self.tokens_per_epoch = sizes
        self._cut_rows, self._made = 0, -1
        self._ahead: Ahead | None = None

    def batch(self, epoch: int, index: int) -> Batch:
        if self._device.type != "cpu":
            self.feed(epoch, index)
            return self.cut(self._nothing)
        piece = torch.from_numpy(self.rows_of(epoch, index))
        return self._divided(piece if self.padding is None else without_padding(piece, self.padding))

    def plan(self, epoch: int) -> torch.Tensor:
        """Rows without a meaning: ``cut`` returns the batch that was fed."""
        return torch.zeros((self.per_epoch, 1), dtype=torch.int64, device=self._device)

    def feed(self, epoch: int, index: int) -> None:
        """See ``Plans``: copied in the stream of the device, after the steps that still read the batch before."""
        if self._ahead is None:
            shape = (self.num_rows, self.width)
            self._ahead = Ahead(self.rows_of, shape, self.per_epoch, self._device)
            self._buffer = torch.zeros(shape, dtype=torch.int32, device=self._device)
            self._nothing = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._ahead.copy(epoch, index, self._buffer)

    def cut(self, rows: torch.Tensor) -> Batch:
        """The batch that was fed last."""
        return self._divided(self._buffer)

    def rows_of(self, epoch: int, index: int) -> np.ndarray:
        """The rows of a batch, int32 (batch, width)."""
        if epoch != self._made:
            self._begin(epoch)
            self._made = epoch
        rows = self._rows_of(index)
        self._cut_rows += len(rows)
        if self._cut_rows >= ROWS_BEFORE_RELEASE:
            self._cut_rows = 0
            self._release()
        return rows

    def _divided(self, rows: torch.Tensor) -> Batch:
        piece = rows.long()
        return piece[:, :-1], piece[:, 1:], None if self.padding is None else piece[:, 1:] != self.padding

    def keep_rows(self, rows: slice) -> None:
        super().keep_rows(rows)
        self._ahead = None

    def keep_order(self, version: int) -> None:
        """See ``Plans``."""
        super().keep_order(version)
        self._made, self._ahead = -1, None

    @abstractmethod
    def _begin(self, epoch: int) -> None:
        """Make the order of an epoch."""

    @abstractmethod
    def _rows_of(self, index: int) -> np.ndarray: ...

    @abstractmethod
    def _release(self) -> None:
        """Unmap what was read."""

    def _plan(self, epoch: int) -> np.ndarray:
        raise AssertionError("a mapped text has no plan in memory")


class MappedStream(MappedBatches):
    """The batches of one long text."""

    def __init__(self, ids: Ids, config: RunConfig, device: torch.device) -> None:
        """``ids``: (num_tokens,) token ids. Raises CorpusError if they are too few for one batch."""
        super().__init__(stream_sizes(len(ids), config), config.num_steps + 1, config, device)
        self._ids, self._window = ids, np.arange(config.num_steps + 1)
        self._starts: SequentialStarts | RandomStarts | None = None

    def _release(self) -> None:
        release(self._ids)

    def _begin(self, epoch: int) -> None:
        self._starts = None  # frees the last epoch's order before the next one is made
        self._starts = starts_of(len(self._ids), self.config, epoch, self.order)

    def _rows_of(self, index: int) -> np.ndarray:
        assert self._starts is not None
        rows: np.ndarray = self._ids[self._starts[index][self.rows, None] + self._window].astype(np.int32)
        return rows


class LineBatches(MappedBatches):
    """Batches of poems: each line of the text is one row, in random order in each epoch.

    A row is the start token, the line, the end token, and padding that the loss leaves out. A line is read up to
    ``num_steps`` - 1 tokens, which leaves a place for its end token. The last batch of an epoch may have fewer poems
    than the others: its empty rows are all padding. ``cut`` makes them as wide as the longest line of the text:
    a captured graph has one shape.
    """

    def __init__(self, lines: LineRows, kept: int, config: RunConfig, device: torch.device) -> None:
        """The first ``kept`` of the ``lines``. Raises CorpusError if there are none."""
        if kept == 0:
            raise CorpusError("the text has no lines to train on: with documents=lines each line is a poem")
        sizes = -(-kept // config.batch_size), lines.targets(slice(kept))
        super().__init__(sizes, lines.width, config, device)
        self._lines, self._kept, self.padding = lines, kept, lines.padding
        self._order: Order | None = None

    def _release(self) -> None:
        self._lines.release()

    def _begin(self, epoch: int) -> None:
        self._order = None
        config, seed = self.config, (self.config.seed, epoch)
        order = order_of(self._kept, np.random.default_rng(seed), self.order)
        lengths = self._lines.lengths
        self._order = bucketed(order, self._kept, lengths, config.batch_size, seed) if config.bucketing else order

    def _rows_of(self, index: int) -> np.ndarray:
        assert self._order is not None
        size = self.config.batch_size
        last = min((index + 1) * size, self._kept)
        chosen = self._order(np.arange(index * size, last))
        return self._lines.at(np.append(chosen, np.full(size - len(chosen), len(self._lines)))[self.rows])


class Ahead:
    """Cuts batches ahead, in a thread, into pinned memory where the device is a GPU."""

    def __init__(self, cut: Cut, shape: tuple[int, int], per_epoch: int, device: torch.device) -> None:
        self._cut, self._per_epoch = cut, per_epoch
        self._is_cuda = device.type == "cuda"
        self._slots = [torch.empty(shape, dtype=torch.int32, pin_memory=self._is_cuda) for _ in range(AHEAD + 2)]
        self._copied: list[torch.cuda.Event | None] = [None] * len(self._slots)
        self._next = 0
        self._waiting: dict[tuple[int, int], tuple[int, Future[None]]] = {}
        self._thread = ThreadPoolExecutor(1, "batches")

    def copy(self, epoch: int, index: int, target: torch.Tensor) -> None:
        """Copy a batch to the device, and have the next ones cut meanwhile."""
        if (epoch, index) not in self._waiting:
            for _, future in self._waiting.values():  # training went on elsewhere
                future.result()
            self._waiting.clear()
        wanted = [(epoch, place) for place in range(index, min(index + AHEAD + 1, self._per_epoch))]
        for place in wanted:
            if place not in self._waiting:
                slot, self._next = self._next, (self._next + 1) % len(self._slots)
                self._waiting[place] = slot, self._thread.submit(self._fill, slot, *place)
        slot, future = self._waiting.pop((epoch, index))
        future.result()
        target.copy_(self._slots[slot], non_blocking=True)
        if self._is_cuda:
            self._copied[slot] = event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()

    def _fill(self, slot: int, epoch: int, index: int) -> None:
        event = self._copied[slot]
        if event is not None:
            event.synchronize()  # the copy out of this slot may still be under way
        self._slots[slot].copy_(torch.from_numpy(self._cut(epoch, index)))
