"""Setting: what is known about one value that a person may choose, enough to draw it, parse it and check it.

``RunConfig``, the sequence laboratory and the options of generation are described by these. No torch in this module:
the screen imports it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard

from core.errors import ConfigError

Value = int | float | bool | str


@dataclass(frozen=True)
class Setting:
    """What is known about one field of a configuration: enough to draw it, parse it and check it.

    ``minimum`` and ``maximum`` are inclusive; ``above`` and ``below`` exclude the bound itself.
    ``relevant`` says whether the setting has an effect beside the others of a configuration.
    ``live`` settings may change while a run is training.
    """

    name: str
    kind: type
    default: Value
    group: str
    label: str
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    relevant: Callable[[Any], bool] = lambda config: True

    def range_text(self) -> str:
        """The permitted values in words, as the error messages and the form show them."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is bool:
            return "yes or no"
        if self.kind is str:
            return "a text"
        low = self.minimum if self.above is None else self.above
        high = self.maximum if self.below is None else self.below
        noun = "a whole number" if self.kind is int else "a number"
        low_words = "" if low is None else f"above {shown(low)}" if self.above is not None else f"at least {shown(low)}"
        high_words = (
            "" if high is None else f"below {shown(high)}" if self.below is not None else f"at most {shown(high)}"
        )
        if self.minimum is not None and self.maximum is not None:
            return f"between {shown(self.minimum)} and {shown(self.maximum)}"
        return " and ".join(filter(None, (low_words, high_words))) or noun

    def check(self, value: Value) -> Value:
        """Return ``value`` in the field's type, or raise ``ConfigError`` with what would be right."""
        if self.kind is bool:
            if isinstance(value, bool):
                return value
        elif self.kind is str:
            if isinstance(value, str) and (not self.choices or value in self.choices):
                return value
        elif self.kind is int:
            if isinstance(value, int) and not isinstance(value, bool) and self._within(value):
                return value
        elif self._is_finite_number(value) and self._within(value):
            return float(value)
        given = shown(value) if isinstance(value, (int, float)) else repr(value)
        raise ConfigError(f"{self.name} must be {self.range_text()}, got {shortened(given)}", self.name)

    @staticmethod
    def _is_finite_number(value: Value) -> TypeGuard[float]:
        # A whole number may be too large for math.isfinite; every range has an end below that.
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return abs(value) < 1e300 if isinstance(value, int) else math.isfinite(value)

    def parse(self, text: str) -> Value:
        """Read a value that a person typed. Raises ``ConfigError``."""
        text = text.strip() if self.kind is not str or self.choices else text
        value: Value = text
        try:
            if self.kind is bool:
                value = _TRUTH[text.lower()]
            elif self.kind is int:
                value = int(text.replace(",", "").replace("_", ""))
            elif self.kind is float:
                value = float(text.replace("_", ""))
        except (ValueError, KeyError):
            noun = "yes or no" if self.kind is bool else "a whole number" if self.kind is int else "a number"
            bounds = self.range_text()
            detail = f" {bounds}" if bounds not in (noun,) and self.kind is not bool else ""
            raise ConfigError(f"{self.name} must be {noun}{detail}, got {shortened(repr(text))}", self.name) from None
        return self.check(value)

    def _within(self, value: float) -> bool:
        return not (
            (self.minimum is not None and value < self.minimum)
            or (self.maximum is not None and value > self.maximum)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )


_TRUTH = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


def shown(value: Value) -> str:
    """A number as people read it: thousands separated, no trailing zeros."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or (abs(value) >= 1000 and float(value).is_integer()):
        return f"{int(value):,}"
    return f"{value:g}"


def shortened(text: str) -> str:
    """``text`` as an error message can bear it."""
    return text if len(text) <= 100 else f"{text[:90]}..."
