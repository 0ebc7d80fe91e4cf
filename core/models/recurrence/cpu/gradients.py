"""The compiled passes over the gradients of all weights: their norm, and a step of plain gradient descent."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from core.models.recurrence.cpu import bindings

_NUMBERS_OF_A_BLOCK = 1 << 13  # of gradients.c


def gradient_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The norm of all numbers of tensors in single precision, each contiguous or the transpose of such a one: ()."""
    counts, blocks = _sizes(tensors)
    sums = torch.empty(blocks, dtype=torch.float64, device="cpu")
    bindings.call("squares", _addresses(tensors), counts, sums, blocks)
    return sums.sum().sqrt_().float()


class Descent:
    """Plain gradient descent in place, ``weight = keep * weight - rate * gradient``, on the same weights at every step.

    Its calls are prepared once; of tensors that lie elsewhere at the next step they get the addresses alone.
    """

    def __init__(self) -> None:
        self._place: list[tuple[int, int, bool]] = []
        self._numbers: list[int] = []
        self._calls: tuple[bindings.Prepared, bindings.Prepared] | None = None
        self._weights: Sequence[Tensor] = ()
        self._gradients: Sequence[Tensor] = ()
        self._keep, self._rate = ctypes.c_float(), ctypes.c_float()

    def begin(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> bool:
        """Take the tensors of one step. False if the compiled step does not serve them."""
        place = [(tensor.data_ptr(), tensor.numel(), tensor.is_contiguous()) for tensor in (*weights, *gradients)]
        if place != self._place:
            self._place = place
            numbers = [weight.numel() for weight in weights]
            if not weights or not all(map(_is_alike, weights, gradients)):
                self._numbers, self._calls = [], None
            elif numbers != self._numbers:
                self._numbers, self._calls = numbers, self._prepared(weights, gradients)
            else:
                self._ours[:], self._theirs[:] = (
                    [tensor.data_ptr() for tensor in tensors] for tensors in (weights, gradients)
                )
        self._weights, self._gradients = (weights, gradients) if self._calls else ((), ())
        return self._calls is not None

    def _prepared(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor]
    ) -> tuple[bindings.Prepared, bindings.Prepared]:
        counts, blocks = _sizes(weights)
        self._ours, self._theirs = _addresses(weights), _addresses(gradients)
        self._sums = torch.empty(blocks, dtype=torch.float64, device="cpu")
        changed = (self._ours, self._theirs, counts, self._keep, self._rate, blocks)
        return (
            bindings.Prepared("squares", self._theirs, counts, self._sums, blocks),
            bindings.Prepared("descend", *changed),
        )

    def norm(self) -> Tensor:
        """The norm of all gradients, ()."""
        assert self._calls is not None
        self._calls[0]()
        return self._sums.sum().sqrt_().float()

    def step(self, keep: float, rate: float) -> None:
        """Change the weights, and let the gradients go."""
        assert self._calls is not None
        self._keep.value, self._rate.value = keep, rate
        self._calls[1]()
        torch.autograd.graph.increment_version(self._weights)  # C changed what autograd and caches of them watch
        self._gradients = ()


def _is_alike(weight: Tensor, gradient: Tensor) -> bool:
    """Whether the compiled step takes this weight and its gradient: in the same order in memory.

    By contiguity: a dimension of size 1 has any stride.
    """
    is_served = bindings.serves(weight) and bindings.serves(gradient)
    return is_served and weight.shape == gradient.shape and weight.is_contiguous() and gradient.is_contiguous()


def _sizes(tensors: Sequence[Tensor]) -> tuple[ctypes.Array[Any], int]:
    """The numbers of each tensor, and the blocks of all."""
    counts = [tensor.numel() for tensor in tensors]
    blocks = sum([-(-numbers // _NUMBERS_OF_A_BLOCK) for numbers in counts])
    return (ctypes.c_int64 * len(counts))(*counts), blocks


def _addresses(tensors: Sequence[Tensor]) -> ctypes.Array[Any]:
    """Of the first number of each tensor in single precision, contiguous or the transpose of such a one."""
    found = [bindings.FLOATS.from_param(tensor if tensor.is_contiguous() else tensor.t()).value for tensor in tensors]
    return (ctypes.c_void_p * len(found))(*found)
