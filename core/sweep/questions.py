"""Questions that come ready: the settings to compare, and the preset to compare them with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.errors import ConfigError
from core.settings.setting import Value


@dataclass(frozen=True)
class Question:
    """A grid with a name. ``preset`` is what its runs have in common by default, with ``changes`` made to it."""

    name: str
    title: str
    vary: tuple[str, ...]
    preset: str
    changes: Mapping[str, Value] = field(default_factory=dict)


QUESTIONS = {
    question.name: question
    for question in (
        Question(
            "sampling", "random against sequential batches, the state carried or reset",
            ("sampling=sequential,random", "state=carried,reset"), "lyrics-scratch-sequential",
        ),
        # With initialisation=auto the two would also differ in how their weights are drawn.
        Question(
            "backend", "the textbook's equations against torch.nn, their weights drawn alike",
            ("implementation=scratch,torch.nn",), "lyrics-nn-rnn", {"initialisation": "uniform"},
        ),
    )
}  # fmt: skip


def question_named(name: str) -> Question:
    """The question of that name. Raises ConfigError with the known names."""
    if name not in QUESTIONS:
        known = "; ".join(f"{question.name} ({question.title})" for question in QUESTIONS.values())
        raise ConfigError(f"there is no question {name!r}: choose one of {known}")
    return QUESTIONS[name]
