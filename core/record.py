"""Records: frozen dataclasses that are written as JSON objects, and read from them by the types of their fields.

Journal lines, ``run.json`` and an engine's answers are records. A key that the class does not have is ignored; a key
that is missing takes the field's default. No torch in this module: the screen imports it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from core.settings.setting import Settings

RecordT = TypeVar("RecordT")
Reader = Callable[[Any], Any]
# The exceptions of ``read_record`` for an object of another form.
MALFORMED = (AttributeError, KeyError, TypeError, ValueError, OverflowError)
MOST_ENTRIES = 20  # of a table of texts


def record_as_json(record: Any) -> dict[str, Any]:
    """A record as a JSON-able object; a number that is not finite becomes null, because strict JSON has no other."""
    return {item.name: _as_json(getattr(record, item.name)) for item in fields(record)}


def read_record(kind: type[RecordT], value: Mapping[str, Any]) -> RecordT:
    """The record of a JSON object. Raises one of ``MALFORMED`` for a missing key or a value of another type."""
    readers = _fields(cast(Any, kind))
    given = {name: read(value[name]) for name, read, is_required in readers if is_required or name in value}
    return kind(**given)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Reader, bool], ...]:
    """Name, reader and necessity of each field; cached, because a long journal has a hundred thousand lines."""
    hints = get_type_hints(kind)
    return tuple(
        (item.name, _reader(hints[item.name]), item.default is MISSING and item.default_factory is MISSING)
        for item in fields(kind)
    )


def _reader(hint: Any) -> Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if origin is tuple and arguments[-1] is ...:
        read, plain = _reader(arguments[0]), {arguments[0]} & {str, float}
        return lambda value: (
            tuple(value)
            if isinstance(value, list) and set(map(type, value)) == plain
            else tuple(read(item) for item in of_type(value, list))
        )
    if origin is tuple:
        readers = [_reader(argument) for argument in arguments]
        return lambda value: tuple(read(item) for read, item in zip(readers, of_type(value, list), strict=True))
    if hint == Mapping[str, str]:
        return _read_texts
    if origin is Mapping:
        read_key, read_entry = arguments[0], _reader(arguments[1])
        return lambda value: {read_key(key): read_entry(item) for key, item in of_type(value, dict).items()}
    if NoneType in arguments:
        read_some = _reader(next(argument for argument in arguments if argument is not NoneType))
        return lambda value: None if value is None else read_some(value)
    if set(arguments) == {float, int}:
        return lambda value: _read_int(value) if isinstance(value, int) else _read_float(value)
    if arguments:
        return lambda value: of_type(value, arguments)
    read_object: Reader = hint.from_dict if issubclass(hint, Settings) else partial(read_record, hint)
    return read_object


def of_type(value: Any, kind: type[Any] | tuple[type[Any], ...]) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} is not the type of this field")
    return value


def _read_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**63:
        raise TypeError("not a whole number")
    return value


def _read_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, NoneType)):
        raise TypeError("not a number")
    return math.nan if value is None else float(value)


def _read_texts(value: Any) -> dict[str, str]:
    """A table of texts, by name; the lengths are limited."""
    if len(of_type(value, dict)) > MOST_ENTRIES:
        raise ValueError("more entries than any table of ours has")
    return {str(name)[:100]: str(of_type(text, str))[:1000] for name, text in value.items()}


_SCALARS: dict[Any, Reader] = {
    int: _read_int,
    float: _read_float,
    str: lambda value: of_type(value, str),
    bool: lambda value: of_type(value, bool),
    Path: lambda value: Path(of_type(value, str)),
}


def _as_json(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (tuple, list)):
        kinds = set(map(type, value))
        if kinds <= {int, str} or (kinds == {float} and all(map(math.isfinite, value))):
            return list(value)  # a hundred thousand at once, without a call for each
        return [_as_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    return record_as_json(value) if is_dataclass(value) else value
