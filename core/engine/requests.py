"""The requests of an engine, as types: built by clients, and read from messages or refused in one place.

Each class names the type of its answer, see ``core.engine.answers``, or of the events that answer it. The fields of
``Generate`` are those of ``core.generation.options``. An optional field may be null. No torch in this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args

from core.engine import answers
from core.engine.answers import Answer, AnswerT
from core.errors import UserError
from core.generation.options import OPTIONS, GenerationRequest, Sampling
from core.inspection.options import LONGEST_CHARACTERS, InspectionOptions, LongText
from core.record import of_type, read_record, record_as_json
from core.settings.laboratory_config import SequenceConfig
from core.settings.run_config import RunConfig
from core.settings.setting import Value, given, shortened

if TYPE_CHECKING:  # read when an answer comes: no start of the program needs them
    from core.generation.events import Piece, Written
    from core.inspection.events import InspectionEvent
    from core.laboratory.outcome import EpochDone, Experiment

Id = int | str | None
"""The id of a request, chosen by its client; every event that answers the request carries it."""
LONGEST_ID = 100
MOST_STEPS = 1000
LONGEST_TEXT = 10_000


class Request(Generic[AnswerT]):
    """The base of all requests; ``AnswerT`` is the type of its answer."""

    @property
    def kind(self) -> str:
        """The value of the key ``request`` in a message."""
        return type(self).__name__.lower()

    def to_json(self) -> dict[str, Any]:
        """The fields of a message; those that have their defaults are left out."""
        defaults = {item.name: item.default for item in fields(cast(Any, self))}
        return {name: value for name, value in record_as_json(self).items() if value != defaults[name]}

    def read_answer(self, event: Mapping[str, Any]) -> AnswerT:
        """The answer in the last event. Raises one of ``core.record.MALFORMED``."""
        (answer_type,) = get_args(type(self).__orig_bases__[0])  # type: ignore[attr-defined]
        return cast(AnswerT, read_record(answer_type, event))


EventT = TypeVar("EventT")


class JobRequest(Request[Answer], Generic[EventT]):
    """The base of requests that are answered by several events; a client that leaves early cancels the work."""

    def read_event(self, event: Mapping[str, Any]) -> EventT:
        """One of the events. Raises one of ``core.record.MALFORMED``, or UserError."""
        raise NotImplementedError


@dataclass(frozen=True)
class Hello(Request[answers.HelloAnswer]):
    """Describe the engine process."""


@dataclass(frozen=True)
class Open(Request[answers.RunAnswer]):
    """Load a run."""

    run: Path


@dataclass(frozen=True)
class Create(Request[answers.RunAnswer]):
    """Create a run in ``saves``; ``data`` is the folder in which corpora are found by name."""

    config: RunConfig
    saves: Path
    name: str | None = None
    data: Path | None = None


@dataclass(frozen=True)
class Train(Request[answers.StateAnswer]):
    """Start or continue training up to ``num_epochs``; with ``as_before``, on the backend that was used before."""

    num_epochs: int | None = None
    as_before: bool = False


@dataclass(frozen=True)
class Pause(Request[answers.StateAnswer]):
    """Pause training."""


@dataclass(frozen=True)
class Resume(Request[answers.StateAnswer]):
    """Continue training."""


@dataclass(frozen=True)
class Stop(Request[answers.StateAnswer]):
    """Stop training."""


@dataclass(frozen=True)
class Step(Request[answers.StepAnswer]):
    """Train ``count`` batches, then pause; ``as_before`` as in ``Train``."""

    count: int = 1
    as_before: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_STEPS:
            raise UserError(f"count must be between 1 and {MOST_STEPS:,} batches, got {shortened(str(self.count))}")


@dataclass(frozen=True)
class Set(Request[answers.SetAnswer]):
    """Change a live setting."""

    name: str
    value: Value


@dataclass(frozen=True)
class Baselines(Request[answers.BaselinesAnswer]):
    """Measure the n-gram models."""


@dataclass(frozen=True)
class Save(Request[answers.SaveAnswer]):
    """Save a checkpoint; with the name of another run, copy the run to it."""

    name: str | None = None


@dataclass(frozen=True)
class Annotate(Request[Answer]):
    """Change the tags and the note of the run, see ``core.runs.annotation``; null keeps them."""

    tags: tuple[str, ...] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Generate(JobRequest["Piece | Written"]):
    """Generate text."""

    options: GenerationRequest

    def to_json(self) -> dict[str, Any]:
        """The fields of a message, without most of those that have their defaults."""
        defaults = {item.name: item.default for kind in (GenerationRequest, Sampling) for item in fields(kind)}
        named = ("prefix", "length", "strategy")
        message = self.options.to_message().items()
        return {name: value for name, value in message if name in named or value != defaults[name]}

    def read_event(self, event: Mapping[str, Any]) -> Piece | Written:
        from core.generation.events import Piece, Written

        return read_record(Written, event) if event["event"] == "done" else read_record(Piece, event)


@dataclass(frozen=True)
class Lab(JobRequest["EpochDone | Experiment"]):
    """Run an experiment of the sequence laboratory."""

    settings: SequenceConfig

    def read_event(self, event: Mapping[str, Any]) -> EpochDone | Experiment:
        from core.laboratory.outcome import EpochDone, Experiment

        return Experiment.from_json(event) if event["event"] == "done" else read_record(EpochDone, event)


@dataclass(frozen=True)
class Inspect(JobRequest["InspectionEvent"], InspectionOptions):
    """Look inside the model; the fields are those of ``core.inspection.options``."""

    def read_event(self, event: Mapping[str, Any]) -> InspectionEvent:
        from core.inspection.events import read_inspection_event

        return read_inspection_event(event)


@dataclass(frozen=True)
class Cancel(Request[Answer]):
    """Cancel the generate, inspect or lab with the id ``target``."""

    target: Id = None


@dataclass(frozen=True)
class Quit(Request[Answer]):
    """Save and exit."""


AnyRequest = (
    Hello | Open | Create | Train | Pause | Resume | Stop | Step | Set | Baselines | Save | Annotate | Generate
    | Inspect | Lab | Cancel | Quit
)  # fmt: skip
REQUESTS: dict[str, type[AnyRequest]] = {kind.__name__.lower(): kind for kind in get_args(AnyRequest)}
# Requests that change nothing: they are dropped if their client has disconnected.
QUESTIONS = (Hello, Baselines, Generate, Inspect, Lab, Cancel)


def read_id(message: Mapping[str, Any]) -> Id:
    """The id of a request. Raises UserError, one sentence."""
    number = message.get("id")
    if not isinstance(number, (int, str, type(None))) or len(str(number)) > LONGEST_ID:
        raise UserError("the id of a request must be a whole number or a text of up to 100 characters")
    return number


def read_request(message: Mapping[str, Any]) -> AnyRequest:
    """The request in a message. Raises UserError for whatever is wrong in it, one sentence."""
    name = message.get("request")
    kind = REQUESTS.get(name) if isinstance(name, str) else None
    if kind is None:
        words = name if isinstance(name, str) else given(name)
        raise UserError(f"there is no request {words[:50]!r}: there are {', '.join(REQUESTS)}")
    values = {key: value for key, value in message.items() if key not in ("id", "request")}
    known = OPTIONS if kind is Generate else {item.name: item for item in fields(kind)}
    for key in values:
        if key not in known:
            raise UserError(f"{name} has no field {shortened(repr(key))}, only: {', '.join(known) or 'none'}")
    if kind is Generate:
        return Generate(GenerationRequest.from_message(values))
    return kind(**{item.name: _read(str(name), item, values.get(item.name)) for item in fields(kind)})


def _read(request: str, item: Field[Any], value: Any) -> Any:
    """The value of a field in its own type. Raises UserError."""
    if value is None and item.default is not MISSING:
        return item.default
    what, read = _READERS[str(item.type).removesuffix(" | None")]
    try:
        return read(value)
    except (TypeError, ValueError):
        raise UserError(f"{request} needs {item.name}, {what}, got {given(value)}") from None


def _text(value: Any, longest: int = LONGEST_TEXT) -> str:
    """A text that can be written to a file or a journal. Raises TypeError, ValueError."""
    text: str = of_type(value, str)
    if "\0" in text or len(text) > longest:
        raise ValueError
    text.encode("utf-8", "surrogateescape")  # raises for half a surrogate pair; escaped bytes are valid
    return text


def _whole_number(value: Any) -> int:
    """A whole number of any size: its range is checked where it is used."""
    if isinstance(value, bool):
        raise TypeError
    return int(of_type(value, int))


def _path(value: Any) -> Path:
    if not _text(value):
        raise ValueError
    return Path(value)


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "int": ("a whole number", _whole_number),
    "bool": ("true or false", lambda value: of_type(value, bool)),
    "str": (f"a text of up to {LONGEST_TEXT:,} characters without a zero byte", _text),
    "tuple[str, ...]": ("a list of texts", lambda value: tuple(_text(item) for item in of_type(value, list))),
    "LongText": (
        f"a text of up to {LONGEST_CHARACTERS:,} characters without a zero byte",
        lambda value: LongText(_text(value, LONGEST_CHARACTERS)),
    ),
    "Path": ("a text, the path of a folder", _path),
    "Value": ("a number, a text, true or false", lambda value: of_type(value, get_args(Value))),
    "RunConfig": ("an object of settings", lambda value: RunConfig.from_dict(of_type(value, dict))),
    "SequenceConfig": ("an object of settings", lambda value: SequenceConfig.from_dict(of_type(value, dict))),
    "Id": ("the id of a request", lambda value: read_id({"id": value})),
}
