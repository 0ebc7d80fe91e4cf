"""What a model can be asked to write, and how it may choose its words: the one description of both.

The form of the screen, the flags of the command line, the help and the error messages are derived from the two tables
below. A new strategy is one entry in ``STRATEGIES``, a new option one in ``OPTIONS`` and one field of the dataclass
that it belongs to. No torch in this module: the screen imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from core.config import Setting, Value, shown
from core.errors import ConfigError

LONGEST = 1_000_000
"""Tokens of all the samples of one request together."""
LONGEST_TEXT = 100_000
"""Characters of a prefix or a mood."""
MOST_HEADS = 1_000
"""Characters of an acrostic's heads."""
MOST_DETAILS = 20_000
"""Tokens that may be told in detail: each weighs about half a kilobyte on its way to the screen."""
LINE_END = "line"
"""The value of ``stop`` that means the end of a line, whichever token that is in a vocabulary."""


def _option(name: str, kind: type, default: Value, label: str, help: str, **facts: Any) -> Setting:
    return Setting(name=name, kind=kind, default=default, group="generate", label=label, help=help, **facts)


@dataclass(frozen=True)
class Strategy:
    """A way to choose the next token.

    Attributes:
        name: as requests, flags and the form know it.
        help: what it does, in one sentence.
        defaults: its parameters, names of ``OPTIONS``, with the values that they have where none is given.
        draws: whether chance has a part in it; then ``seed`` belongs to it.
    """

    name: str
    help: str
    defaults: Mapping[str, Value]
    draws: bool = True

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options that have an effect, as a form shows them."""
        return (*self.defaults, "seed") if self.draws else tuple(self.defaults)


STRATEGIES = (
    Strategy(
        "temperature",
        "draws each token by its probability, sharpened or flattened by the temperature",
        {"temperature": 1.0},
    ),
    Strategy(
        "greedy",
        "takes the likeliest token each time: always the same text, which soon goes in circles",
        {"repetition_penalty": 1.0, "repetition_window": 64},
        draws=False,
    ),
    Strategy(
        "top-k",
        "draws from the k likeliest tokens alone",
        {"top_k": 40, "temperature": 1.0},
    ),
    Strategy(
        "top-p",
        "draws from the nucleus: the fewest tokens that together have the probability p",
        {"top_p": 0.9, "temperature": 1.0},
    ),
    Strategy(
        "min-p",
        "draws from the tokens that are at least p times as likely as the likeliest one",
        {"min_p": 0.1, "temperature": 1.0},
    ),
    Strategy(
        "combined",
        "draws with all filters in a row: repetition penalty, temperature, top-k, top-p, min-p",
        {"temperature": 0.9, "top_k": 100, "top_p": 0.95, "min_p": 0.02, "repetition_penalty": 1.1,
         "repetition_window": 64},
    ),
    Strategy(
        "beam",
        "follows several beginnings at once and tells the likeliest whole texts, with their scores",
        {"beam": 4},
        draws=False,
    ),
)  # fmt: skip

OPTIONS = {
    option.name: option
    for option in (
        _option("prefix", str, "", "prefix", "how the text begins"),
        _option("length", int, 200, "length", "tokens that are written after the prefix, at most", unit="tokens",
                minimum=1, maximum=LONGEST),
        _option("strategy", str, "temperature", "strategy", "how each token is chosen",
                choices=tuple(strategy.name for strategy in STRATEGIES)),
        _option("temperature", float, 1.0, "temperature",
                "below 1 more careful, above 1 wilder: the scores are divided by it", minimum=0.01, maximum=100.0),
        _option("top_k", int, 40, "top k", "only the so many likeliest tokens may be drawn", unit="tokens", minimum=1,
                maximum=1_000_000),
        _option("top_p", float, 0.9, "top p",
                "only the fewest tokens that together are so probable may be drawn; 1 lets all through", above=0.0,
                maximum=1.0),
        _option("min_p", float, 0.1, "min p",
                "only tokens at least so many times as probable as the likeliest may be drawn; 0 lets all through",
                minimum=0.0, maximum=1.0),
        _option("repetition_penalty", float, 1.1, "repetition penalty",
                "what has just been written becomes less likely by this factor on its score; 1 changes nothing",
                minimum=1.0, maximum=10.0),
        _option("repetition_window", int, 64, "penalty window", "the penalty looks back so many tokens", unit="tokens",
                minimum=1, maximum=100_000),
        _option("beam", int, 4, "beam", "texts that are followed at once, and told at the end", unit="texts", minimum=1,
                maximum=64),
        _option("seed", int, 0, "seed", "the same seed writes the same text; none takes a new one each time", minimum=0,
                maximum=2**63 - 1),
        _option("stop", str, "", "stop at",
                f"a token that ends the text ({LINE_END}: the end of the line); several characters: each of them does"),
        _option("heads", str, "", "acrostic", "characters, each of which begins one verse, in their order"),
        _option("verse_length", int, 40, "verse length", "a verse of an acrostic ends here if it has not ended before",
                unit="tokens", minimum=1, maximum=10_000),
        _option("mood", str, "", "mood", "a text that the model reads first and that is not shown"),
        _option("count", int, 1, "samples", "texts written side by side", unit="texts", minimum=1, maximum=64),
        _option("details", bool, False, "details", "tell each token's surprise and what it was drawn from"),
        _option("copy", bool, False, "copy meter", "look for the longest stretch that stands in the training text"),
    )
}  # fmt: skip


def strategy_named(name: str) -> Strategy:
    """The strategy of that name. Raises ``ConfigError``."""
    checked("strategy", name)
    return next(strategy for strategy in STRATEGIES if strategy.name == name)


def checked(name: str, value: object) -> Value:
    """The value of an option in its own type, whatever came from outside. Raises ``ConfigError``, one sentence."""
    option = OPTIONS[name]
    # What a sentence could not show is refused before it is formatted: a list, a number of a thousand digits.
    if not isinstance(value, (bool, int, float, str)) or isinstance(value, str) != (option.kind is str):
        return _refuse(option, value)
    if (isinstance(value, int) and abs(value) > 2**64) or (option.choices and len(str(value)) > 50):
        return _refuse(option, value)
    return option.check(value)


def _refuse(option: Setting, value: object) -> Value:
    is_huge = isinstance(value, int) and abs(value) > 2**64  # too long to read, or even for Python to print
    words = "a number beyond 64 bits" if is_huge else repr(value)
    given = words if len(words) <= 60 else words[:57] + "..."
    raise ConfigError(f"{option.name} must be {option.range_text()}, got {given}", option.name)


@dataclass(frozen=True)
class Filters:
    """What is done to a model's distribution before a token is drawn, in the order of the fields; see ``strategies``.

    The values given here leave the distribution as it is.
    """

    repetition_penalty: float = 1.0
    repetition_window: int = 64
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def is_temperature_alone(self) -> bool:
        """Whether nothing but the temperature has an effect."""
        return self == Filters(temperature=self.temperature, repetition_window=self.repetition_window)


@dataclass(frozen=True)
class Sampling:
    """How to choose: a strategy and its parameters. Each is checked; a wrong one raises ``ConfigError``.

    None takes the strategy's own value, and a filter that the strategy does not have stays away. A filter that is given
    takes part in any strategy that draws; ``greedy`` looks at the repetition penalty alone and ``beam`` at no filter.
    """

    strategy: str = "temperature"
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    repetition_window: int | None = None
    beam: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        _check_fields(self)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Sampling:
        """The sampling that a request asks for; what it does not say takes its default. Raises ``ConfigError``.

        A request that says how wide a beam is, and no strategy, asks for beam search.
        """
        values = _given(cls, message)
        return cls(**({"strategy": "beam"} if "beam" in values else {}) | values)

    @property
    def filters(self) -> Filters:
        """The filters with the strategy's own values where none are given."""
        values = {item.name: self._value(item.name) for item in fields(Filters)}
        return Filters(**{name: value for name, value in values.items() if value is not None})

    @property
    def width(self) -> int:
        """How many texts a beam search follows; 1 for every other strategy."""
        return int(self._value("beam") or 1) if self.strategy == "beam" else 1

    def _value(self, name: str) -> Any:
        given = getattr(self, name)
        return strategy_named(self.strategy).defaults.get(name) if given is None else given


@dataclass(frozen=True)
class GenerationRequest:
    """What to write: every field is checked, and a wrong one raises ``ConfigError``, one sentence.

    ``options`` of this module say what each means; what only the model's vocabulary can tell is checked by the writer.
    """

    prefix: str = ""
    length: int = 200
    sampling: Sampling = field(default_factory=Sampling)
    stop: str = ""
    heads: str = ""
    verse_length: int = 40
    mood: str = ""
    count: int = 1
    details: bool = False
    copy: bool = False

    def __post_init__(self) -> None:
        _check_fields(self)
        for name, most in (("prefix", LONGEST_TEXT), ("mood", LONGEST_TEXT), ("heads", MOST_HEADS), ("stop", 1000)):
            if len(getattr(self, name)) > most:
                raise ConfigError(f"{name} must be at most {most:,} characters, got {len(getattr(self, name)):,}", name)
        if self.count * self.length > LONGEST:
            raise ConfigError(
                f"count times length must be at most {LONGEST:,} tokens, got {self.count:,} x {self.length:,}: "
                "ask for fewer samples or shorter ones",
                "count",
            )
        if self.details and self.count * self.length > MOST_DETAILS:
            raise ConfigError(
                f"details are told of at most {MOST_DETAILS:,} tokens, got {self.count:,} x {self.length:,}: "
                "ask for shorter texts or for none of the details",
                "details",
            )
        if self.sampling.strategy == "beam" and self.count > 1:
            raise ConfigError(
                f"count must be 1 with the strategy beam, which tells as many texts as beam says, got {self.count:,}",
                "count",
            )
        if self.sampling.strategy == "beam" and self.heads:
            raise ConfigError("heads need a strategy that writes token by token: choose another one than beam", "heads")
        if self.stop and self.heads:
            raise ConfigError("stop and heads exclude each other: an acrostic ends with its last verse", "stop")

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> GenerationRequest:
        """The request in a message: the options by their names, all side by side; null and absent ones are defaults.

        Raises ``ConfigError`` for whatever is wrong in it; other keys are not looked at.
        """
        return cls(sampling=Sampling.from_message(message), **_given(cls, message))

    @classmethod
    def from_texts(cls, texts: Mapping[str, str | bool | None]) -> GenerationRequest:
        """The request that a person typed, value by value as text. Raises ``ConfigError``."""
        parsed = {
            name: OPTIONS[name].parse(text) if isinstance(text, str) else text
            for name, text in texts.items()
            if text is not None
        }
        return cls.from_message(parsed)

    def to_message(self) -> dict[str, Any]:
        """The fields of a ``generate`` request; ``from_message`` reads them back."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "sampling"}
        return own | {item.name: getattr(self.sampling, item.name) for item in fields(self.sampling)}


def _check_fields(made: Sampling | GenerationRequest) -> None:
    for item in fields(made):
        value = getattr(made, item.name)
        if item.name == "sampling" or (value is None and item.default is None):
            continue
        object.__setattr__(made, item.name, checked(item.name, value))


def _given(cls: type[Sampling] | type[GenerationRequest], message: Mapping[str, Any]) -> dict[str, Any]:
    names = (item.name for item in fields(cls) if item.name != "sampling")
    return {name: message[name] for name in names if message.get(name) is not None}


def settings_words(request: GenerationRequest) -> str:
    """``top-p · top p 0.9 · seed 42 · 200 tokens``, as it stands above a text."""
    sampling = request.sampling
    words = [] if sampling.strategy == "temperature" else [sampling.strategy]
    for name, option in OPTIONS.items():
        value = getattr(sampling, name, None)
        if name != "strategy" and value is not None:
            words.append(f"{option.label} {value if name == 'seed' else shown(value)}")
    return " · ".join([*words, f"{request.length:,} tokens"])
