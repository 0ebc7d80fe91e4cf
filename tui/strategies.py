"""How a model chooses the next token: the strategies that the Generate pane offers, and the settings of each.

A new strategy is one line in ``STRATEGIES``, a new setting of one is one line in ``SETTINGS``: the form, its errors,
the request to the engine and the line above the text follow from them.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.config import Setting, Value, shown


@dataclass(frozen=True)
class Strategy:
    """``name`` as the engine takes it; ``settings`` are the names of those that have an effect."""

    name: str
    help: str
    settings: tuple[str, ...]


def _setting(name: str, kind: type, default: Value, label: str, help: str, **facts: float | str) -> Setting:
    return Setting(name=name, kind=kind, default=default, group="generate", label=label, help=help, **facts)  # type: ignore[arg-type]


LENGTH = _setting(
    "length",
    int,
    200,
    "length",
    "how many tokens are written after the prefix",
    unit="tokens",
    minimum=1,
    maximum=100_000,
)
SETTINGS = (
    _setting(
        "temperature", float, 1.0, "temperature", "below 1 more careful, above 1 wilder", minimum=0.01, maximum=100.0
    ),
    _setting("seed", int, 0, "seed", "the same seed writes the same text; empty takes a new one each time", minimum=0,
             maximum=2**63 - 1),
)  # fmt: skip
STRATEGIES = (
    Strategy("temperature", "each token is drawn by its probability, sharpened or flattened by the temperature",
             ("temperature", "seed")),
    Strategy("greedy", "always the likeliest token: soon goes in circles", ()),
)  # fmt: skip
# Settings that may be left empty: then each text gets a value of its own.
OPTIONAL = ("seed",)


def strategy_named(name: str) -> Strategy:
    """The strategy of that name."""
    return next(strategy for strategy in STRATEGIES if strategy.name == name)


def settings_words(strategy: str, values: dict[str, Value]) -> str:
    """``temperature 0.8 · seed 42 · 200 tokens``, as it stands above a text."""
    chosen = strategy_named(strategy)
    # A strategy that is called like its first setting needs no name of its own.
    words = [] if chosen.name in chosen.settings else [chosen.name]
    for setting in SETTINGS:
        if setting.name in chosen.settings and setting.name in values:
            value = values[setting.name]
            words.append(f"{setting.label} {value if setting.name == 'seed' else shown(value)}")
    words.append(f"{values['length']:,} tokens")
    return " · ".join(words)
