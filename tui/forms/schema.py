"""The schema of a form and the reading of its texts: no widgets, so that every rule of a form can be tested alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Generic, TypeVar

from core.errors import ConfigError
from core.settings.setting import Setting, Settings, Value

Result = TypeVar("Result")
YES_NO = ("no", "yes")


def typed(value: Value) -> str:
    """A value as a person types it; ``Setting.parse`` is the inverse."""
    if isinstance(value, bool):
        return YES_NO[value]
    if isinstance(value, float):
        short = str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def texts_of(config: Settings) -> dict[str, str]:
    """Every setting as a person types it."""
    return {name: typed(value) for name, value in config.to_dict().items()}


@dataclass(frozen=True)
class Reading(Generic[Result]):
    """The meaning of a form's texts.

    Attributes:
        value: the result, or None where a text is wrong.
        errors: the error messages, by setting.
        relevant: the settings that have an effect, given the others.
    """

    value: Result | None
    errors: Mapping[str, str]
    relevant: frozenset[str]


@dataclass(frozen=True)
class Schema(Generic[Result]):
    """The description of a form.

    Attributes:
        settings: in the order of the form; those of a group are adjacent.
        make: returns the result from the values by name. Raises ``ConfigError``.
        folded: the settings that are behind the fold of their group.
        optional: the settings that may be left empty; ``make`` gets no value for them then.
        placeholders: texts for empty editors, by setting; the default is the permitted range.
        notes: notes below a field, by setting and text.
    """

    settings: tuple[Setting, ...]
    make: Callable[[dict[str, Value]], Result]
    folded: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    placeholders: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def setting(self, name: str) -> Setting:
        return next(setting for setting in self.settings if setting.name == name)

    def folded_in(self, group: str) -> tuple[Setting, ...]:
        return tuple(setting for setting in self.settings if setting.group == group and setting.name in self.folded)

    def placeholder(self, name: str) -> str:
        """The text in the editor while it is empty."""
        setting = self.setting(name)
        return self.placeholders.get(name) or ("" if setting.kind is str else setting.range_text())

    def default_texts(self) -> dict[str, str]:
        return {item.name: "" if item.name in self.optional else typed(item.default) for item in self.settings}

    def read(self, texts: Mapping[str, str]) -> Reading[Result]:
        """Read all texts at once and collect all errors.

        The default replaces a wrong text, so that conflicts of the other settings are found too. A wrong text in a
        setting that has no effect is no error.
        """
        values, errors = self._parse(texts)
        relevant = frozenset(item.name for item in self.settings if item.relevant(namespace_of(self.settings, values)))
        errors = {name: message for name, message in errors.items() if name in relevant}
        result = None
        try:
            result = self.make(values)
        except ConfigError as error:
            names = [item.name for item in self.settings]
            errors.setdefault(error.field if error.field in names else names[0], error.labelled)
        return Reading(None if errors else result, errors, relevant)

    def no_effect_reason(self, setting: Setting, texts: Mapping[str, str]) -> str:
        """Why a setting has no effect, found by changing the others one at a time; empty if it has one."""
        values, _ = self._parse(texts)

        def has_effect(**changes: Value) -> bool:
            return setting.relevant(namespace_of(self.settings, {**values, **changes}))

        if has_effect():
            return ""
        for other in self.settings:
            cures = [value for value in _sample_values(other) if has_effect(**{other.name: value})]
            if cures and other.name != setting.name:
                now = typed(values.get(other.name, ""))
                hint = f"; it has one with {' or '.join(map(str, cures))}" if other.choices else ""
                return f"no effect while {other.label} is {now or 'empty'}{hint}"
        return "no effect with the present values of the other settings"

    def named(self, message: str) -> str | None:
        """The setting whose name an engine's error message begins with, or None."""
        first = message.split(" ", 1)[0].rstrip(":")
        return first if any(setting.name == first for setting in self.settings) else None

    def _parse(self, texts: Mapping[str, str]) -> tuple[dict[str, Value], dict[str, str]]:
        values: dict[str, Value] = {}
        errors: dict[str, str] = {}
        for item in self.settings:
            text = texts[item.name]
            if item.name in self.optional and not text.strip():
                continue
            try:
                values[item.name] = item.parse(text)
            except ConfigError as error:
                errors[item.name] = error.labelled
                values[item.name] = item.default
        return values, errors


def namespace_of(settings: Iterable[Setting], values: Mapping[str, Value]) -> SimpleNamespace:
    """``values`` as attributes, for ``Setting.relevant``; a missing value is the default."""
    return SimpleNamespace(**{**{item.name: item.default for item in settings}, **values})


def _sample_values(setting: Setting) -> tuple[Value, ...]:
    """All values of a setting that has few, else some that differ."""
    if setting.choices or setting.kind is bool:
        return setting.choices or (False, True)
    if setting.kind is str:
        return ("",)
    bounds = (setting.minimum, setting.default, setting.maximum)
    return tuple(setting.kind(bound) for bound in bounds if isinstance(bound, (int, float)))
