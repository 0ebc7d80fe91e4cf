"""What a client may ask of an engine: each request as a type, made from a message in one place, or refused there.

| request | fields | the last event carries |
| --- | --- | --- |
| hello | | pid, devices, versions, run (path or null), state |
| open | run: path | run, state, config, corpus, parameters, epoch, shapes, change |
| create | config, saves, name or null, data or null | the same |
| train | num_epochs, as_before (both optional) | state |
| pause, resume, stop | | state |
| step | count (batches), as_before (optional) | epoch, batch, num_batches, loss, perplexity |
| set | name, value | name, value |
| baselines | | uniform, unigram, bigram, trigram (perplexities), on (the text they are measured on) |
| save | name (optional: a copy under that name) | path |
| generate | any of ``core.generation.options`` | as ``core.generation.response`` says: text, unknown, seed, samples |
| lab | settings of the sequence laboratory | an Experiment; before it, an epoch event for each pass |
| cancel | target: the id of a generate or lab | |
| quit | | |

An optional field may be null. ``change`` is null, or says that training would compute otherwise than it did: words,
as_before (whether that can be asked for), remains (what would be different all the same). No torch in this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.generation.options import OPTIONS, GenerationRequest
from core.settings.laboratory_config import SequenceConfig
from core.settings.run_config import RunConfig
from core.settings.setting import Value, shortened

Id = int | str | None
"""A client counts its requests or names them; the id comes back with every event."""
LONGEST_ID = 100
MOST_STEPS = 1000
LONGEST_TEXT = 10_000


@dataclass(frozen=True)
class Hello:
    """Who is there?"""


@dataclass(frozen=True)
class Open:
    """Load a run."""

    run: Path


@dataclass(frozen=True)
class Create:
    """Make a new run in ``saves``; ``data`` is where texts are found by their names."""

    config: RunConfig
    saves: Path
    name: str | None = None
    data: Path | None = None


@dataclass(frozen=True)
class Train:
    """Begin to train, or go on, up to ``num_epochs``; ``as_before``: computing as before the run was opened here."""

    num_epochs: int | None = None
    as_before: bool = False


@dataclass(frozen=True)
class Pause:
    """Hold still."""


@dataclass(frozen=True)
class Resume:
    """Go on."""


@dataclass(frozen=True)
class Stop:
    """End the training here."""


@dataclass(frozen=True)
class Step:
    """Train so many batches by hand; ``as_before`` as in ``Train``."""

    count: int = 1
    as_before: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_STEPS:
            raise UserError(f"count must be between 1 and {MOST_STEPS:,} batches, got {shortened(str(self.count))}")


@dataclass(frozen=True)
class Set:
    """Change a live setting."""

    name: str
    value: Value


@dataclass(frozen=True)
class Baselines:
    """How well do n-gram models do?"""


@dataclass(frozen=True)
class Save:
    """Take a checkpoint; copy the run where another name is given."""

    name: str | None = None


@dataclass(frozen=True)
class Generate:
    """Write."""

    options: GenerationRequest


@dataclass(frozen=True)
class Lab:
    """An experiment of the sequence laboratory."""

    settings: SequenceConfig


@dataclass(frozen=True)
class Cancel:
    """Give up a generate or lab."""

    target: Id = None


@dataclass(frozen=True)
class Quit:
    """Save and end."""


Asked = (
    Hello | Open | Create | Train | Pause | Resume | Stop | Step | Set | Baselines | Save | Generate | Lab | Cancel
    | Quit
)  # fmt: skip
REQUESTS: dict[str, type[Asked]] = {
    kind.__name__.lower(): kind
    for kind in (
        Hello, Open, Create, Train, Pause, Resume, Stop, Step, Set, Baselines, Save, Generate, Lab, Cancel, Quit,
    )
}  # fmt: skip
# Requests that change nothing: who has gone needs no answer.
QUESTIONS = (Hello, Baselines, Generate, Lab, Cancel)


def read_id(message: Mapping[str, Any]) -> Id:
    """The id of a request. Raises UserError, one sentence."""
    number = message.get("id")
    if not isinstance(number, (int, str, type(None))) or len(str(number)) > LONGEST_ID:
        raise UserError("the id of a request must be a whole number or a text of up to 100 characters")
    return number


def read_request(message: Mapping[str, Any]) -> Asked:
    """The request in a message. Raises UserError for whatever is wrong in it, one sentence."""
    name = message.get("request")
    kind = REQUESTS.get(name) if isinstance(name, str) else None
    if kind is None:
        given = name if isinstance(name, str) else _type_of(name)
        raise UserError(f"there is no request {given[:50]!r}: there are {', '.join(REQUESTS)}")
    given_fields = {key: value for key, value in message.items() if key not in ("id", "request")}
    known = OPTIONS if kind is Generate else {item.name: item for item in fields(kind)}
    for key in given_fields:
        if key not in known:
            raise UserError(f"{name} has no field {shortened(repr(key))}, only: {', '.join(known) or 'none'}")
    if kind is Generate:
        return Generate(GenerationRequest.from_message(given_fields))
    return kind(**{item.name: _read(str(name), item, given_fields.get(item.name)) for item in fields(kind)})


def _read(request: str, item: Field[Any], value: Any) -> Any:
    """The value of a field in its own type. Raises UserError."""
    if value is None and item.default is not MISSING:
        return item.default
    what, read = _READERS[str(item.type).removesuffix(" | None")]
    try:
        return read(value)
    except (TypeError, ValueError):
        raise UserError(f"{request} needs {item.name}, {what}, got {_type_of(value)}") from None


def _type_of(value: Any) -> str:
    """What a JSON value is, in a sentence: of a list or an object only that it is one."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return "nothing" if value is None else shortened(repr(value))


def _text(value: Any) -> str:
    """A text that a file or a journal can hold. Raises TypeError, ValueError."""
    if not isinstance(value, str):
        raise TypeError
    if "\0" in value or len(value) > LONGEST_TEXT:
        raise ValueError
    value.encode("utf-8", "surrogateescape")  # half of a surrogate pair is no text; what stands for any byte is one
    return value


def _path(value: Any) -> Path:
    if not _text(value):
        raise ValueError
    return Path(value)


def _whole_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _scalar(value: Any) -> Value:
    if not isinstance(value, (bool, int, float, str)):
        raise TypeError
    return value


def _settings(value: Any) -> dict[str, Value]:
    """Settings by their names; which there are and what they may be is for the configuration to say."""
    if not isinstance(value, dict):
        raise TypeError
    for name, setting in value.items():
        try:
            _scalar(setting)
        except (TypeError, ValueError):
            what, given = _READERS["Value"][0], _type_of(setting)
            raise UserError(f"the setting {shortened(repr(name))} must be {what}, got {given}") from None
    return value


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "int": ("a whole number", _whole_number),
    "bool": ("true or false", _truth),
    "str": (f"a text of up to {LONGEST_TEXT:,} characters without a zero byte", _text),
    "Path": ("a text, the path of a folder", _path),
    "Value": ("a number, a text, true or false", _scalar),
    "RunConfig": ("an object of settings", lambda value: RunConfig.from_dict(_settings(value))),
    "SequenceConfig": ("an object of settings", lambda value: SequenceConfig.from_dict(_settings(value))),
    "Id": ("the id of a request", lambda value: read_id({"id": value})),
}
