"""Strategies: how the next token is chosen from the model's distribution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from core.errors import UserError

Chooser = Callable[[torch.Tensor, torch.Generator], int]

STRATEGIES = ("greedy", "temperature")


@dataclass(frozen=True)
class Sampling:
    """How to choose. ``temperature`` divides the logits: below 1 the likely becomes likelier still."""

    strategy: str = "temperature"
    temperature: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise UserError(f"strategy must be one of {', '.join(STRATEGIES)}, got {self.strategy!r}")
        if not 0.01 <= self.temperature <= 100:
            raise UserError(f"temperature must be between 0.01 and 100, got {self.temperature:g}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise UserError(f"seed must be between 0 and {2**63 - 1:,}, got {self.seed:,}")

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Sampling:
        """The sampling that a request or a command line asks for; what it does not say takes its default.

        Raises UserError where a value is of the wrong kind or outside its range.
        """
        values: dict[str, Any] = {}
        for item in fields(cls):
            value = message.get(item.name)
            if value is None:
                continue
            kinds = {"str": str, "float": (int, float), "int | None": int}[str(item.type)]
            if not isinstance(value, kinds) or isinstance(value, bool):  # type: ignore[arg-type]
                raise UserError(
                    f"{item.name} must be {'a text' if kinds is str else 'a number'}, got {str(value)[:50]!r}"
                )
            values[item.name] = value
        return cls(**values)

    def chooser(self) -> Chooser:
        """A function of (logits (vocabulary,), generator) that returns a token id."""
        if self.strategy == "greedy":
            return lambda logits, generator: int(logits.argmax())
        return self._sample

    def _sample(self, logits: torch.Tensor, generator: torch.Generator) -> int:
        probabilities = torch.softmax(logits / self.temperature, -1)
        return int(torch.multinomial(probabilities, 1, generator=generator))
