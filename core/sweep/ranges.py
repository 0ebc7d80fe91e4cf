"""The values of a setting in the runs of a sweep: ``cell=rnn,gru,lstm`` or ``learning_rate=0.1..100:log``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.errors import ConfigError
from core.settings.run_config import RunConfig
from core.settings.setting import Setting, Value, shown

FEWEST_RUNS, MOST_RUNS = 2, 16
"""Of a grid."""
EXAMPLE = "cell=rnn,gru,lstm"
_LOG = ":log"


@dataclass(frozen=True)
class Varied:
    """A setting and its values: those in ``values``, or, if there are none, any from ``low`` to ``high``."""

    setting: Setting
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    def text(self) -> str:
        """As ``parse_varied`` reads it."""
        words = ",".join(map(value_text, self.values))
        if not self.values:
            words = f"{value_text(self.low)}..{value_text(self.high)}{_LOG if self.log else ''}"
        return f"{self.setting.name}={words}"

    def listed(self) -> tuple[Value, ...]:
        """The values one by one, as a grid needs them. Raises ConfigError for a range of fractions, or a long one."""
        if self.values:
            return self.values
        name = self.setting.name
        if self.setting.kind is not int or self.log:
            raise ConfigError(f"a grid needs single values of {name}, such as {name}={EXAMPLES[self.setting.kind]}")
        if self.high - self.low >= MOST_RUNS:
            words = f"{shown(self.high - self.low + 1)} values"
            raise ConfigError(f"a grid has at most {MOST_RUNS} runs, and {self.text()} has {words}")
        return tuple(range(int(self.low), int(self.high) + 1))


EXAMPLES = {int: "64,128,256", float: "0.1,1,10"}


def parse_varied(text: str) -> Varied:
    """A setting with its values, as typed. Raises ConfigError for an unknown setting or a wrong value."""
    name, equals, words = text.partition("=")
    if not equals:
        raise ConfigError(f"--vary takes KEY=A,B,C or KEY=LOW..HIGH, for example --vary {EXAMPLE}, got {text!r}")
    setting, words = RunConfig.setting(name.strip()), words.strip()
    if setting.kind in (int, float) and ".." in words:
        return _range(setting, words)
    values = [setting.parse(word.strip()) for word in words.split(",") if word.strip()]
    for value in values:
        if values.count(value) > 1:
            raise setting.refusal(f"has the value {value_text(value)} twice: name each value once")
    if len(values) < 2:
        raise setting.refusal(f"needs two values or more with a comma between them, got {words!r}")
    return Varied(setting, tuple(values))


def _range(setting: Setting, words: str) -> Varied:
    low, _, high = words.removesuffix(_LOG).partition("..")
    first, last = (setting.parse(word) for word in (low, high))
    assert isinstance(first, (int, float)) and isinstance(last, (int, float))
    is_log = words.endswith(_LOG)
    if not first < last:
        raise setting.refusal(f"needs a range that rises, such as 1..10, got {words!r}")
    if is_log and first <= 0:
        raise setting.refusal(f"needs a range above 0 on a logarithmic scale, got {words!r}")
    return Varied(setting, (), first, last, is_log)


def parse_all_varied(texts: Iterable[str]) -> tuple[Varied, ...]:
    """The settings that vary. Raises ConfigError, also for a setting that is named twice, and for none."""
    varied = tuple(map(parse_varied, texts))
    names = [item.setting.name for item in varied]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--vary names {name} twice: give all its values at once, with commas between them")
    if not varied:
        raise ConfigError(f"name at least one setting and its values, for example --vary {EXAMPLE}")
    return varied


def grid_of(varied: Sequence[Varied]) -> list[dict[str, Value]]:
    """The values of each run of a grid: every combination. Raises ConfigError for fewer than two, or too many."""
    names = [item.setting.name for item in varied]
    lists = [item.listed() for item in varied]
    count = 1
    for values in lists:
        count *= len(values)
    if not FEWEST_RUNS <= count <= MOST_RUNS:
        words = f"{' x '.join(str(len(values)) for values in lists)} = {count}" if len(lists) > 1 else f"{count}"
        raise ConfigError(
            f"a grid has {FEWEST_RUNS} to {MOST_RUNS} runs, and this one has {words}: name fewer values, or "
            "search among them with --trials N"
        )
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*lists)]


def short_text(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value_text(value)


def value_text(value: Value) -> str:
    """A value as it is typed: ``yes``, ``0.1``, ``64``."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
