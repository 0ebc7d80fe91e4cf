"""The texts of a settings form and what they mean: no widgets, so that every rule of the form can be tested alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

from core.errors import ConfigError
from core.settings.run_config import RunConfig, Setting, Value, settings

YES_NO = ("no", "yes")


def typed(value: Value) -> str:
    """A value as a person types it: what ``Setting.parse`` reads back."""
    if isinstance(value, bool):
        return YES_NO[value]
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


@dataclass(frozen=True)
class Reading:
    """What a form's texts mean.

    ``config`` is None where something is wrong; ``errors`` says what, by setting, in the form's order; ``relevant`` are
    the settings that have an effect beside the others.
    """

    config: RunConfig | None
    errors: Mapping[str, str]
    relevant: frozenset[str]


def texts_of(config: RunConfig) -> dict[str, str]:
    """Every setting as it is typed."""
    return {name: typed(value) for name, value in config.to_dict().items()}


def read(texts: Mapping[str, str]) -> Reading:
    """Read all texts at once: every error is found, not only the first one."""
    values: dict[str, Value] = {}
    errors: dict[str, str] = {}
    for setting in settings():
        try:
            values[setting.name] = setting.parse(texts[setting.name])
        except ConfigError as error:
            errors[setting.name] = error.labelled
            values[setting.name] = setting.default
    seen = cast(RunConfig, SimpleNamespace(**values))
    relevant = frozenset(setting.name for setting in settings() if setting.relevant(seen))
    # A wrong value in a field that has no effect is nobody's mistake: the default stands in.
    for name in [name for name in errors if name not in relevant]:
        del errors[name]
    config = None
    try:
        config = RunConfig.from_dict(values)
    except ConfigError as error:
        errors.setdefault(error.field or settings()[0].name, error.labelled)
    return Reading(None if errors else config, errors, relevant)


def idle_words(setting: Setting, texts: Mapping[str, str]) -> str:
    """Why a setting has no effect beside the others, found by changing them one at a time; empty where it has one."""
    values = {}
    for other in settings():
        try:
            values[other.name] = other.parse(texts[other.name])
        except ConfigError:
            values[other.name] = other.default

    def has_effect(**changes: Value) -> bool:
        return setting.relevant(cast(RunConfig, SimpleNamespace(**{**values, **changes})))

    if has_effect():
        return ""
    for other in settings():
        cures = [value for value in _other_values(other) if has_effect(**{other.name: value})]
        if cures and other.name != setting.name:
            now = typed(values[other.name])
            with_words = f"; it has one with {' or '.join(map(str, cures))}" if other.choices else ""
            return f"no effect while {other.label} is {now or 'empty'}{with_words}"
    return "no effect beside the other settings"


def _other_values(setting: Setting) -> tuple[Value, ...]:
    """Values of a setting that are unlike one another, all that it has where they are few."""
    if setting.choices or setting.kind is bool:
        return setting.choices or (False, True)
    if setting.kind is str:
        return ("",)
    bounds = (setting.minimum, setting.default, setting.maximum)
    return tuple(setting.kind(bound) for bound in bounds if isinstance(bound, (int, float)))


def named_setting(message: str) -> str | None:
    """The setting that an error's sentence begins with, or None: engines tell errors as sentences alone."""
    first = message.split(" ", 1)[0]
    return first if any(setting.name == first for setting in settings()) else None
