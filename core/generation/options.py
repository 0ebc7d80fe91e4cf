"""The options and strategies of generation.

The form of the screen, the flags of the command line, the help and the error messages are derived from the two tables
below. A new strategy is one entry in ``STRATEGIES``, a new option one in ``OPTIONS`` and one field of its dataclass.
No torch in this module: the screen imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from core.errors import ConfigError
from core.settings.setting import Setting, Value, refusal, shown
from core.units import counted

LONGEST = 1_000_000
"""Tokens of one request, all samples together."""
LONGEST_TEXT = 100_000
"""Characters of a prefix or a mood."""
MOST_INITIALS = 1_000
"""Characters of an acrostic."""
MOST_DETAILS = 20_000
"""Tokens of a request with details: each takes about half a kilobyte on the socket."""
LINE_END = "line"
"""The value of ``stop`` for the end of a line, whichever token that is in a vocabulary."""


def _option(name: str, kind: type, default: Value, label: str, help: str, **facts: Any) -> Setting:
    return Setting(name=name, kind=kind, default=default, group="generate", label=label, help=help, **facts)


@dataclass(frozen=True)
class Strategy:
    """A way to choose the next token.

    ``defaults`` are its parameters, names of ``OPTIONS``, with their default values; ``draws`` says whether it samples:
    then ``seed`` is one of its options. ``is_search``: it keeps several texts, which come at the end.
    """

    name: str
    help: str
    defaults: Mapping[str, Value]
    draws: bool = True
    is_search: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options that have an effect, as a form shows them."""
        return (*self.defaults, "seed") if self.draws else tuple(self.defaults)


STRATEGIES = (
    Strategy(
        "temperature", "samples each token from the model's distribution, sharpened or flattened by the temperature",
        {"temperature": 1.0},
    ),
    Strategy(
        "greedy", "takes the most likely token at each step: always the same text, which soon repeats itself",
        {"repetition_penalty": 1.0, "repetition_window": 64}, draws=False,
    ),
    Strategy("top-k", "samples from the k most likely tokens", {"top_k": 40, "temperature": 1.0}),
    Strategy(
        "top-p", "samples from the nucleus: the smallest set of tokens with a total probability of p",
        {"top_p": 0.9, "temperature": 1.0},
    ),
    Strategy(
        "min-p", "samples from the tokens at least p times as likely as the most likely one",
        {"min_p": 0.1, "temperature": 1.0},
    ),
    Strategy(
        "combined", "samples with all filters in turn: repetition penalty, temperature, top-k, top-p, min-p",
        {"temperature": 0.9, "top_k": 100, "top_p": 0.95, "min_p": 0.02, "repetition_penalty": 1.1,
         "repetition_window": 64},
    ),
    Strategy(
        "beam", "keeps several candidate texts at each step and returns the most likely ones, with their scores",
        {"beam": 4}, draws=False, is_search=True,
    ),
)  # fmt: skip

OPTIONS = {
    option.name: option
    for option in (
        _option("prefix", str, "", "prefix", "text to continue"),
        _option("length", int, 200, "length", "most tokens to write after the prefix", unit="tokens", minimum=1,
                maximum=LONGEST),
        _option("strategy", str, "temperature", "strategy", "how each token is chosen",
                choices=tuple(strategy.name for strategy in STRATEGIES)),
        _option("temperature", float, 1.0, "temperature",
                "divides the scores: below 1 sharpens the distribution, above 1 flattens it",
                minimum=0.01, maximum=100.0),
        _option("top_k", int, 40, "top k", "sample from the k most likely tokens",
                unit="tokens", minimum=1, maximum=1_000_000),
        _option("top_p", float, 0.9, "top p",
                "sample from the smallest set of tokens with this total probability; 1 keeps all",
                above=0.0, maximum=1.0),
        _option("min_p", float, 0.1, "min p",
                "sample from tokens at least this fraction as likely as the most likely one; 0 keeps all",
                minimum=0.0, maximum=1.0),
        _option("repetition_penalty", float, 1.1, "repetition penalty",
                "factor that lowers the scores of recent tokens; 1 has no effect", minimum=1.0, maximum=10.0),
        _option("repetition_window", int, 64, "penalty window", "recent tokens that the penalty applies to",
                unit="tokens", minimum=1, maximum=100_000),
        _option("beam", int, 4, "beam", "candidate texts that are kept at each step and returned at the end",
                unit="texts", minimum=1, maximum=64),
        _option("seed", int, 0, "seed",
                "seed of the sampling: the same seed writes the same text; without one, each text has a new seed",
                minimum=0, maximum=2**63 - 1),
        _option("stop", str, "", "stop at",
                f"token that ends the text ({LINE_END}: the end of a line); of several characters, any one ends it"),
        _option("heads", str, "", "acrostic", "initials of the verses, in order: each begins one verse"),
        _option("verse_length", int, 40, "verse length", "most tokens in a verse of an acrostic",
                unit="tokens", minimum=1, maximum=10_000),
        _option("mood", str, "", "mood", "text that the model reads first and that is not shown"),
        _option("count", int, 1, "samples", "texts to write in parallel", unit="texts", minimum=1, maximum=64),
        _option("details", bool, False, "details",
                "show each token's surprise and the distribution it was sampled from"),
        _option("copy", bool, False, "copy meter", "find the longest stretch copied from the training text"),
    )
}  # fmt: skip


def strategy_named(name: str) -> Strategy:
    OPTIONS["strategy"].check(name)
    return next(strategy for strategy in STRATEGIES if strategy.name == name)


@dataclass(frozen=True)
class Filters:
    """The filters of a distribution before a token is sampled, in the order of the fields; see ``strategies``.

    The defaults leave the distribution as it is.
    """

    repetition_penalty: float = 1.0
    repetition_window: int = 64
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def is_temperature_alone(self) -> bool:
        return self == Filters(temperature=self.temperature, repetition_window=self.repetition_window)


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen: a strategy and its parameters. A wrong value raises ``ConfigError``.

    None is the strategy's default, or no filter if the strategy has none of that kind. A given filter applies to every
    strategy that samples; ``greedy`` uses only the repetition penalty, ``beam`` no filter.
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
        """The sampling of a message, as in ``GenerationRequest``; ``beam`` without a strategy means beam search."""
        values = _given(cls, message)
        return cls(**({"strategy": "beam"} if "beam" in values else {}) | values)

    @property
    def filters(self) -> Filters:
        """The filters, with the strategy's defaults for missing ones."""
        values = {item.name: self._value(item.name) for item in fields(Filters)}
        return Filters(**{name: value for name, value in values.items() if value is not None})

    @property
    def width(self) -> int:
        """Candidate texts of a beam search; 1 for every other strategy."""
        return int(self._value("beam") or 1) if self.is_search else 1

    @property
    def is_search(self) -> bool:
        """Whether several candidate texts are kept, which come at the end."""
        return strategy_named(self.strategy).is_search

    @property
    def is_greedy(self) -> bool:
        """Whether each token is the most likely one."""
        return not self.is_search and not strategy_named(self.strategy).draws

    def _value(self, name: str) -> Any:
        given = getattr(self, name)
        return strategy_named(self.strategy).defaults.get(name) if given is None else given


@dataclass(frozen=True)
class GenerationRequest:
    """What to write. A wrong value raises ``ConfigError``.

    ``OPTIONS`` describes each field; the writer checks what depends on the model's vocabulary. ``heads`` are the
    initials of an acrostic.
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
        for name, most in (("prefix", LONGEST_TEXT), ("mood", LONGEST_TEXT), ("heads", MOST_INITIALS), ("stop", 1000)):
            if len(getattr(self, name)) > most:
                raise OPTIONS[name].refusal(f"must be at most {most:,} characters, got {len(getattr(self, name)):,}")
        tokens, given = self.count * self.length, f"{self.count:,} x {self.length:,}"
        if tokens > LONGEST:
            raise _conflict(
                "count", "{count} times {length} must be at most {limit:,} tokens, got {given}: choose fewer or "
                "shorter samples", limit=LONGEST, given=given,
            )  # fmt: skip
        if self.details and tokens > MOST_DETAILS:
            raise _conflict(
                "details", "{details} are available for at most {limit:,} tokens, got {given}: choose shorter texts or "
                "no details", limit=MOST_DETAILS, given=given,
            )  # fmt: skip
        is_beam = self.sampling.is_search
        if is_beam and self.count > 1:
            raise _conflict(
                "count", "{count} must be 1 with the strategy beam, whose width is the number of texts, got {given:,}",
                given=self.count,
            )  # fmt: skip
        if is_beam and self.heads:
            raise _conflict("heads", "{heads} need a strategy that writes token by token: choose one other than beam")
        if self.stop and self.heads:
            raise _conflict("stop", "{stop} and {heads} exclude each other: an acrostic ends with its last verse")

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> GenerationRequest:
        """The request in a message, with defaults for null and missing options. Raises ``ConfigError``."""
        return cls(sampling=Sampling.from_message(message), **_given(cls, message))

    @classmethod
    def from_texts(cls, texts: Mapping[str, str | bool | None]) -> GenerationRequest:
        """The request that a person typed, each value as text. Raises ``ConfigError``."""
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


def _conflict(field: str, template: str, **values: object) -> ConfigError:
    return refusal(OPTIONS.values(), field, template, **values)


def _check_fields(made: Sampling | GenerationRequest) -> None:
    for item in fields(made):
        value = getattr(made, item.name)
        if item.name == "sampling" or (value is None and item.default is None):
            continue
        object.__setattr__(made, item.name, OPTIONS[item.name].check(value))


def _given(cls: type[Sampling] | type[GenerationRequest], message: Mapping[str, Any]) -> dict[str, Any]:
    names = (item.name for item in fields(cls) if item.name != "sampling")
    return {name: message[name] for name in names if message.get(name) is not None}


def settings_words(request: GenerationRequest) -> str:
    """``top-p · top p 0.9 · seed 42 · 200 tokens``: the heading of a text."""
    sampling = request.sampling
    words = [] if sampling.strategy == "temperature" else [sampling.strategy]
    for name, option in OPTIONS.items():
        value = getattr(sampling, name, None)
        if name != "strategy" and value is not None:
            words.append(f"{option.label} {value if name == 'seed' else shown(value)}")
    return " · ".join([*words, counted(request.length, "token")])
