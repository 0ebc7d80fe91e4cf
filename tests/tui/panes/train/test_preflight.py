"""What is told before a start: batches, parameters, memory, time, and what speaks against it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from core.corpus.batching_plan import num_batches
from core.device import Device
from core.events import State, StateChanged
from core.runs.pace import Pace, paces, shape_of
from core.settings.run_config import RunConfig
from core.training.preflight import TextFacts, device_named, num_parameters, preflight
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import scripted_epoch
from tui.panes.train.form_facts import preflight_lines

TEXT = TextFacts(10_000, 1027)
POEMS = RunConfig(
    corpus="verse-zh", normalise="none", documents="lines", cell="lstm", num_layers=2, embedding_size=128,
    batch_size=128, num_steps=125, optimiser="adam",
)  # fmt: skip


def test_it_counts_what_the_textbook_counts() -> None:
    config = RunConfig(num_hiddens=256, batch_size=32, num_steps=35)
    facts = preflight(config, TEXT)
    assert facts.parameters == 1027 * 256 + 256 * 256 + 256 + 256 * 1027 + 1027
    assert facts.batches == num_batches(10_000, 32, 35) == 8
    assert facts.tokens_per_epoch == 8 * 32 * 35 and not facts.problem and not facts.warnings
    assert num_parameters(config.replace(cell="lstm", embedding_size=128), 1027) == (
        1027 * 128 + 4 * (128 * 256 + 256 * 256 + 256) + 256 * 1027 + 1027
    )


@pytest.mark.parametrize(("optimiser", "momentum", "copies"), [("sgd", 0, 0), ("sgd", 0.9, 1), ("adam", 0, 2)])
def test_memory_is_told_apart(optimiser: str, momentum: float, copies: int) -> None:
    facts = preflight(RunConfig(optimiser=optimiser, momentum=momentum), TEXT)
    assert facts.memory.weights == facts.memory.gradients == 4 * facts.parameters
    assert facts.memory.optimiser == copies * facts.memory.weights
    assert facts.memory.total > facts.memory.activations > 0


def test_a_text_that_is_cut_is_told_with_its_setting() -> None:
    words = "only the first 10,000 tokens are used: max tokens 0 uses the whole text"
    facts = preflight(RunConfig(max_tokens=10_000), TEXT)
    assert facts.cut == words
    assert preflight_lines(facts)[:2] == [
        "first 10,000 tokens · vocabulary 1,027", "of a longer text; max tokens 0 uses all",
    ]  # fmt: skip
    assert not preflight(RunConfig(max_tokens=0), TEXT).cut and not preflight(RunConfig(max_tokens=20_000), TEXT).cut


def test_too_short_for_a_batch() -> None:
    assert "1,121 tokens" in preflight(RunConfig(), TextFacts(500, 100)).problem
    problem = preflight(RunConfig(validation_fraction=0.5), TextFacts(1500, 100)).problem
    assert "there are 750" in problem and problem.endswith("or hold out less")


@pytest.mark.parametrize("tokens", [1, 2, 12, 19])
def test_too_short_for_the_split(tokens: int) -> None:
    config = RunConfig(validation_fraction=0.1, batch_size=1, num_steps=1)
    assert "too short for the split" in preflight(config, TextFacts(tokens, 9)).problem


def test_a_small_held_out_part_is_warned_of() -> None:
    facts = preflight(RunConfig(validation_fraction=0.01), TEXT)
    assert not facts.problem and "only 100 tokens are held out" in facts.warnings[0]


@pytest.mark.parametrize(("changes", "words"), [
    ({"sample_prefix": "分开"}, "not in the vocabulary, read as <unk>: 开"),
    ({"sample_prefix": "a b a"}, "not in the vocabulary, samples continue the beginning of the text: a,  , b"),
    ({"sample_prefix": "分 b", "tokens": "word"}, "not in the vocabulary, read as <unk>: b"),
    ({"sample_prefix": "分"}, ""), ({"sample_prefix": "a", "sample_every": 0}, ""), ({}, ""),
    ({"sample_prefix": "a", "bidirectional": True, "cell": "lstm"}, ""),
])  # fmt: skip
def test_a_sample_prefix_that_is_not_in_the_text_is_warned_of(changes: dict[str, Any], words: str) -> None:
    warnings = preflight(RunConfig(**changes), TextFacts(10_000, 2, known=["<unk>", "分"])).warnings
    assert warnings == ((f"sample prefix: {words}",) if words else ())
    assert not preflight(RunConfig(**changes), TEXT).warnings


def test_poems_are_counted_by_lines() -> None:
    facts = preflight(POEMS, TextFacts(10_093, 1697, 349, 32))
    assert facts.batches == math.ceil(349 / 128) == 3 and not facts.warnings
    assert "349 lines, the longest of 32 tokens" in preflight_lines(facts)
    split = preflight(POEMS.replace(validation_fraction=0.5), TextFacts(10_093, 1697, 349, 32))
    assert split.batches == math.ceil(175 / 128)
    cut = preflight(POEMS.replace(num_steps=20), TextFacts(10_093, 1697, 349, 32))
    assert "cut at 19" in cut.warnings[0]
    assert "all lines of the text are empty" in preflight(POEMS, TextFacts(3, 5, 0, 0)).problem
    assert "349" not in preflight(POEMS.replace(validation_fraction=0.1), TextFacts(9, 5, 3, 3)).problem


def test_memory_against_the_device() -> None:
    needed = preflight(RunConfig(), TEXT).memory.total
    small = Device("cuda:0", memory_total=needed - 1, memory_used=0)
    assert "larger than the memory of cuda:0" in preflight(RunConfig(), TEXT, small).warnings[0]
    full = Device("cpu", memory_total=10 * needed, memory_used=int(9.5 * needed))
    assert "more than is free on cpu now" in preflight(RunConfig(), TEXT, full).warnings[0]
    roomy = Device("cpu", memory_total=10 * needed)
    for device in (roomy, Device("mps"), None):
        assert not preflight(RunConfig(), TEXT, device).warnings


def test_which_device_is_meant() -> None:
    devices = [Device("cuda:0"), Device("cuda:1"), Device("cpu")]
    meant = {name: getattr(device_named(name, devices), "name", None) for name in ("auto", "cuda", "cuda:1", "cpu")}
    assert meant == {"auto": "cuda:0", "cuda": "cuda:0", "cuda:1": "cuda:1", "cpu": "cpu"}
    assert device_named("auto", []) is None


def test_time_is_told_only_where_it_was_measured(saves: Path) -> None:
    config = RunConfig()
    facts = preflight(config, TEXT)
    assert not any("an epoch," in line for line in preflight_lines(facts))
    run = made_run(saves, config, "earlier")
    assert paces(saves) == {}
    write_journal(run, StateChanged(State.TRAINING, 0), *(scripted_epoch(epoch) for epoch in range(1, 20)))
    known = paces(saves)
    assert known[shape_of(config, 1027)] == Pace(71_000.0, "earlier")
    assert shape_of(config.replace(num_hiddens=512), 1027) not in known
    assert shape_of(config.replace(seed=7, learning_rate=1.0, corpus="tale-en"), 1027) in known
    lines = preflight_lines(facts, known[shape_of(config, 1027)])
    assert lines[-2:] == ["about 0.13 s an epoch, 0:32 in all", "as measured in earlier"]


def test_damaged_runs_tell_no_pace(saves: Path) -> None:
    (saves / "no-run").mkdir()
    run = made_run(saves, RunConfig(), "broken")
    write_journal(run, scripted_epoch(1))
    run.metadata_path.write_text("{")
    assert paces(saves) == {} and paces(saves / "nowhere") == {}


def test_a_budget_is_told_in_epochs() -> None:
    facts = preflight(RunConfig(minutes=3.0), TEXT)
    pace = Pace(facts.tokens_per_epoch / 2.0, "earlier")
    assert "about 2 s an epoch, 90 in 3 min" in preflight_lines(facts, pace)
    slow = Pace(facts.tokens_per_epoch / 99.6, "earlier")
    assert "about 1:40 an epoch, 1.81 in 3 min" in preflight_lines(facts, slow)
