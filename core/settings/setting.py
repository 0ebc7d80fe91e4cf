"""Settings: the description of one value, and the base of a configuration made of them.

``RunConfig``, the sequence laboratory and the options of generation are described here once: the forms, the flags of
the command line, the saved files and the error messages are derived from it. No torch in this module: the screen
imports it.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self, TypeGuard, cast

from core.errors import ConfigError

Value = int | float | bool | str
MOST_LISTED = 30
"""Names that the sentence on an unknown setting lists, if none is near."""


@dataclass(frozen=True)
class Setting:
    """One value of a configuration: what a form needs to show it, and what is needed to parse and check it.

    ``minimum`` and ``maximum`` are inclusive; ``above`` and ``below`` are exclusive bounds.
    ``relevant`` returns whether the setting has an effect, given the other values of the configuration.
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
        """The permitted values in words, for error messages and forms."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is bool:
            return "yes or no"
        if self.kind is str:
            return "a text"
        if self.minimum is not None and self.maximum is not None:
            return f"between {shown(self.minimum)} and {shown(self.maximum)}"
        bounds = {"above": self.above, "at least": self.minimum, "below": self.below, "at most": self.maximum}
        words = " and ".join(f"{word} {shown(bound)}" for word, bound in bounds.items() if bound is not None)
        return words or ("a whole number" if self.kind is int else "a number")

    def check(self, value: object) -> Value:
        """Return ``value`` in the setting's type. Raises ``ConfigError`` with the permitted values."""
        if self.kind is bool:
            if isinstance(value, bool):
                return value
        elif self.kind is str:
            if isinstance(value, str) and (not self.choices or value in self.choices):
                return value
        elif self.kind is int:
            if isinstance(value, int) and not isinstance(value, bool) and self._within(value):
                return value
        elif self._is_finite_number(value) and self._within(number := _without_denormal(float(value))):
            return number
        raise self.refusal(f"must be {self.range_text()}, got {given(value)}")

    def refusal(self, words: str) -> ConfigError:
        """The error for a wrong value: the setting's name, or its label in a form, and ``words``."""
        return ConfigError(f"{self.name} {words}", self.name, f"{self.label} {words}")

    @staticmethod
    def _is_finite_number(value: object) -> TypeGuard[float]:
        # An int may be too large for math.isfinite; every range ends below that.
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return abs(value) < 1e300 if isinstance(value, int) else math.isfinite(value)

    def parse(self, text: str) -> Value:
        """The value of typed text. Raises ``ConfigError``."""
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
            words = noun if bounds == noun else f"{noun} {bounds}"
            raise self.refusal(f"must be {words}, got {given(text)}") from None
        return self.check(value)

    def _within(self, value: float) -> bool:
        return not (
            (self.minimum is not None and value < self.minimum)
            or (self.maximum is not None and value > self.maximum)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )


def _without_denormal(number: float) -> float:
    """Zero for a denormal number, which is zero while a run computes and would not be elsewhere."""
    return number if abs(number) >= sys.float_info.min else 0.0


_TRUTH = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


def described(default: Any, group: str, label: str, help: str, **facts: Any) -> Any:
    """A field of a ``Settings`` class: its default, and the attributes of its ``Setting``."""
    return field(default=default, metadata={"group": group, "label": label, "help": help, **facts})


@dataclass(frozen=True)
class Settings:
    """Base of a configuration: a frozen dataclass whose fields are made by ``described``.

    Every instance is valid: construction checks each value and raises ``ConfigError``. A subclass checks values against
    each other in its own ``__post_init__``.
    """

    def __post_init__(self) -> None:
        values = vars(self)
        # Most are defaults, and a list of runs reads thousands of configurations.
        for item in _settings_of(cast(Any, type(self))).values():
            value, default = values[item.name], item.default
            if value is not default and (type(value) is not type(default) or value != default):
                object.__setattr__(self, item.name, item.check(value))

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """Every setting, in the order in which a form shows them."""
        return tuple(_settings_of(cast(Any, cls)).values())

    @classmethod
    def setting(cls, name: str) -> Setting:
        """The setting of that name. Raises ``ConfigError`` with the names of the nearest settings."""
        known = _settings_of(cast(Any, cls))
        if name not in known:
            import difflib

            called = {item.label: item.name for item in known.values()} | dict.fromkeys(known, "")
            asked = str(name)[:100].lower()
            found = [asked] if asked in called else difflib.get_close_matches(asked, called, n=3, cutoff=0.55)
            near = list(dict.fromkeys(called[word] or word for word in found))
            listed = ", ".join(list(known)[:MOST_LISTED]) + (", …" if len(known) > MOST_LISTED else "")
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are {listed}"
            raise ConfigError(f"there is no setting {shortened(repr(str(name)))}{hint}")
        return known[name]

    @classmethod
    def refusal(cls, field: str, template: str, **values: object) -> ConfigError:
        """The error for values that are in conflict; see the function ``refusal``."""
        return refusal(cls.settings(), field, template, **values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed. Raises ``ConfigError`` for a wrong value or an unknown name."""
        for name in changes:
            self.setting(name)
        return dataclasses.replace(self, **changes)

    def with_texts(self, texts: Mapping[str, str]) -> Self:
        """A copy with settings as typed: ``{"num_steps": "35"}``. Raises ``ConfigError``."""
        return self.replace(**{name: self.setting(name).parse(text) for name, text in texts.items()})

    def to_dict(self) -> dict[str, Value]:
        """The settings as JSON-able values, in the order of the fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of ``to_dict``; missing settings take their defaults. Raises ``ConfigError``."""
        known = _settings_of(cast(Any, cls))
        for name in values:  # in their order: the first one that is unknown is named; a text is no mapping either
            if name not in known:
                cls.setting(name)
        found = object.__new__(cls)
        # The constructor of a frozen dataclass takes longer than the rest of reading a run.
        vars(found).update(_defaults_of(cast(Any, cls)), **values)
        found.__post_init__()
        return found


@cache
def _settings_of(cls: type[Any]) -> dict[str, Setting]:
    kinds = {"int": int, "float": float, "bool": bool, "str": str}
    return {
        item.name: Setting(item.name, kinds[str(item.type)], cast(Value, item.default), **item.metadata)
        for item in dataclasses.fields(cls)
    }


@cache
def _defaults_of(cls: Any) -> dict[str, Value]:
    return {name: item.default for name, item in _settings_of(cls).items()}


def refusal(settings: Iterable[Setting], field: str, template: str, **values: object) -> ConfigError:
    """The error for values that are each permitted but in conflict; ``field`` is the setting to correct.

    ``template`` is the message with settings in braces, ``{tau} must be less than {points}, got {given}``: they become
    names in ``str(error)`` and labels in ``error.labelled``. ``values`` are the other names in braces.
    """
    labels = {item.name: item.label for item in settings}
    names = {name: name for name in labels}
    return ConfigError(template.format(**names, **values), field, template.format(**labels, **values))


def key_values(pairs: Iterable[str], example: str) -> dict[str, str]:
    """The pairs of ``--set KEY=VALUE --set KEY=VALUE``; of several with one key the last. Raises ConfigError.

    ``example`` is a valid pair, for the error message.
    """
    texts = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set takes KEY=VALUE, for example --set {example}, got {pair!r}")
        texts[key.strip()] = text
    return texts


def shown(value: Value) -> str:
    """A value for display: thousands separated, no trailing zeros."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or (abs(value) >= 1000 and float(value).is_integer()):
        return f"{int(value):,}"
    return f"{value:g}"


def shortened(text: str) -> str:
    """``text`` cut to a length that fits into an error message."""
    return text if len(text) <= 100 else f"{text[:90]}..."


def given(value: object) -> str:
    """A refused value as an error message shows it; a list or an object is only named by its type."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    if value is None:
        return "nothing"
    if isinstance(value, int) and abs(value) > 2**64:
        return "a number beyond 64 bits"  # too long to read, or even for Python to print
    return shortened(shown(value) if isinstance(value, (int, float)) else repr(value))
