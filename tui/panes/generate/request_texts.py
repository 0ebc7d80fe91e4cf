"""The texts of the Generate form and what they ask for: no widgets, so that every rule of the form can be tested alone.

Names, ranges, helps and defaults are those of ``core.generation.options``; here stands only what a form makes of them:
what is at hand and what is folded away, what has an effect beside what, and what may be left empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from core.errors import ConfigError
from core.generation.options import (
    MOST_DETAILS,
    OPTIONS,
    STRATEGIES,
    Filters,
    GenerationRequest,
    Sampling,
    settings_words,
    strategy_named,
)
from core.settings.run_config import Setting, Value
from core.units import counted
from tui.forms.reading import typed
from tui.text.safe import clip_cells, shown_text

# In the order of the form. Of the parameters of strategies those are shown that the chosen one has.
PARAMETERS = ("temperature", "top_k", "top_p", "min_p", "beam", "seed")
FOLDED = ("count", "heads", "verse_length", "mood", "stop", "repetition_penalty", "repetition_window")
NAMES = ("length", *PARAMETERS, *FOLDED)
# Texts that may be left empty; of these ``seed`` is no text.
OPTIONAL = ("seed", "heads", "mood", "stop")
# Labels that fit into a narrow form.
SHORT_LABELS = {"repetition_penalty": "penalty", "repetition_window": "over the last", "heads": "acrostic 藏头"}
_PLACEHOLDERS = {
    "seed": "by chance",
    "heads": "verse heads",
    "mood": "not shown",
    "stop": "a token",
}
_PENALTY = ("repetition_penalty", "repetition_window")


def setting_of(name: str) -> Setting:
    """The option as the form shows it."""
    return replace(OPTIONS[name], label=SHORT_LABELS.get(name, OPTIONS[name].label))


def placeholder_of(name: str) -> str:
    """What stands in the editor while it is empty."""
    return _PLACEHOLDERS.get(name) or OPTIONS[name].range_text()


def stop_placeholder(stops: Sequence[str]) -> str:
    """What stands in the empty editor of ``stop``: examples of what the run that is asked knows."""
    return ", or ".join(stops) or _PLACEHOLDERS["stop"]


def default_text(strategy: str, name: str) -> str:
    """What stands in the form for a strategy as long as nobody has typed anything else."""
    if name in OPTIONAL:
        return ""
    if name == "repetition_penalty":  # at hand for every strategy that draws, and without effect unless asked for
        return typed(strategy_named(strategy).defaults.get(name, Filters().repetition_penalty))
    return typed(strategy_named(strategy).defaults.get(name, OPTIONS[name].default))


def default_texts(strategy: str = STRATEGIES[0].name) -> dict[str, str]:
    """All of them."""
    return {name: default_text(strategy, name) for name in NAMES}


def shown_names(strategy: str) -> tuple[str, ...]:
    """The options that the form shows above its fold."""
    chosen = strategy_named(strategy)
    return ("length", *(name for name in PARAMETERS if name in chosen.options))


def relevant_names(strategy: str, texts: Mapping[str, str]) -> frozenset[str]:
    """The options that have an effect beside the others."""
    names = set(shown_names(strategy)) | {"mood"}
    has_heads = bool(texts["heads"].strip()) and strategy != "beam"
    if strategy != "beam":
        names |= {"count", "heads", "repetition_penalty"}
        if texts["repetition_penalty"].strip() not in ("1", "1.0"):
            names.add("repetition_window")
    names.add("verse_length" if has_heads else "stop")
    return frozenset(names)


@dataclass(frozen=True)
class Reading:
    """What the texts of the form mean: a request, or None where something is wrong; ``errors`` says what, by option."""

    request: GenerationRequest | None
    errors: Mapping[str, str]
    relevant: frozenset[str]


def read(prefix: str, strategy: str, texts: Mapping[str, str]) -> Reading:
    """Read all texts at once: every error is found, not only the first one.

    Details are asked for as long as so many tokens may be told, the copy meter always.
    """
    relevant = relevant_names(strategy, texts)
    values: dict[str, Value] = {"prefix": prefix, "strategy": strategy, "copy": True}
    errors: dict[str, str] = {}
    for name in NAMES:
        if name not in relevant or (name in OPTIONAL and not texts[name].strip()):
            continue
        try:
            values[name] = OPTIONS[name].parse(texts[name])
        except ConfigError as error:
            errors[name] = error.labelled
    if errors:
        return Reading(None, errors, relevant)
    if values.get("repetition_penalty") == default_penalty(strategy):
        for name in _PENALTY:  # what the strategy does by itself need not be said
            values.pop(name, None)
    values["details"] = int(values["length"]) * int(values.get("count", 1)) <= MOST_DETAILS
    try:
        return Reading(GenerationRequest.from_message(values), {}, relevant)
    except ConfigError as error:
        name = error.field if error.field in NAMES else "length"
        return Reading(None, {name: error.labelled}, relevant)


def default_penalty(strategy: str) -> Value:
    """The penalty that a strategy has where none is given."""
    return strategy_named(strategy).defaults.get("repetition_penalty", Filters().repetition_penalty)


def folded_words(strategy: str, texts: Mapping[str, str]) -> list[tuple[str, bool]]:
    """What is behind the fold, in words, and whether it is set: what is set comes first, with its value."""
    relevant = relevant_names(strategy, texts)
    words: list[tuple[str, bool]] = []
    for name in ("count", "heads", "mood", "stop", "repetition_penalty"):
        label = {"repetition_penalty": "penalty", "heads": "acrostic"}.get(name, OPTIONS[name].label)
        value = texts[name].strip()
        if name in relevant and value != default_text(strategy, name):
            words.append((f"{label} {clip_cells(shown_text(value), 12)}", True))
        else:
            words.append((label, False))
    return sorted(words, key=lambda item: not item[1])


def with_seed(request: GenerationRequest, seed: int) -> GenerationRequest:
    """The same request with a seed, where chance has a part in it and none is given."""
    sampling = request.sampling
    if not strategy_named(sampling.strategy).draws or sampling.seed is not None:
        return request
    return replace(request, sampling=replace(sampling, seed=seed))


def message_of(request: GenerationRequest) -> dict[str, Value]:
    """The fields that an engine is sent: those that say something."""
    silent = {item.name: item.default for cls in (GenerationRequest, Sampling) for item in fields(cls)}
    message = request.to_message()
    return {
        name: value
        for name, value in message.items()
        if name in ("prefix", "length", "strategy") or (value is not None and value != silent[name])
    }


def request_words(request: GenerationRequest) -> str:
    """How a text was asked for, in a line: ``top-p · top p 0.9 · seed 42 · 200 tokens · acrostic 春夏``."""
    words = [settings_words(request)]
    if request.count > 1:
        words.append(counted(request.count, "sample"))
    for label, text in (("acrostic", request.heads), ("mood", request.mood), ("stop at", request.stop)):
        if text.strip():
            words.append(f"{label} {clip_cells(shown_text(text.strip()), 24)}")
    return " · ".join(words)


def named_option(message: str) -> str | None:
    """The option of the form that an engine's sentence begins with, or None."""
    first = message.split(" ", 1)[0].rstrip(":")
    return first if first in NAMES else None
