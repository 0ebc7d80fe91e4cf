"""One recurrent layer over a batch: what every path computes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from core.models.feedforward import look_up
from core.models.scratch import HiddenState


class Rows(NamedTuple):
    """The input part of tokens, row ``ids_t`` of a table plus ``b``, which need not be in memory for all steps.

    Shapes: ids (num_steps, batch) integers, table (vocabulary, gates * hidden), b (gates * hidden,) or None.
    """

    ids: Tensor
    table: Tensor
    b: Tensor | None = None

    def picked(self, *, fused: bool = True) -> Tensor:
        """(num_steps, batch, gates * hidden)."""
        return look_up(self.ids.reshape(-1), self.table, self.b, fused=fused).view(*self.ids.shape, -1)


@dataclass(frozen=True)
class Shape:
    """What a path is chosen by: the cell (rnn, gru or lstm), its units, the rows of a batch, and the arithmetic."""

    cell: str
    hidden: int
    batch: int
    relu: bool = False
    bf16: bool = False


@dataclass(frozen=True)
class RecurrentLayer:
    """One layer in one direction.

    Attributes:
        cell: rnn, gru or lstm.
        A: the input part of all gates with its bias, (num_steps, batch, gates * hidden). It is overwritten: the gates
            take its place in memory.
        W_h: (hidden, gates * hidden).
        extra: (b_hn,) for the GRU, else empty.
        state: the state before the first step, each tensor (batch, hidden).
        relu: the RNN's activation, else tanh.
        bf16: multiply in bfloat16; gates and states keep their format.
        fused: whether our kernels may compute it, in C on a CPU and in Triton on a GPU.
    """

    cell: str
    A: Tensor | Rows
    W_h: Tensor
    extra: Sequence[Tensor]
    state: HiddenState
    relu: bool = False
    bf16: bool = False
    fused: bool = True

    @property
    def shape(self) -> Shape:
        return Shape(self.cell, self.W_h.shape[0], self.state[0].shape[0], self.relu, self.bf16)

    def reversed(self) -> RecurrentLayer:
        """The same layer over the steps from the last to the first."""
        A = self.A._replace(ids=self.A.ids.flip(0)) if isinstance(self.A, Rows) else self.A.flip(0)
        return replace(self, A=A)

    def inputs(self) -> Tensor:
        """A as one tensor, (num_steps, batch, gates * hidden)."""
        return self.A.picked(fused=self.fused) if isinstance(self.A, Rows) else self.A
