"""One token of one text by the compiled kernels, for writing: one C call through all layers."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from core.models.recurrence.cpu import bindings
from core.models.recurrence.cpu.compiled import NUMBERS
from core.settings.cells import CELLS

_FLOATS = ctypes.c_void_p


class _Layer(ctypes.Structure):
    """``Layer`` in step.c."""

    _fields_ = [(name, _FLOATS) for name in ("W_x", "W_h", "b", "b_hn", "H", "C")]


class _Step(ctypes.Structure):
    """``Step`` in step.c."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("cell", "relu", "layers", "inputs", "hidden", "columns")),
        ("vectors", _FLOATS), ("layer", ctypes.POINTER(_Layer)), ("W", _FLOATS), ("b", _FLOATS),
        ("down", ctypes.c_int64), ("right", ctypes.c_int64), ("scores", _FLOATS), ("room", _FLOATS),
    ]  # fmt: skip


class CompiledStep:
    """The state of one text, and the weights that take it one token further: those of the moment of each call.

    Attributes:
        scores: (vocabulary,), those of the token after the last call's.
    """

    def __init__(
        self, cell: str, relu: bool, vectors: Tensor | None, layers: Sequence[Sequence[Tensor]], W: Tensor, b: Tensor
    ) -> None:
        """See ``LanguageModel.step_weights`` for the shapes. Raises ValueError for others: C would read elsewhere."""
        (hidden, columns), gates = W.shape, len(CELLS[cell].gates)
        self._states = [W.new_zeros(CELLS[cell].num_states, 2, hidden) for _ in layers]
        self.scores, room = W.new_zeros(columns), W.new_zeros(4 * gates * hidden)
        self._cell, self._hidden, self._size = cell, hidden, columns
        self._step = _Step(
            cell=NUMBERS[cell], relu=relu, layers=len(layers), hidden=hidden, columns=columns,
            scores=self.scores.data_ptr(), room=room.data_ptr(),
        )  # fmt: skip
        self._room, self._token = room, ctypes.c_int64()
        self.use(vectors, layers, W, b)

    def use(self, vectors: Tensor | None, layers: Sequence[Sequence[Tensor]], W: Tensor, b: Tensor) -> None:
        """Go on with these weights, of the same shapes."""
        hidden, wide = self._hidden, len(CELLS[self._cell].gates) * self._hidden
        W = W if W.is_contiguous() or W.t().is_contiguous() else W.contiguous()
        inputs = 0 if vectors is None else vectors.shape[1]
        wanted = [(W, (hidden, self._size)), (b, (self._size,)), (vectors, (self._size, inputs))]
        for number, (W_x, W_h, b_h, *extra) in enumerate(layers):
            rows = hidden if number else inputs or self._size
            wanted += [(W_x, (rows, wide)), (W_h, (hidden, wide)), (b_h, (wide,)), *((t, (hidden,)) for t in extra)]
        for tensor, shape in wanted:
            if tensor is None:
                continue
            if tuple(tensor.shape) != shape or tensor.dtype is not torch.float32:
                raise ValueError(f"the step needs {shape} here, got {tuple(tensor.shape)} of {tensor.dtype}")
            if tensor is not W and not tensor.is_contiguous():
                raise ValueError("the step needs contiguous weights")
        made = (_Layer * len(layers))()
        for layer, state, (W_x, W_h, b_h, *extra) in zip(made, self._states, layers, strict=True):
            layer.W_x, layer.W_h, layer.b = W_x.data_ptr(), W_h.data_ptr(), b_h.data_ptr()
            layer.b_hn = extra[0].data_ptr() if extra else None
            layer.H, layer.C = state[0].data_ptr(), state[1].data_ptr() if len(state) > 1 else None
        step = self._step
        step.vectors, step.inputs = None if vectors is None else vectors.data_ptr(), inputs
        step.layer, step.W, step.b = made, W.data_ptr(), b.data_ptr()
        step.down, step.right = W.stride()
        self._compute = bindings.Prepared("step", ctypes.addressof(step), self._token)
        self._kept = (vectors, layers, W, b, made)  # C has their addresses

    def __call__(self, token: int) -> None:
        """One token further. Raises IndexError for a token that the vocabulary does not have."""
        if not 0 <= token < self._size:
            raise IndexError(f"the token must be between 0 and {self._size - 1:,}, got {token:,}")
        self._token.value = token
        self._compute()
