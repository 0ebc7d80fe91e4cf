"""The settings of the sequence laboratory, described once: its form, its flags and its error messages come from here.

No torch in this module: the screen imports it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from core.config import Setting, Value, shown
from core.errors import ConfigError

FARTHEST = 512  # steps ahead
MOST_HORIZONS = 6
# Dive into Deep Learning, chapter 8.1 (second edition, PyTorch): the loss after each epoch, with the default settings.
PUBLISHED = (0.0696, 0.0558, 0.0533, 0.0514, 0.0508)
PUBLISHED_SOURCE = "Dive into Deep Learning, chapter 8.1"


def _setting(default: Any, group: str, label: str, help: str, **facts: Any) -> Any:
    return field(default=default, metadata={"group": group, "label": label, "help": help, **facts})


@dataclass(frozen=True)
class SequenceConfig:
    """All that determines an experiment. Every instance is valid: construction raises ``ConfigError``.

    The defaults are the textbook's, chapter 8.1 of *Dive into Deep Learning*; the RNN is ours. So is the seed: one of
    those whose losses are near the published ones, which vary from seed to seed (by 0.02 after the first epoch, 0.004
    after the last, as standard deviations over 60 seeds).
    """

    # the sequence
    points: int = _setting(
        1000, "sequence", "points", "how long the sequence is", unit="points", minimum=16, maximum=10_000
    )
    frequency: float = _setting(
        0.01, "sequence", "frequency",
        "x = sin(frequency * time): 0.01 makes a wave of 628 points, 0.1 one of 63",
        unit="radians", above=0.0, maximum=math.pi,
    )  # fmt: skip
    noise: float = _setting(
        0.2, "sequence", "noise", "standard deviation of what chance adds to each point", minimum=0.0, maximum=10.0
    )

    # what is learned
    tau: int = _setting(
        4, "models", "tau", "how many points a model sees before it says the next one", unit="points", minimum=1,
        maximum=128,
    )  # fmt: skip
    mlp_hiddens: int = _setting(
        10, "models", "MLP hidden", "hidden units of the MLP, which reads the tau points side by side", unit="units",
        minimum=1, maximum=512,
    )  # fmt: skip
    rnn_hiddens: int = _setting(
        10, "models", "RNN hidden", "hidden units of the RNN, which reads the tau points one after the other",
        unit="units", minimum=1, maximum=512,
    )  # fmt: skip

    # how
    train_examples: int = _setting(
        600, "training", "examples", "the first so many examples are trained on, the rest is never seen in training",
        unit="examples", minimum=1, maximum=10_000,
    )  # fmt: skip
    batch_size: int = _setting(
        16, "training", "batch", "examples to each change of the weights", unit="examples", minimum=1, maximum=10_000
    )
    num_epochs: int = _setting(
        5, "training", "epochs", "passes over the training examples", unit="epochs", minimum=1, maximum=500
    )
    learning_rate: float = _setting(
        0.01, "training", "lr", "learning rate of Adam: the size of a step", above=0.0, maximum=10.0
    )
    seed: int = _setting(
        10, "training", "seed", "same seed, same numbers: the noise, the first weights, the order of the examples",
        minimum=0, maximum=2**32 - 1,
    )  # fmt: skip

    # what is asked of them
    multi_start: int = _setting(
        0, "predictions", "multi-step from",
        "from this time on predictions are made from predictions; 0 begins where the training ends (604 in the book)",
        unit="time", minimum=0, maximum=10_000,
    )  # fmt: skip
    horizons: str = _setting(
        "1, 4, 16, 64", "predictions", "k", f"so many steps ahead: up to {MOST_HORIZONS} whole numbers up to {FARTHEST}"
    )

    def __post_init__(self) -> None:
        for setting in settings():
            object.__setattr__(self, setting.name, setting.check(getattr(self, setting.name)))
        if self.tau >= self.points:
            raise ConfigError(f"tau must be less than points, {shown(self.points)}, got {shown(self.tau)}", "tau")
        most = self.points - self.tau
        if self.train_examples > most:
            raise ConfigError(
                f"train_examples must be at most points - tau, {shown(most)}, got {shown(self.train_examples)}",
                "train_examples",
            )
        if self.multi_start and not self.tau <= self.multi_start < self.points:
            raise ConfigError(
                f"multi_start must be 0 or between tau, {shown(self.tau)}, and {shown(self.points - 1)}, "
                f"got {shown(self.multi_start)}",
                "multi_start",
            )
        farthest = max(self.steps_ahead)
        if farthest > most:
            raise ConfigError(
                f"horizons must be at most points - tau, {shown(most)}, got {shown(farthest)}", "horizons"
            )

    @property
    def steps_ahead(self) -> tuple[int, ...]:
        """``horizons`` as numbers, ascending, each once. Raises ConfigError."""
        try:
            numbers = sorted({int(part) for part in self.horizons.replace(",", " ").split()})
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= MOST_HORIZONS or not 1 <= numbers[0] <= numbers[-1] <= FARTHEST:
            raise ConfigError(
                f"horizons must be 1 to {MOST_HORIZONS} whole numbers between 1 and {FARTHEST}, "
                f"as in 1, 4, 16, 64, got {self.horizons[:40]!r}",
                "horizons",
            )
        return tuple(numbers)

    @property
    def train_end(self) -> int:
        """The last point that is an answer in training: 604 in the book. Points count from 1."""
        return self.train_examples + self.tau

    @property
    def known_points(self) -> int:
        """How many points the multi-step prediction is given; all later ones it makes itself.

        Without a wish of the user's that is where the training ends, or three fifths of the way where it never does.
        """
        if self.multi_start or self.train_end < self.points:
            return self.multi_start or self.train_end
        return max(self.tau, self.points * 3 // 5)

    @property
    def is_the_books(self) -> bool:
        """Whether the published losses are comparable: whatever the seed, the RNN and the later questions are."""
        free = ("seed", "rnn_hiddens", "multi_start", "horizons")
        return all(getattr(self, item.name) == item.default for item in settings() if item.name not in free)

    def replace(self, **changes: Any) -> SequenceConfig:
        """A copy with some settings changed. Raises ``ConfigError`` for a wrong value or an unknown name."""
        for name in changes:
            setting(name)
        return dataclasses.replace(self, **changes)

    def with_texts(self, pairs: Mapping[str, str]) -> SequenceConfig:
        """A copy with settings as a person typed them: ``{"tau": "8"}``. Raises ``ConfigError``."""
        return self.replace(**{name: setting(name).parse(text) for name, text in pairs.items()})

    def to_dict(self) -> dict[str, Value]:
        """The settings as JSON-able values, in the order of the fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SequenceConfig:
        """The inverse of ``to_dict``; missing settings take their defaults. Raises ``ConfigError``."""
        for name in values:
            setting(name)
        return cls(**values)


@cache
def settings() -> tuple[Setting, ...]:
    """Every setting, in the order in which a form shows them."""
    kinds = {"int": int, "float": float, "str": str}
    return tuple(
        Setting(name=item.name, kind=kinds[str(item.type)], default=cast(Value, item.default), **item.metadata)
        for item in dataclasses.fields(SequenceConfig)
    )


def setting(name: str) -> Setting:
    """The setting of that name. Raises ``ConfigError`` with all names for a wrong one."""
    for item in settings():
        if item.name == name:
            return item
    names = ", ".join(item.name for item in settings())
    raise ConfigError(f"there is no setting {str(name)[:50]!r}; there are {names}")
