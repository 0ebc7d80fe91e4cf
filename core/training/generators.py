"""The random numbers of one training, separate from those of its process.

PyTorch's layers draw from the global generators of their devices. A training keeps its own states of those generators
and installs them while it computes, which takes 6 us.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch


class Generators:
    """The states of the generators of the CPU and, where it can be kept, of ``device``.

    Attributes:
        states: by their names in a checkpoint.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        self.states = self._now()
        with self.in_place():
            torch.default_generator.manual_seed(seed)
            if device.type != "cpu":
                torch.get_device_module(device).manual_seed(seed)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Install these states; the states of the process are restored at the end."""
        others = self._now()
        self._set(self.states)
        try:
            yield
        finally:
            self.states = self._now()
            self._set(others)

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Continue from the states in a checkpoint; a checkpoint of another device may lack some."""
        self.states = {name: tensors.get(name, state) for name, state in self.states.items()}

    def _now(self) -> dict[str, torch.Tensor]:
        states = {"generator.cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            states["generator.cuda"] = torch.cuda.get_rng_state(self._device)
        return states

    def _set(self, states: Mapping[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["generator.cpu"])
        if "generator.cuda" in states:
            torch.cuda.set_rng_state(states["generator.cuda"], self._device)
