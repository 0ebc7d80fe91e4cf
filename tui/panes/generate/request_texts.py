"""The schema of the Generate form, and requests in words: no widgets, so that every rule can be tested alone.

Names, ranges, helps and defaults are those of ``core.generation.options``. This module adds the order of the form, the
fold, which options have an effect, and which may be left empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.errors import ConfigError
from core.generation.options import (
    MOST_DETAILS,
    OPTIONS,
    STRATEGIES,
    Filters,
    GenerationRequest,
    settings_words,
    strategy_named,
)
from core.settings.setting import Setting, Value
from core.units import counted
from tui.forms.schema import Schema, namespace_of, typed
from tui.text.cells import clip_cells
from tui.text.safe import shown_text

FOLDED = ("count", "heads", "verse_length", "mood", "stop", "repetition_penalty", "repetition_window")
# Parameters of strategies, in the order of the form: it shows those of the chosen strategy.
PARAMETERS = tuple(
    name for name in OPTIONS if name not in FOLDED and any(name in strategy.options for strategy in STRATEGIES)
)
NAMES = ("length", *PARAMETERS, *FOLDED)
OPTIONAL = frozenset(("seed", "heads", "mood", "stop"))
# Labels that fit into a narrow form.
SHORT_LABELS = {"repetition_penalty": "penalty", "repetition_window": "over the last", "heads": "acrostic 藏头"}
PLACEHOLDERS = {"seed": "random", "heads": "verse initials", "mood": "not shown", "stop": "a token"}
NO_PENALTY = Filters().repetition_penalty


def _is_acrostic(options: Any) -> bool:
    return bool(options.heads.strip()) and _is_sampled(options)


def _is_sampled(options: Any) -> bool:
    return not strategy_named(options.strategy).is_search


def _is_parameter(name: str) -> Callable[[Any], bool]:
    return lambda options: name in strategy_named(options.strategy).options


RELEVANT: dict[str, Callable[[Any], bool]] = {
    **{name: _is_parameter(name) for name in PARAMETERS},
    "count": _is_sampled,
    "heads": _is_sampled,
    "verse_length": _is_acrostic,
    "stop": lambda options: not _is_acrostic(options),
    "repetition_penalty": _is_sampled,
    "repetition_window": lambda options: _is_sampled(options) and options.repetition_penalty != NO_PENALTY,
}


def setting_of(name: str) -> Setting:
    """The option as the form shows it."""
    option = OPTIONS[name]
    return replace(option, label=SHORT_LABELS.get(name, option.label), relevant=RELEVANT.get(name, option.relevant))


def _request(values: dict[str, Value]) -> GenerationRequest:
    """The request for values of the form: always with the copy meter, with details unless it is too long for them."""
    options = namespace_of(SETTINGS, values)
    given = {item.name: values[item.name] for item in SETTINGS if item.name in values and item.relevant(options)}
    if given.get("repetition_penalty") == default_penalty(str(values["strategy"])):
        for name in ("repetition_penalty", "repetition_window"):  # they are defaults of the strategy
            given.pop(name, None)
    details = int(given["length"]) * int(given.get("count", 1)) <= MOST_DETAILS
    try:
        return GenerationRequest.from_message({**given, "copy": True, "details": details})
    except ConfigError as error:  # the prefix has no field of its own for errors
        raise ConfigError(str(error), error.field if error.field in NAMES else "length", error.labelled) from None


SETTINGS = tuple(setting_of(name) for name in (*NAMES, "prefix", "strategy"))
SCHEMA = Schema(SETTINGS, _request, folded=frozenset(FOLDED), optional=OPTIONAL, placeholders=PLACEHOLDERS)


def stop_placeholder(stops: Sequence[str]) -> str:
    """The placeholder of ``stop``: examples from the vocabulary of the run."""
    return ", or ".join(stops) or PLACEHOLDERS["stop"]


def default_text(strategy: str, name: str) -> str:
    """The text of an option that the person has not edited."""
    if name in OPTIONAL:
        return ""
    if name == "repetition_penalty":  # available with every strategy, and without effect unless it is changed
        return typed(default_penalty(strategy))
    return typed(strategy_named(strategy).defaults.get(name, OPTIONS[name].default))


def default_texts(strategy: str = STRATEGIES[0].name) -> dict[str, str]:
    """The texts of a form that the person has not edited."""
    return {**{name: default_text(strategy, name) for name in NAMES}, "prefix": "", "strategy": strategy}


def default_penalty(strategy: str) -> Value:
    """The default penalty of a strategy."""
    return strategy_named(strategy).defaults.get("repetition_penalty", NO_PENALTY)


def folded_words(texts: Mapping[str, str]) -> list[tuple[str, bool]]:
    """The options behind the fold and whether each is set; first those that are set, with their values."""
    relevant = SCHEMA.read(texts).relevant
    words: list[tuple[str, bool]] = []
    for name in ("count", "heads", "mood", "stop", "repetition_penalty"):
        label = {"repetition_penalty": "penalty", "heads": "acrostic"}.get(name, OPTIONS[name].label)
        text = texts[name].strip()
        is_set = name in relevant and text != default_text(texts["strategy"], name)
        words.append((f"{label} {clip_cells(shown_text(text), 12)}" if is_set else label, is_set))
    return sorted(words, key=lambda item: not item[1])


def with_seed(request: GenerationRequest, seed: int) -> GenerationRequest:
    """The request with a seed, if it samples and has none."""
    sampling = request.sampling
    if not strategy_named(sampling.strategy).draws or sampling.seed is not None:
        return request
    return replace(request, sampling=replace(sampling, seed=seed))


def request_words(request: GenerationRequest) -> str:
    """A request in one line: ``top-p · top p 0.9 · seed 42 · 200 tokens · acrostic 春夏``."""
    words = [settings_words(request)]
    if request.count > 1:
        words.append(counted(request.count, "sample"))
    for label, text in (("acrostic", request.heads), ("mood", request.mood), ("stop at", request.stop)):
        if text.strip():
            words.append(f"{label} {clip_cells(shown_text(text.strip()), 24)}")
    return " · ".join(words)
