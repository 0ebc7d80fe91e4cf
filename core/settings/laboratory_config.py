"""The settings of the sequence laboratory: its form, flags and error messages are derived from this description.

No torch in this module: the screen imports it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.settings.setting import Settings, described, shown

FARTHEST = 512  # steps ahead
MOST_HORIZONS = 6
# Dive into Deep Learning, chapter 8.1 (second edition, PyTorch): the loss after each epoch, with the default settings.
PUBLISHED = (0.0696, 0.0558, 0.0533, 0.0514, 0.0508)
PUBLISHED_SOURCE = "Dive into Deep Learning, chapter 8.1"


@dataclass(frozen=True)
class SequenceConfig(Settings):
    """All settings of an experiment.

    The defaults are those of *Dive into Deep Learning*, chapter 8.1; RNN and seed are ours. With this seed the losses
    are near the published ones; their standard deviation over 60 seeds is 0.02 after the first epoch, 0.004 at the end.
    """

    # the sequence
    points: int = described(
        1000, "sequence", "points", "length of the sequence", unit="points", minimum=16, maximum=10_000
    )
    frequency: float = described(
        0.01, "sequence", "frequency", "x = sin(frequency * time): 0.01 makes a wave of 628 points, 0.1 one of 63",
        unit="radians", above=0.0, maximum=math.pi,
    )  # fmt: skip
    noise: float = described(
        0.2, "sequence", "noise", "standard deviation of the noise added to each point", minimum=0.0, maximum=10.0
    )

    # the models
    tau: int = described(
        4, "models", "tau", "points that a model sees to predict the next one", unit="points", minimum=1,
        maximum=128,
    )  # fmt: skip
    mlp_hiddens: int = described(
        10, "models", "MLP hidden", "hidden units of the MLP, which reads all tau points at once", unit="units",
        minimum=1, maximum=512,
    )  # fmt: skip
    rnn_hiddens: int = described(
        10, "models", "RNN hidden", "hidden units of the RNN, which reads the tau points one after the other",
        unit="units", minimum=1, maximum=512,
    )  # fmt: skip

    # the training
    train_examples: int = described(
        600, "training", "examples", "train on the first N examples; the others are never seen in training",
        unit="examples", minimum=1, maximum=10_000,
    )  # fmt: skip
    batch_size: int = described(
        16, "training", "batch", "examples in each batch", unit="examples", minimum=1, maximum=10_000
    )
    num_epochs: int = described(
        5, "training", "epochs", "passes over the training examples", unit="epochs", minimum=1, maximum=500
    )
    learning_rate: float = described(
        0.01, "training", "lr", "learning rate: step size of Adam", above=0.0, maximum=10.0
    )
    seed: int = described(
        10, "training", "seed", "seed of the noise, the initial weights and the order of the examples",
        minimum=0, maximum=2**32 - 1,
    )  # fmt: skip

    # the predictions
    multi_start: int = described(
        0, "predictions", "multi-step from",
        "time after which models read their own predictions; 0 is the end of the training part (604 in the book)",
        unit="time", minimum=0, maximum=10_000,
    )  # fmt: skip
    horizons: str = described(
        "1, 4, 16, 64", "predictions", "k",
        f"steps ahead to predict: up to {MOST_HORIZONS} whole numbers, each at most {FARTHEST}",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tau >= self.points:
            raise self.refusal(
                "tau", "{tau} must be less than {points}, {limit}, got {given}",
                limit=shown(self.points), given=shown(self.tau),
            )  # fmt: skip
        most = self.points - self.tau
        for name, value in (("train_examples", self.train_examples), ("horizons", max(self.steps_ahead))):
            if value > most:
                raise self.refusal(
                    name, f"{{{name}}} must be at most {{points}} - {{tau}}, {{limit}}, got {{given}}",
                    limit=shown(most), given=shown(value),
                )  # fmt: skip
        if self.multi_start and not self.tau <= self.multi_start < self.points:
            raise self.refusal(
                "multi_start", "{multi_start} must be 0 or between {tau}, {low}, and {high}, got {given}",
                low=shown(self.tau), high=shown(self.points - 1), given=shown(self.multi_start),
            )  # fmt: skip

    @property
    def steps_ahead(self) -> tuple[int, ...]:
        """``horizons`` as numbers, ascending, each once. Raises ConfigError."""
        try:
            numbers = sorted({int(part) for part in self.horizons.replace(",", " ").split()})
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= MOST_HORIZONS or not 1 <= numbers[0] <= numbers[-1] <= FARTHEST:
            raise self.setting("horizons").refusal(
                f"must be 1 to {MOST_HORIZONS} whole numbers between 1 and {FARTHEST}, as in 1, 4, 16, 64, "
                f"got {self.horizons[:40]!r}"
            )
        return tuple(numbers)

    @property
    def train_end(self) -> int:
        """The last point that is a target in training: 604 in the book. Points count from 1."""
        return self.train_examples + self.tau

    @property
    def known_points(self) -> int:
        """Points before the multi-step prediction: ``multi_start``, or the end of the training part.

        Three fifths of the sequence if all of it is trained on.
        """
        if self.multi_start or self.train_end < self.points:
            return self.multi_start or self.train_end
        return max(self.tau, self.points * 3 // 5)

    @property
    def is_the_books(self) -> bool:
        """Whether the published losses are comparable: seed, RNN and predictions do not matter."""
        free = ("seed", "rnn_hiddens", "multi_start", "horizons")
        return all(getattr(self, item.name) == item.default for item in settings() if item.name not in free)


settings = SequenceConfig.settings
