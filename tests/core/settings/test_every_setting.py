"""Any settings within the ranges train one step or are refused in a sentence; any outside are refused in a sentence."""

from __future__ import annotations

import decimal
import fractions
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from core.errors import ConfigError, UserError
from core.events import State
from core.settings.run_config import RunConfig, Setting, setting, settings

pytestmark = pytest.mark.usefixtures("one_thread")

# What would only fill the memory, or the afternoon, is drawn small; everything else up to its very ends.
SMALL: dict[str, st.SearchStrategy[Any]] = {
    "num_hiddens": st.sampled_from((1, 2, 3, 8)),
    "num_layers": st.sampled_from((1, 2, 8)),
    "embedding_size": st.sampled_from((0, 1, 2, 3, 4, 8, 16, 16_384)),
    "batch_size": st.sampled_from((1, 2, 3, 7, 65_536)),
    "num_steps": st.sampled_from((1, 2, 3, 5, 10_000)),
    "threads": st.sampled_from((0, 1, 2)),
    "sample_length": st.sampled_from((1, 2, 20)),
}
# Settings whose right values are texts: mostly such as mean something, sometimes anything at all.
ANY_TEXT = st.text(st.characters(codec=None), max_size=8)
TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "device": st.sampled_from(("auto", "cpu", "cpu", "cpu", "cuda", "mps", "cpu:0", "meta")) | ANY_TEXT,
    "sample_prefix": st.sampled_from(("", "a", "ab", "龘", "\x00", "\ud800", "<unk>", "<start>")) | ANY_TEXT,
}
FEW = (0, 1, 2)
"""Workers: each is a process of 150 MB, and a session starts them all."""
CORPORA = {
    "letters": "the cat sat on the mat and the dog lay on the log " * 8,
    "poems": "春眠不覺曉\n處處聞啼鳥\n\n夜來風雨聲\n花落知多少\n" * 4,
    "one": "a",
    "two": "ab",
    "blanks": " \n \n\t\n",
    "empty": "",
    "same": "a" * 300,
}


def ends_of(item: Setting) -> list[Any]:
    """The ends of a range, and the values next to them that are inside."""
    low = item.minimum if item.minimum is not None else after(float(item.above or 0))
    high = item.maximum if item.maximum is not None else math.nextafter(float(item.below or 0), -math.inf)
    if item.kind is int:
        return [int(low), int(low) + 1, int(high) - 1, int(high)]
    return [float(low), after(low), math.nextafter(high, -math.inf), float(high)]


def after(low: float) -> float:
    """The next number; after zero, the smallest that is no denormal one, which would count as zero."""
    return math.nextafter(low, math.inf) if low else sys.float_info.min


def inside(item: Setting) -> st.SearchStrategy[Any]:
    """The permitted values of a setting, its ends and its default often among them."""
    if item.name in SMALL or item.name in TEXTS:
        return {**SMALL, **TEXTS}[item.name]
    if item.name == "workers":
        return st.sampled_from(FEW)
    if item.choices:
        return st.sampled_from(item.choices)
    if item.kind is bool:
        return st.booleans()
    ends = ends_of(item)
    between = (
        st.integers(ends[0], ends[-1]) if item.kind is int else st.floats(ends[0], ends[-1], allow_subnormal=False)
    )
    return st.sampled_from([item.default, *ends]) | between


def within(item: Setting, value: Any) -> bool:
    """Whether a value is permitted: said once more, in other words than the program's."""
    if item.kind is bool:
        return isinstance(value, bool)
    if item.kind is str:
        return isinstance(value, str) and (not item.choices or value in item.choices)
    if isinstance(value, bool) or not isinstance(value, int if item.kind is int else (int, float)):
        return False
    ends = ends_of(item)
    return bool(ends[0] <= value <= ends[-1])


NAMES = [item.name for item in settings() if item.name not in ("corpus", *SMALL)]
small_configurations = st.fixed_dictionaries(
    {name: inside(setting(name)) for name in SMALL}, optional={name: inside(setting(name)) for name in NAMES}
)
# Reaches a held-out perplexity of some 10 ** 50: finite, written, and to be read again.
VAST = {
    "num_hiddens": 1, "num_layers": 1, "embedding_size": 0, "batch_size": 7, "num_steps": 5, "normalise": "none",
    "optimiser": "adam", "validation_fraction": 0.5, "sample_length": 1, "threads": 1,
}  # fmt: skip
FOREIGN = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e308, -0.0, True, False, None, "", b"1", 1j]),
    st.sampled_from([sys.maxsize, 2**63, decimal.Decimal(1), fractions.Fraction(1, 2), [1], (1,), {"a": 1}, object()]),
    st.integers(),
    st.floats(allow_subnormal=False),
    st.text(max_size=300),
)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The texts above, as files."""
    folder = tmp_path_factory.mktemp("texts")
    for name, text in CORPORA.items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    return {name: folder / f"{name}.txt" for name in CORPORA}


def thorough(examples: int) -> Callable[[Any], Any]:
    """So many examples, however long they take."""
    return hypothesis.settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


def told(error: UserError) -> str:
    """A refusal: one sentence on one line."""
    sentence = str(error)
    assert sentence and "\n" not in sentence and len(sentence) < 600 and "Traceback" not in sentence
    return sentence


def test_any_settings_train_a_step_or_are_refused(corpora: dict[str, Path], trials: int) -> None:
    from core.training.trainer import Trainer

    ends = {"trained": 0, "refused": 0, "diverged": 0}

    @thorough(150 * trials)
    @given(small_configurations, st.sampled_from([*CORPORA, "letters", "letters", "poems"]))
    def one(changes: dict[str, Any], corpus: str) -> None:
        try:
            config = RunConfig(**{**changes, "corpus": str(corpora[corpus])})
            trainer = Trainer(config)
        except UserError as error:
            told(error)
            ends["refused"] += 1
            return
        events = trainer.advance()
        progress = trainer.progress()
        is_finite = math.isfinite(progress.loss) and trainer.is_finite()
        # What is no number any more is told at the end of the epoch at the latest.
        while not is_finite and not trainer.diverged and trainer.batch:
            events = trainer.advance()
        assert is_finite or trainer.diverged, (config, events)
        ends["diverged" if trainer.diverged else "trained"] += 1
        json.dumps([event.to_json() for event in events], allow_nan=False)

    one()
    assert ends["trained"] > sum(ends.values()) // 8, f"most were refused, which proves little: {ends}"


def test_any_settings_make_a_run_or_leave_nothing(corpora: dict[str, Path], tmp_path: Path, trials: int) -> None:
    from core.engine.session import Session

    saves = tmp_path / "saves"

    @thorough(40 * trials)
    @given(small_configurations, st.sampled_from(["letters", "poems", "two"]))
    @example(VAST, "poems")
    def one(changes: dict[str, Any], corpus: str) -> None:
        before = len(list(saves.glob("*")))
        try:
            config = RunConfig(**{**changes, "corpus": str(corpora[corpus])})
            session = Session.create(config, saves)
        except UserError as error:
            told(error)
            assert len(list(saves.glob("*"))) == before, "a refused run leaves no folder"
            return
        try:
            session.step()
            assert session.state in (State.PAUSED, State.FINISHED, State.DIVERGED), session.message
        finally:
            session.close()
        run = Session.open(session.run)
        assert run.metadata.config == config.replace(num_epochs=run.metadata.config.num_epochs)
        run.close()

    one()


def test_anything_else_is_refused_by_name_and_range(trials: int) -> None:
    @thorough(1000 * trials)
    @given(st.sampled_from([item.name for item in settings()]), FOREIGN)
    @example("learning_rate", 10**400)
    @example("num_epochs", True)
    @example("dropout", -0.0)
    def one(name: str, value: Any) -> None:
        item = setting(name)
        try:
            found = getattr(RunConfig(**{name: value}), name)
        except ConfigError as error:
            sentence = told(error)
            if within(item, value):
                assert error.field in ("tied", "documents", "corpus", "workers"), (name, value, sentence)
                return
            assert error.field == name
            assert sentence.startswith(f"{name} must be {item.range_text()}, got "), sentence
        else:
            assert within(item, value), (name, value)
            assert type(found) is item.kind and found == value
        if value is not None:
            with_text(name, str(value))

    one()


def with_text(name: str, text: str) -> None:
    """What is typed is read, or refused in a sentence that names the setting."""
    try:
        found = getattr(RunConfig().with_texts({name: text}), name)
    except ConfigError as error:
        assert error.field in (name, "tied", "documents") and name in told(error)
    else:
        assert within(setting(name), found)


@hypothesis.settings(deadline=None)
@given(st.text(max_size=400), FOREIGN)
def test_unknown_settings_are_refused(name: str, value: Any) -> None:
    if name in {item.name for item in settings()}:
        return
    for make in (lambda: RunConfig.from_dict({name: value}), lambda: RunConfig().replace(**{name: value})):
        with pytest.raises(ConfigError, match="there is no setting ") as caught:
            make()
        assert "\n" not in str(caught.value)


@hypothesis.settings(deadline=None, max_examples=200)
@given(ANY_TEXT)
@example("\x00")
@example("\ud800")
@example("/")
@example(".")
@example("a" * 5000)
@example("https://example.org/a.txt")
def test_any_name_of_a_text_is_read_or_refused(name: str) -> None:
    from core.training.parts import corpus_of

    try:
        corpus_of(RunConfig(corpus=name))
    except UserError as error:
        assert len(told(error)) < 600
