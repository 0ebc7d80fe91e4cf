"""Which runs of a list are shown, and in which order: ``cell:lstm ppl<3 tag:best``. For screen and command line.

A filter is words and conditions with blanks between them. All must hold; ``!`` before one negates it. A word
is searched in name, corpus, model, state, tags and note. ``key:text`` searches one of them, ``key=text`` compares it
whole, and ``key<number`` (also <=, >, >=, =, !=) compares a quantity. Quotation marks keep blanks:
``note:"first try"``. Upper and lower case are the same. No torch in this module.
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from core.errors import UserError
from core.units import moment_of

if TYPE_CHECKING:  # the parser of the command line imports this module, and no run
    from core.runs.summary import RunSummary

Filter: TypeAlias = "Callable[[RunSummary], bool]"


@dataclass(frozen=True)
class Words:
    """A text of a run, or several."""

    example: str
    of: Callable[[RunSummary], Sequence[str]]


@dataclass(frozen=True)
class Number:
    """A number of a run, None where it has none; a list begins with the ``largest`` or else the smallest."""

    example: str
    of: Callable[[RunSummary], float | None]
    largest: bool = True
    units: Mapping[str, float] | None = None


_COUNTS = {"k": 1e3, "m": 1e6, "g": 1e9}
_BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
_AGES = {"min": 60.0, "h": 3600.0, "d": 86_400.0, "y": 31_557_600.0}

TEXTS: dict[str, Words] = {
    "name": Words("name:moon", lambda run: (run.name,)),
    "corpus": Words("corpus:tale", lambda run: (run.corpus,)),
    "cell": Words("cell:lstm", lambda run: (run.cell,)),
    "model": Words("model:torch", lambda run: (run.model,)),
    "state": Words("state:finished", lambda run: (shown_state(run),)),
    "tag": Words("tag:best", lambda run: run.tags),
    "note": Words("note:try", lambda run: (run.note,)),
}
QUANTITIES: dict[str, Number] = {
    "ppl": Number("ppl<3", lambda run: run.perplexity, largest=False),
    "held": Number("held<40", lambda run: run.validation_perplexity, largest=False),
    "epochs": Number("epochs>=100", lambda run: run.epoch),
    "hidden": Number("hidden>=256", lambda run: run.num_hiddens),
    "layers": Number("layers=2", lambda run: run.num_layers),
    "weights": Number("weights<1M", lambda run: run.parameters, units=_COUNTS),
    "size": Number("size>10MB", lambda run: run.bytes, units=_BYTES),
    "age": Number("age<2d", lambda run: _age(run), largest=False, units=_AGES),
    "created": Number("created>=2026-05-01", lambda run: run.created_at or None),
}
SORT_KEYS = (*TEXTS, *QUANTITIES)

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, ":": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
_TERM = re.compile(r'(!?)(?:([^\W\d_]\w*)(?:(:)|\s*(<=|>=|!=|<|>|=)\s*))?("[^"]*"?|[^\s"]*)"?')
_NUMBER = re.compile(r"([-+]?(?:\d[\d,_]*(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)\s*([a-z]*)", re.IGNORECASE)
# As an input method for Chinese writes them.
_WIDE = str.maketrans("：＜＞＝！＂“”", ':<>=!"""')


def parse_filter(text: str) -> Filter:
    """Whether a run is shown. Raises UserError with what would be right. An empty filter shows every run."""
    text, place = text.translate(_WIDE), 0
    terms: list[tuple[Filter, bool]] = []
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        match = _TERM.match(text, place)
        assert match is not None and match.end() > place  # a term is at least one character that is not blank
        place = match.end()
        negated, key, colon, sign, value = match.groups()
        if key or value:
            term = _condition(key, colon or sign, value.strip('"')) if key else _word(value.strip('"'))
            terms.append((term, not negated))
    return lambda run: all(term(run) is wanted for term, wanted in terms)


def sorted_runs(runs: Sequence[RunSummary], key: str = "created", reverse: bool = False) -> list[RunSummary]:
    """The runs in the order of a key: texts from A to Z, the best perplexity first, else the largest first.

    Runs that lack the figure are last, also in ``reverse``; equal ones keep their order. Raises UserError.
    """
    if key in TEXTS:
        of = TEXTS[key].of
        found = [(run, " ".join(of(run)).casefold()) for run in runs]
        known = sorted((pair for pair in found if pair[1]), key=lambda pair: pair[1], reverse=reverse)
        return [run for run, _ in known] + [run for run, text in found if not text]
    if key not in QUANTITIES:
        raise UserError(f"there is no column {key!r} to sort by, only {', '.join(SORT_KEYS)}")
    quantity = QUANTITIES[key]
    numbers = [(run, quantity.of(run)) for run in runs]
    there = [(run, number) for run, number in numbers if number is not None]
    there.sort(key=lambda pair: pair[1], reverse=quantity.largest != reverse)
    return [run for run, _ in there] + [run for run, number in numbers if number is None]


def shown_state(run: RunSummary) -> str:
    """The state of a run in a word; ``damaged``, not ``failed``, for a folder that cannot be read."""
    return "damaged" if run.problem else run.state


def _age(run: RunSummary) -> float | None:
    return time.time() - run.created_at if run.created_at else None


def _word(word: str) -> Filter:
    wanted = word.casefold()
    return lambda run: any(wanted in text.casefold() for item in TEXTS.values() for text in item.of(run))


def _condition(key: str, sign: str, value: str) -> Filter:
    """The filter of ``key``, ``sign``, ``value``. Raises UserError."""
    name = key.casefold().removesuffix("s") if key.casefold() == "tags" else key.casefold()
    if name in TEXTS:
        return _text_condition(name, sign, value.casefold())
    if name in QUANTITIES:
        return _comparison(name, sign, value)
    texts = ", ".join(TEXTS)
    numbers = ", ".join(QUANTITIES)
    raise UserError(f"there is no {key!r} to filter by: a text of {texts} as in cell:lstm, or {numbers} as in ppl<3")


def _text_condition(name: str, sign: str, wanted: str) -> Filter:
    item = TEXTS[name]
    if sign not in (":", "=", "!="):
        raise UserError(
            f"{name} is a text: write {item.example}, or {item.example.replace(':', '=')} for the whole text"
        )
    if not wanted and sign == ":":
        raise UserError(f"{name}: needs a text, as in {item.example}")
    if sign == ":":
        return lambda run: any(wanted in text.casefold() for text in item.of(run))
    return lambda run: (wanted in [text.casefold() for text in item.of(run)]) is (sign == "=")


def _comparison(name: str, sign: str, value: str) -> Filter:
    item, compare = QUANTITIES[name], _OPERATORS[sign]
    if name == "created":
        wanted = moment.timestamp() if (moment := moment_of(value)) is not None else None
    else:
        wanted = _number(value, item.units or {})
    if wanted is None:
        what = "a date" if name == "created" else "a number"
        units = f" (units: {', '.join(item.units)})" if item.units else ""
        raise UserError(f"{name} needs {what}{units}, as in {item.example}, got {value[:40]!r}")

    def holds(run: RunSummary) -> bool:
        number = item.of(run)
        return number is not None and compare(number, wanted)

    return holds


def _number(text: str, units: Mapping[str, float]) -> float | None:
    match = _NUMBER.fullmatch(text)
    unit = match[2].casefold() if match else ""
    if match is None or (unit and unit not in units):
        return None
    return float(match[1].replace(",", "").replace("_", "")) * units.get(unit, 1.0)
