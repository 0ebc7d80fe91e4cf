"""A team: the processes that train one model together, on the devices of one machine or of several.

Each worker has some rows of every batch and the same weights. Worker 0 leads: it decides what comes next and sends the
others *orders*, so pausing, stopping, a new learning rate, a divergence and a checkpoint concern it alone. Between
an order to train on a batch and the next one, the workers exchange one buffer: all gradients, the loss, and the number
of targets that each worker had. ``core.training.following`` is what the others do.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
import torch.distributed as dist

from core.corpus.reader import Corpus
from core.errors import RunError, WorkersLostError
from core.models.products import lies_transposed
from core.models.recurrence.cpu.bindings import Part
from core.models.scratch import HiddenState
from core.settings.run_config import RunConfig

# Seconds that a worker waits for the others in the midst of a batch: the longest difference between two workers.
PATIENCE = 60.0
# Seconds in which a worker has imported torch: some from a warm disk, minutes from a network disk that many read.
IMPORTING_PATIENCE = 300.0
# Seconds in which a worker has read the text and built its trainer.
STARTING_PATIENCE = 1800.0
# Seconds that a worker waits for the next order: the leader gives none while its run is paused.
_PAUSED_PATIENCE = 365 * 86_400.0
# Bytes of a worker's report.
_REPORT = 4096
_FACTS = "facts"
_LOST = "a worker was lost"
_LATE = "a worker did not answer within {:g} s"


T = TypeVar("T")


class Order(IntEnum):
    """What the leader has all workers do; the numbers that come with it."""

    BUILD = 0  # a trainer, from the JSON object that follows
    RESTORE = 1  # the checkpoint that follows
    TRAIN = 2  # on a batch: epoch, batch, learning rate
    MEASURE = 3  # a piece of the held-out text: 1 for the first piece
    GATHER = 4  # the states of all rows
    END = 5


class Team:
    """The workers of one training, as one of them knows them.

    Attributes:
        rank: the number of this worker, from 0; size: how many there are.
        is_broken: whether another worker was lost: nothing more can be done together.
        can_restart: whether this process can start other workers in place of lost ones.
    """

    def __init__(self, rank: int, size: int, store: Any, end: Callable[[], None] | None = None) -> None:
        """Meet the others at ``store``, one of torch's. ``end`` ends their processes.

        Raises WorkersLostError if they do not come.
        """
        self.rank, self.size = rank, size
        self.is_broken, self.can_restart = False, end is not None
        self._end_processes = end
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"

        def group(seconds: float) -> Any:
            return dist.new_group(backend="gloo", timeout=timedelta(seconds=seconds))

        def meet() -> None:
            limit = timedelta(seconds=PATIENCE)
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=limit)
            # To send an order, too, takes a worker that answers.
            self._orders = group(PATIENCE if self.leads else _PAUSED_PATIENCE)
            self._reports = group(STARTING_PATIENCE)

        self._together(meet)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def part(self, count: int) -> slice:
        """The rows out of ``count`` that this worker has: contiguous, and as many as the others but for one."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def rows(self, count: int) -> Part:
        """The same, as dropout needs it."""
        return Part(self.part(count).start, count)

    def _together(self, work: Callable[[], T]) -> T:
        """Do what all workers do at once. Raises WorkersLostError."""
        if self.is_broken:
            raise WorkersLostError(_LOST)
        try:
            return work()
        except RuntimeError as error:
            self.is_broken = True
            is_late = "timed out" in str(error).lower() or "timeout" in str(error).lower()
            raise WorkersLostError(_LATE.format(PATIENCE) if is_late else _LOST) from error

    # ------------------------------------------------------------------ a batch

    def average(
        self, weights: Sequence[torch.Tensor], loss: torch.Tensor, targets: torch.Tensor | int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Average the gradients of all workers; each counts by its number of targets.

        Args:
            weights: those with a gradient; it is replaced by the average over all workers.
            loss: the mean over this worker's ``targets``, ().

        Returns:
            The mean loss over the targets of all workers, and their number, both ().
        """
        # A gradient lies in memory as its weight does, which is the same for all workers; reshape would copy it.
        swapped = [lies_transposed(weight) for weight in weights]
        pieces = [_gradient(weight, swap) for weight, swap in zip(weights, swapped, strict=True)]
        flat = torch.cat([*[piece.reshape(-1) for piece in pieces], loss.reshape(1), loss.new_ones(1)]).mul_(targets)
        self._together(lambda: dist.all_reduce(flat))
        count = flat[-1].clone()
        flat.div_(count.clamp(min=1))
        begin = 0
        for weight, piece, swap in zip(weights, pieces, swapped, strict=True):
            found = flat[begin : begin + piece.numel()].view(piece.shape)
            weight.grad = found.t() if swap else found
            begin += piece.numel()
        return flat[-2], count

    def add(self, numbers: torch.Tensor) -> torch.Tensor:
        """The sum of ``numbers`` over all workers, in their place."""
        self._together(lambda: dist.all_reduce(numbers))
        return numbers

    def whole(self, state: HiddenState, rows: int) -> HiddenState:
        """The states of all ``rows`` of a batch, out of those that each worker has: (layers, rows, hidden) each."""
        found = []
        for tensor in state:
            wide = tensor.new_zeros(tensor.shape[0], rows, tensor.shape[2])
            wide[:, self.part(rows)] = tensor
            self.add(wide.view(torch.int32))  # of bits: a sum of numbers would lose the sign of a zero
            found.append(wide)
        return tuple(found)

    # ------------------------------------------------------------------ orders

    def order(self, order: Order, *numbers: float) -> None:
        """Tell the others what to do, as the leader; else nothing."""
        if self.leads:
            self._send(torch.tensor([order, *numbers, *[0.0] * (3 - len(numbers))], dtype=torch.float64))

    def next_order(self) -> tuple[Order, tuple[float, float, float]]:
        """Wait for the next order."""
        order, *numbers = self._send(torch.empty(4, dtype=torch.float64)).tolist()
        return Order(int(order)), (numbers[0], numbers[1], numbers[2])

    def order_batch(self, epoch: int, batch: int, rate: float) -> None:
        """Have all workers train on a batch."""
        self.order(Order.TRAIN, epoch, batch, rate)

    def order_piece(self, is_first: bool) -> None:
        """Have all workers measure a piece of the held-out text."""
        self.order(Order.MEASURE, is_first)

    def order_states(self) -> None:
        """Have all workers show the states of their rows."""
        self.order(Order.GATHER)

    def build(self, config: RunConfig, device: torch.device, corpus: Corpus) -> None:
        """Order the others to build a trainer like this worker's."""
        # Another machine may lack the run's folder with its copy, or have the texts of the program elsewhere.
        places = [str(path.resolve()) for path in (corpus.origin, corpus.path) if path is not None]
        facts = {
            "config": config.to_dict(), "device": device.type, "sources": [*dict.fromkeys([*places, config.corpus])],
            "bytes": corpus.bytes, "sha256": corpus.sha256,
        }  # fmt: skip
        self._send_bytes(Order.BUILD, json.dumps(facts).encode())

    def received_facts(self, size: float) -> dict[str, Any]:
        """What ``build`` has sent."""
        found: dict[str, Any] = json.loads(self._received_bytes(size))
        return found

    def hand_out(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Order the others to restore a checkpoint."""
        plain = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
        }
        words = torch.frombuffer(bytearray(json.dumps(dict(facts)).encode()), dtype=torch.uint8)
        self._send_bytes(Order.RESTORE, safetensors.torch.save({**plain, _FACTS: words}))

    def received_checkpoint(self, size: float) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """What ``hand_out`` has sent."""
        tensors = safetensors.torch.load(self._received_bytes(size))
        return tensors, json.loads(tensors.pop(_FACTS).numpy().tobytes())

    def _send_bytes(self, order: Order, data: bytes) -> None:
        """Give an order, its first number the length of the bytes that follow."""
        self.order(order, len(data))
        self._send(torch.frombuffer(bytearray(data), dtype=torch.uint8))

    def _received_bytes(self, size: float) -> bytes:
        return self._send(torch.empty(int(size), dtype=torch.uint8)).numpy().tobytes()

    def _send(self, data: torch.Tensor) -> torch.Tensor:
        """From the leader to all."""
        self._together(lambda: dist.broadcast(data, 0, group=self._orders))
        return data

    def report(self, facts: Mapping[str, str]) -> None:
        """Exchange what each worker computes with, or with ``error`` why it cannot.

        Raises RunError, for the leader alone, if a worker cannot, or would compute with something else than the leader.
        """
        mine = {**facts, "host": platform.node()}
        text = json.dumps(mine).encode()[:_REPORT].ljust(_REPORT)
        own = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        all_of_them = [torch.empty_like(own) for _ in range(self.size)]
        self._together(lambda: dist.all_gather(all_of_them, own, group=self._reports))
        for rank, data in enumerate(all_of_them if self.leads else []):
            theirs = json.loads(bytes(data.tolist()))
            where = f"worker {rank} on {theirs['host']}"
            if theirs.get("error"):
                raise RunError(f"{where} cannot train: {theirs['error']}")
            for name, value in facts.items():
                if theirs.get(name) != value:
                    raise RunError(f"{where} has {name} {theirs.get(name)}, and worker 0 {value}: they must be alike")

    def end(self) -> None:
        """Part from the others; further calls do nothing."""
        if not self.is_broken and self._end_processes is None:
            with contextlib.suppress(WorkersLostError):
                self.order(Order.END)
        self.is_broken = True
        if dist.is_initialized():
            dist.destroy_process_group()
        if self._end_processes is not None:
            self._end_processes()
            self._end_processes = None


def _gradient(weight: torch.Tensor, swap: bool) -> torch.Tensor:
    assert weight.grad is not None
    return weight.grad.t() if swap else weight.grad


def loopback() -> None:
    """Have the workers of one machine talk over its loopback: nothing listens elsewhere."""
    name = "lo0" if platform.system() == "Darwin" else "lo"
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = name


def meeting_place(folder: Path, size: int) -> Any:
    """A store for the workers of one machine, in a folder that is theirs alone."""
    return dist.FileStore(str(folder / "store"), size)  # type: ignore[attr-defined]
