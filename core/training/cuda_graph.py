"""The training step as one piece on the device: captured in a CUDA graph, and then replayed with a single call.

A step of a small model is more than a hundred kernels of a few microseconds each, and Python takes longer to launch
them than a GPU to run them. A CUDA graph launches them all at once. ``StepGraph`` meets its conditions:

- A graph uses fixed addresses. So all that a step reads and writes is in buffers that never move: the plan of the epoch
  and the place in it, the recurrent state, the results of each batch, the learning rate, weights and the optimiser's
  state. The gradients are in the graph's own memory.
- A step must not wait for the host. The place in the epoch is a counter on the device that each step increments; loss
  and norm are written at that place; clipping is a minimum on the device; finiteness is checked once an epoch.
- What changes between two replays is written into its buffer before: the learning rate (a scalar on the device, which
  the optimisers take in their ``capturable`` form), and at the start of an epoch the plan and a state of zeros.
- Dropout draws from CUDA's default generator, which every capture registers with its graph: a replay takes seed and
  offset from the generator and advances the offset as the same calls would outside a graph. So a checkpoint needs
  ``torch.cuda.get_rng_state`` after any replay, ``set_rng_state`` restores it before any replay or plain step, and both
  paths draw the same numbers.
- What libraries set up at their first call must not be captured: the first steps run uncaptured, on a side stream. They
  are steps of the training, so nothing has to be undone.

If the capture fails, ``StepGraph`` runs the same step call by call, and ``unavailable_reason`` says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.models.language_model import LanguageModel
from core.models.scratch import HiddenState
from core.settings.run_config import RunConfig
from core.training.batches import Plans
from core.training.optimisation import Optimiser, trained_on
from core.training.records import Records

if TYPE_CHECKING:
    from core.training.distributed import Team

# Steps before the capture, as many as PyTorch's own captures take.
WARM_UP_STEPS = 3

Work = Callable[[], None]


class StepGraph:
    """Training steps of one model, each a replay of one captured graph.

    Attributes:
        rate: the learning rate, a scalar on the device; the optimiser was made with it.
        state: the recurrent state after the last step, in memory that never moves.
        plan, cursor: which tokens each batch of the epoch has, and the next batch; in memory that never moves.
        unavailable_reason: why steps run call by call from now on; empty while they can be captured.
    """

    def __init__(
        self,
        model: LanguageModel,
        batches: Plans,
        config: RunConfig,
        optimiser: Optimiser,
        rate: Tensor,
        records: Records,
        team: Team | None = None,
    ) -> None:
        self._team = team
        self._model, self._batches, self._config, self._optimiser = model, batches, config, optimiser
        self._records = records
        self.rate, self._rate_written = rate, float(rate)
        self.state: HiddenState = model.begin_state(batches.num_rows)
        self.plan = torch.empty_like(batches.plan(0))
        self.cursor = torch.zeros(1, dtype=torch.int64, device=rate.device)
        self._place = (-1, -1)  # epoch and batch of plan and cursor
        self._replay: Work | None = None
        self._warm = 0
        self.unavailable_reason = ""

    @property
    def is_captured(self) -> bool:
        """Whether the next step is a replay."""
        return self._replay is not None

    def forget(self) -> None:
        """Capture again: the optimiser has new tensors."""
        self._replay, self._warm, self._place = None, 0, (-1, -1)

    def train(self, epoch: int, batch: int, rate: float, state: HiddenState) -> HiddenState:
        """Train on one batch; return the state after it.

        Args:
            epoch, batch: from 0, as the batches count them.
            rate: the learning rate.
            state: the one after the batch before; ignored at the beginning of an epoch.
        """
        if (epoch, batch) != self._place:
            self.plan.copy_(self._batches.plan(epoch))
            self.cursor.fill_(batch)
        if batch == 0:
            for tensor in self.state:
                tensor.zero_()
        elif state is not self.state:
            for tensor, given in zip(self.state, state, strict=True):
                tensor.copy_(given)
        if rate != self._rate_written:
            self.rate.fill_(rate)
            self._rate_written = rate
        self._batches.feed(epoch, batch)
        self._step()
        self._place = (epoch, batch + 1)
        return self.state

    def _step(self) -> None:
        if self._replay is None and not self.unavailable_reason:
            if self._warm < WARM_UP_STEPS:
                self._warm += 1
                run_beside(self.work, self.rate)
                return
            try:
                self._replay = captured(self.work, self.rate)
            except Exception as error:  # from CUDA, an allocator or a compiler: the same step works without a graph
                first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                self.unavailable_reason = f"the training step could not be captured in a CUDA graph: {first[:200]}"
        (self._replay or self.work)()

    def work(self) -> None:
        """One step on buffers that never move; captured, or run as it is."""
        batch = self._batches.cut(self.plan.index_select(0, self.cursor)[0])
        state = self.state if self._config.carries_state else tuple(torch.zeros_like(tensor) for tensor in self.state)
        loss, norm, count, after = trained_on(batch, state, self._model, self._optimiser, self._config, self._team)
        self._record(self._records.losses, loss)
        if count is not None:
            self._record(self._records.targets, count)
        self._record(self._records.norms, norm)
        for tensor, fresh in zip(self.state, after, strict=True):
            tensor.copy_(fresh)
        self.cursor.add_(1)

    def _record(self, column: Tensor, value: Tensor) -> None:
        column.index_copy_(0, self.cursor, value.to(column.dtype).view(1))


def run_beside(work: Work, near: Tensor) -> None:
    """Run the work on a side stream of the device of ``near``, after the work queued before."""
    main = torch.cuda.current_stream(near.device)
    side = _side_stream(near.device)
    side.wait_stream(main)
    with torch.cuda.stream(side):
        work()
    main.wait_stream(side)


def captured(work: Work, near: Tensor) -> Work:
    """The work as a CUDA graph on the device of ``near``: a call that replays it. Raises what the capture raises.

    A failed capture leaves the generator in capture mode, where plain dropout is refused, and the capture's stream as
    the current one: both are restored.
    """
    device = near.device
    generator, main = torch.cuda.default_generators[device.index or 0], torch.cuda.current_stream(device)
    drawn = generator.get_state()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=_side_stream(device)):
            work()
    except BaseException:
        torch.cuda.set_stream(main)
        fresh = torch.Generator(device)
        fresh.set_state(drawn)
        generator.graphsafe_set_state(fresh)
        raise
    return graph.replay


_side_streams: dict[torch.device, torch.cuda.Stream] = {}


def _side_stream(device: torch.device) -> torch.cuda.Stream:
    if device not in _side_streams:
        _side_streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return _side_streams[device]


def unavailable_reason(device: torch.device, config: RunConfig) -> str:
    """Why steps are not captured on ``device``; empty where they are."""
    if device.type != "cuda":
        return f"CUDA graphs run on CUDA devices, not on {device.type}"
    if config.cpu_path == "textbook":
        return "cpu_path=textbook computes call by call"
    if config.gpu_path not in ("auto", "graph"):
        return f"gpu_path={config.gpu_path} leaves the CUDA graph out"
    return "" if torch.version.hip is None else "CUDA graphs are captured on NVIDIA's GPUs alone"
