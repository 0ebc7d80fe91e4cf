"""One text by the compiled kernels: one C call a token through all layers, or for many tokens with their choice."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
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


class _Text(ctypes.Structure):
    """``Text`` in step.c."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("step", "masked", "ends", "uniforms", "tokens", "weights")),
        *((name, ctypes.c_int) for name in ("num_masked", "num_ends", "count")),
        ("factor", ctypes.c_float), ("seconds", ctypes.c_double), ("written", ctypes.c_int64),
        ("is_over", ctypes.c_int), ("is_finite", ctypes.c_int),
    ]  # fmt: skip


_BLOCK = 64  # of step.c, which reads whole ones


def _whole_blocks(columns: int) -> int:
    return -(-columns // _BLOCK) * _BLOCK


class _Pace:
    """Whether one thread or all of them write faster now: both are timed, the slower one seldom.

    Threads wait for one another at each token: for a moment where each has a processor of its own, but for a slice of
    another program's time where that has one of these. The numbers are the same.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}  # a token, by the number of threads
        self._calls = 0

    def threads(self) -> tuple[int, bool]:
        """How many are to make the next call, and whether it is a trial: a short one is enough."""
        both = (torch.get_num_threads(), 1)
        self._calls += 1
        if self._calls <= 4:  # twice, because the first time of each is a slow one
            return both[self._calls % 2], True
        faster, slower = sorted(both, key=lambda threads: self._seconds.get(threads, 0.0))
        return (faster, False) if self._calls % SELDOM else (slower, True)

    def time(self, call: bindings.Prepared, threads: int, written: Callable[[], int]) -> None:
        """Make a call that has ``written`` so many tokens at its end. A single slow one changes little."""
        began = time.perf_counter()
        call(threads)
        seconds = (time.perf_counter() - began) / max(1, written())
        self._seconds[threads] = min(seconds, 1.5 * self._seconds.get(threads, math.inf))


@lru_cache(64)
def pace_of(cell: str, hidden: int, layers: int, columns: int) -> _Pace:
    """What is known of the pace of such models: a new text goes on with it."""
    return _Pace()


SELDOM = 50
"""One of so many calls is made with the slower number of threads."""
TRIAL = 8
"""That call writes at most so many tokens."""


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
        self.scores = W.new_full((_whole_blocks(columns),), -math.inf)[:columns]
        room = W.new_zeros(4 * gates * hidden)
        self._cell, self._hidden, self._size = cell, hidden, columns
        self._step = _Step(
            cell=NUMBERS[cell], relu=relu, layers=len(layers), hidden=hidden, columns=columns,
            scores=self.scores.data_ptr(), room=room.data_ptr(),
        )  # fmt: skip
        self._room, self._token = room, ctypes.c_int64()
        self.pace = pace_of(cell, hidden, len(layers), columns)
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
        self.address = ctypes.addressof(step)
        self._compute = bindings.Prepared("step", self.address, self._token)
        self._kept = (vectors, layers, W, b, made)  # C has their addresses

    def __call__(self, token: int) -> None:
        """One token further. Raises IndexError for a token that the vocabulary does not have."""
        self.require(token)
        self._token.value = token
        threads, _ = self.pace.threads()
        self.pace.time(self._compute, threads, lambda: 1)

    def require(self, token: int) -> None:
        """Raise IndexError for a token that the vocabulary does not have."""
        if not 0 <= token < self._size:
            raise IndexError(f"the token must be between 0 and {self._size - 1:,}, got {token:,}")


class CompiledText:
    """Tokens after those that a ``CompiledStep`` has read, chosen in C: the most likely ones, or sampled.

    Args:
        step: the state of the text; its ``scores`` are those that the last token was chosen by.
        temperature: 0 for the most likely token, of several the one with the smallest id.
        masked: ids that are never chosen, unless there are no others.
        ends: ids that end the text.

    Raises IndexError for ids that the vocabulary does not have.
    """

    def __init__(self, step: CompiledStep, temperature: float, masked: Sequence[int], ends: Collection[int]) -> None:
        for token in (*masked, *ends):
            step.require(token)
        given = masked if len(masked) < len(step.scores) else ()
        self._masked, self._ends = (torch.tensor([*ids], dtype=torch.int64) for ids in (given, ends))
        self._weights, self._tokens = torch.empty(_whole_blocks(len(step.scores))), torch.empty(0, dtype=torch.int64)
        self._step = step
        self._text = _Text(
            step=step.address, masked=self._masked.data_ptr(), ends=self._ends.data_ptr(),
            weights=self._weights.data_ptr(), num_masked=len(given), num_ends=len(ends),
            factor=1 / temperature if temperature else 0.0,
        )  # fmt: skip
        self._write = bindings.Prepared("continue_text", ctypes.addressof(self._text))

    def write(self, last: int, uniforms: npt.NDArray[np.float64], seconds: float) -> list[int]:
        """Read ``last`` and write for ``seconds``: ids of tokens, at least one, and fewer where ``is_finite`` is false.

        uniforms: (tokens,) in [0, 1): one for each token that may be written, whether it is sampled or not; some may
        be left. Raises ValueError if there is none, and IndexError for a ``last`` that the vocabulary does not have.
        """
        self._step.require(last)
        text, most, uniforms = self._text, len(uniforms), np.ascontiguousarray(uniforms, dtype=np.float64)
        if not most:
            raise ValueError("writing needs a number for each token that may be written, got none")
        if len(self._tokens) <= most:
            self._tokens = torch.empty(1 + most, dtype=torch.int64)
        self._tokens[0] = last
        text.uniforms, text.tokens = uniforms.ctypes.data, self._tokens.data_ptr()
        pace = self._step.pace
        threads, is_trial = pace.threads()
        text.count, text.seconds = min(most, TRIAL) if is_trial else most, seconds
        pace.time(self._write, threads, lambda: text.written)
        return self._tokens[1 : 1 + text.written].tolist()

    @property
    def is_finite(self) -> bool:
        """Whether all scores of the last call were finite: where they are not, no token is chosen by them."""
        return bool(self._text.is_finite)
