"""Runs compared: a curve that follows its journal has what the journal says, and so have the figures and settings."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from core.events import Event, Measured, RunResumed
from core.runs.comparison import (
    JOURNAL_COLUMNS,
    RunCurve,
    differing_settings,
    figures,
    seconds_to,
    smoothed,
)
from core.runs.metrics import AXES, METRICS
from core.scales import LARGEST
from core.settings.run_config import RunConfig
from tests.core.export.journalled import epoch
from tests.run_folders import epochs, read_journal


def write(folder: Path, *events: Event) -> None:
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        for event in events:
            file.write(json.dumps({**event.to_json(), "time": 1.7e9 + getattr(event, "epoch", 0)}) + "\n")


def read_all(curve: RunCurve, at_most: int = 1 << 22) -> RunCurve:
    while curve.read(at_most):
        pass
    return curve


def test_every_quantity_and_axis_can_be_drawn(tmp_path: Path) -> None:
    measured = [Measured(number, 0.9, 0.25) for number in (2, 4)]
    made = [epoch(number, validation_perplexity=9.0, validation_loss=math.log(9), clipped=0.5, clip_factor=0.7)
            for number in range(1, 5)]  # fmt: skip
    write(tmp_path, *made[:2], measured[0], *made[2:], measured[1])
    curve = read_all(RunCurve(tmp_path))
    for metric in METRICS:
        assert curve.has(metric)
        for axis in AXES:
            x, y = curve.points(metric, axis)
            assert x.size == y.size == (2 if metric in ("gradient_factor", "saturated") else 4), (metric, axis)
    assert curve.points("bits", "training")[0].tolist() == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert curve.points("bits", "epoch")[1].tolist() == pytest.approx([6 / n / math.log(2) for n in range(1, 5)])
    assert curve.points("loss", "tokens")[0].tolist() == pytest.approx(np.cumsum([250.25, 250.5, 250.75, 251]))
    assert curve.points("gradient_factor", "step")[0].tolist() == [16, 32]
    assert not any(RunCurve(tmp_path / "none").has(name) for name in (*METRICS, "nonsense"))


def test_points_are_kept_once_and_stay_when_a_resume_undoes_them(tmp_path: Path) -> None:
    write(tmp_path, *[epoch(number) for number in range(1, 10)])
    curve = read_all(RunCurve(tmp_path))
    x, y = curve.points("perplexity", "epoch")
    column = curve.column("perplexity")
    assert column is not None and np.shares_memory(y, column)
    before = x.tolist(), y.tolist()
    write(tmp_path, RunResumed(4, 0), *[epoch(number, loss=1.0, perplexity=2.0) for number in range(5, 8)])
    assert read_all(curve).points("perplexity", "epoch")[0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert (x.tolist(), y.tolist()) == before


def test_only_new_lines_are_read_and_a_torn_one_later(tmp_path: Path) -> None:
    curve = RunCurve(tmp_path)
    assert not curve.read() and curve.rows == 0 and curve.column("epoch") is None
    write(tmp_path, epoch(1))
    assert curve.read() and curve.rows == 1
    version = curve.version
    assert not curve.read() and curve.version == version
    line = json.dumps({**epoch(2).to_json(), "time": 1.7e9}).encode() + b"\n"
    with (tmp_path / "metrics.jsonl").open("ab", buffering=0) as file:
        file.write(line[:30])
        curve.read()
        assert curve.rows == 1
        file.write(line[30:])
    curve.read()
    assert curve.rows == 2 and curve.version > version


def test_a_curve_that_follows_is_the_curve_that_is_read_at_once(tmp_path: Path, trials: int) -> None:
    """Resumes undo epochs, figures appear late, and the journal is read in pieces cut anywhere."""
    for trial in range(10 * trials):
        chance = random.Random(trial)
        folder = tmp_path / str(trial)
        folder.mkdir()
        curve, number, seen = RunCurve(folder), 0, 0
        for _ in range(chance.randrange(40)):
            events: list[Event] = []
            for _ in range(chance.randrange(6)):
                if number and chance.random() < 0.15:
                    number = chance.randrange(number)
                    events.append(RunResumed(number, 0))
                else:
                    number += 1
                    held_out = chance.uniform(2, 9) if chance.random() < 0.5 else None
                    events.append(epoch(number, validation_perplexity=held_out, loss=chance.uniform(0, 5)))
            write(folder, *events)
            if chance.random() < 0.5:
                read_all(curve, chance.choice((17, 200, 5000)))
                seen += 1
        read_all(curve)
        expected = epochs(read_journal(folder / "metrics.jsonl")) if (folder / "metrics.jsonl").exists() else []
        assert curve.rows == len(expected), trial
        for name in JOURNAL_COLUMNS[:-1]:
            values = [math.nan if getattr(event, name) is None else float(getattr(event, name)) for event in expected]
            column = curve.column(name)
            if column is None:
                assert all(map(math.isnan, values)), (trial, name)
            else:
                assert column.tolist() == pytest.approx(values, rel=1e-6, nan_ok=True), (trial, name)


def test_a_journal_that_begins_again_replaces_the_curve(tmp_path: Path) -> None:
    write(tmp_path, *(epoch(number) for number in range(1, 9)))
    curve = read_all(RunCurve(tmp_path))
    (tmp_path / "metrics.jsonl").unlink()
    write(tmp_path, epoch(1, perplexity=5.0), epoch(2, perplexity=4.0))
    read_all(curve)
    assert curve.points("perplexity", "epoch")[1].tolist() == [5.0, 4.0]


def test_figures_are_those_of_the_held_out_text_if_there_is_one(tmp_path: Path) -> None:
    held_out = {1: 50.0, 2: 20.0, 3: 30.0}
    write(tmp_path, *(epoch(number, validation_perplexity=value) for number, value in held_out.items()))
    curve = read_all(RunCurve(tmp_path))
    found = figures(curve)
    assert (found.on, found.best, found.best_epoch, found.last, found.epochs) == ("held out", 20.0, 2, 30.0, 3)
    assert found.seconds == pytest.approx(0.75)
    assert seconds_to(curve, 50.0) == pytest.approx(0.25) and seconds_to(curve, 25.0) == pytest.approx(0.5)
    assert seconds_to(curve, 19.0) is None
    empty = RunCurve(tmp_path / "none")
    assert figures(empty).best is None and figures(empty).epochs == 0 and seconds_to(empty, 2.0) is None


def test_perplexities_beyond_floating_point_are_infinite_and_drawn_beside_finite_ones_alone(tmp_path: Path) -> None:
    write(tmp_path, epoch(1), epoch(2, perplexity=math.inf, loss=800.0))
    curve = read_all(RunCurve(tmp_path))
    assert figures(curve).last == math.inf and figures(curve).best_epoch == 1
    assert curve.points("perplexity", "epoch")[1].tolist() == [epoch(1).perplexity, LARGEST]
    assert curve.points("loss", "epoch")[1].tolist() == [6, 800]
    write(tmp_path, epoch(1, perplexity=math.inf, loss=800.0))
    assert not read_all(curve).points("perplexity", "epoch")[0].size


def test_only_differing_settings_are_listed() -> None:
    one = RunConfig()
    found = differing_settings([one, one.replace(cell="lstm", num_hiddens=512), None])
    assert {setting.name: words for setting, words in found} == {
        "cell": ["rnn", "lstm", "–"], "activation": ["tanh", "–", "–"], "num_hiddens": ["256", "512", "–"],
    }  # fmt: skip
    assert differing_settings([one, dataclasses.replace(one), None]) == []


def test_smoothing_is_the_average_of_the_points_before(trials: int) -> None:
    """Against the sum that the definition says, at unequal distances."""
    for trial in range(20 * trials):
        chance = np.random.default_rng(trial)
        size, weight = int(chance.integers(2, 300)), float(chance.uniform(0.01, 0.999))
        x, y = np.cumsum(chance.choice([0.0, 1.0, 1.0, 7.5], size)), chance.normal(size=size)
        gaps = np.diff(x)
        if not (gaps > 0).any():
            continue
        usual = np.median(gaps[gaps > 0])
        weights = weight ** np.maximum((x[:, None] - x[None, :]) / usual, 0.0) * np.tri(size)
        expected = (weights @ y) / weights.sum(axis=1)
        assert smoothed(x, y, weight) == pytest.approx(expected, abs=1e-9), trial
        with_infinite = smoothed(np.insert(x, 1, x[1]), np.insert(y, 1, LARGEST), weight)
        assert with_infinite[1] == LARGEST
        assert np.delete(with_infinite, 1) == pytest.approx(expected, abs=1e-9), "the others as without it"
