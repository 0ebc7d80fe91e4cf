"""The machine under the benchmark: its description, and how fast it multiplies matrices of given shapes.

The limit of a case is the time of the matrix products that it needs, measured in the same round as ours: same shapes,
same number format, factors in the cache, the fastest available routine. On a GPU the products are replayed from a CUDA
graph, so that the limit does not wait for Python.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.devices import devices
from core.models.products import RightFactor, product
from core.process import cores


@dataclass(frozen=True)
class Product:
    """``times`` products (rows, inner) @ (inner, columns)."""

    rows: int
    inner: int
    columns: int
    times: int = 1

    @property
    def flops(self) -> float:
        """Multiplications and additions, over all ``times``."""
        return 2.0 * self.rows * self.inner * self.columns * self.times


def training_products(gates: int, hidden: int, vocabulary: int, batch: int, steps: int) -> list[Product]:
    """The products of one batch, forward and backward. One-hot inputs need none: they are a look-up."""
    tokens, wide = batch * steps, gates * hidden
    return [
        Product(batch, hidden, wide, steps),  # H W_h, step by step
        Product(batch, wide, hidden, steps),  # dZ W_h^T, step by step
        Product(hidden, tokens, wide),  # dW_h
        Product(tokens, hidden, vocabulary),  # logits
        Product(tokens, vocabulary, hidden),  # dH
        Product(hidden, tokens, vocabulary),  # dW_hq
    ]


def writing_products(gates: int, hidden: int, vocabulary: int) -> list[Product]:
    """The products of one token of one stream."""
    return [Product(1, hidden, gates * hidden), Product(1, hidden, vocabulary)]


Routine = tuple[Callable[[], object], int]
"""A way to compute a product, and how many times one call of it does."""


class MatrixRate:
    """Measures the seconds that a list of products takes. The fastest routine for each shape is found once.

    Each product is repeated for ``seconds``, and for twice as long while its routine is chosen.
    """

    def __init__(
        self, products: Sequence[Product], dtype: torch.dtype, device: torch.device, seconds: float = 0.01
    ) -> None:
        self._patience = seconds
        self._products = products
        self._device = device
        self._best: list[Routine] = []
        for item in products:
            routines = _routines(item, dtype, device)
            self._best.append(min(routines, key=lambda routine: self._seconds(routine, 2 * seconds)))

    def seconds(self) -> float:
        """The time of all products, now."""
        pairs = zip(self._products, self._best, strict=True)
        return sum(item.times * self._seconds(routine, self._patience) for item, routine in pairs)

    @property
    def flops(self) -> float:
        """Of all products."""
        return sum(item.flops for item in self._products)

    @torch.no_grad()
    def _seconds(self, routine: Routine, at_least: float) -> float:
        """Of one product: the best of four stretches of calls."""
        call, products = routine
        call()
        count = 1
        while (spent := self._stretch(call, count)) < at_least / 4:
            count = max(2 * count, int(count * at_least / 4 / max(spent, 1e-9)))
        return min(spent, *(self._stretch(call, count) for _ in range(3))) / (count * products)

    def _stretch(self, call: Callable[[], object], count: int) -> float:
        synchronise(self._device)
        began = time.perf_counter()
        for _ in range(count):
            call()
        synchronise(self._device)
        return time.perf_counter() - began


def _routines(item: Product, dtype: torch.dtype, device: torch.device) -> list[Routine]:
    """Ways to compute one product, with factors of their own in either order in memory."""
    X = torch.randn(item.rows, item.inner, device=device).to(dtype)
    W = torch.randn(item.inner, item.columns, device=device).to(dtype)
    X_turned, W_turned = X.t().contiguous().t(), W.t().contiguous().t()
    pairs = [(X, W), (X, W_turned), (X_turned, W)]
    if device.type == "cuda":
        return [_replayed(*pair) for pair in pairs]
    packed = RightFactor(W, item.rows)
    ways: list[Callable[[], object]] = [partial(multiply, *pair) for multiply in (torch.mm, product) for pair in pairs]
    ways.append(partial(packed.product, X))
    if dtype is torch.float32:  # for a single row torch takes longer to be called than to multiply
        ways += [partial(np.dot, left.numpy(), right.numpy()) for left, right in pairs]
    return [(way, 1) for way in ways]


def _replayed(X: Tensor, W: Tensor, times: int = 50) -> Routine:
    """A product, several times in a row in one CUDA graph."""
    out = X.new_empty(X.shape[0], W.shape[1])
    stream = torch.cuda.Stream(X.device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):  # cuBLAS must be set up before a capture
        torch.mm(X, W, out=out)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(times):
            torch.mm(X, W, out=out)
    return graph.replay, times


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe() -> dict[str, Any]:
    """The machine and its state in words and numbers: ``processor, cores, threads, torch, cuda, load, environment``."""
    found = {device.name: device.label for device in devices()}
    return {
        "processor": found["cpu"],
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": found.get("cuda:0"),
        "load": round(os.getloadavg()[0], 2),
        "environment": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith(("OMP_", "GOMP_", "MKL_"))
        },
    }
