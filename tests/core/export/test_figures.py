"""Figures of runs for other tools: pandas and TensorBoard's own reader give back what the journal has."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from core.errors import RunError, UserError
from core.events import EpochFinished, Measured, RunResumed, SampleWritten
from core.export.curves import (
    Curve,
    distinct_names,
    read_run,
    read_samples,
    require_rows,
    with_distinct_names,
)  # fmt: skip
from core.export.event_file import EventFileError, Scalars, event_file, scalars_of
from core.export.following import FollowedFile
from core.export.reading import read_curves
from core.export.table import csv_text, samples_text
from core.export.tensorboard import event_path, events_of
from core.runs.comparison import JOURNAL_COLUMNS, MEASURED_COLUMNS, smoothed
from core.runs.journal import JournalReader
from tests.core.export.journalled import MakeRun, epoch
from tests.core.export.readers import event_log, table_of
from tests.waiting import wait_for


def test_pandas_reads_every_figure_of_the_journal(make_run: MakeRun) -> None:
    one, two = make_run("one"), make_run('=a,"b" 月', [epoch(1), epoch(2), RunResumed(1, 0), epoch(2, loss=9.0)])
    table = table_of(csv_text([read_run(one), read_run(two)]))
    assert list(table.columns) == ["run", *JOURNAL_COLUMNS]
    assert list(table.run) == ["one"] * 3 + ['=a,"b" 月'] * 2
    assert table.epoch.dtype == table.step.dtype == np.int64
    journalled = [(event, time) for event, time in JournalReader(one.journal_path).poll() if event.kind == "epoch"]
    for row, (event, time) in zip(table.to_dict("records"), journalled, strict=False):
        for name, value in {**event.__dict__, "time": time}.items():
            assert row[name] == value or (value is None and math.isnan(row[name])), (name, value)
    assert table.perplexity[2] == math.inf
    assert list(table.loss[3:]) == [6.0, 9.0], "the epoch that the resume has undone is not in it"


def test_what_was_measured_at_some_epochs_is_exported(make_run: MakeRun) -> None:
    run = make_run("one", [epoch(1), epoch(2), Measured(2, 0.75, 0.125), epoch(3), Measured(3, None, 0.25)])
    curve = read_run(run)
    table = table_of(csv_text([curve]))
    assert list(table.columns) == ["run", *JOURNAL_COLUMNS, *MEASURED_COLUMNS]
    assert list(table.gradient_factor[1:2]) == [0.75] and table.gradient_factor.isna().tolist() == [True, False, True]
    assert [(event.step, event.values["saturated"]) for event in scalars_of(events_of(curve))
            if "saturated" in event.values] == [(16, 0.125), (24, 0.25)]  # fmt: skip


def test_tensorboard_reads_the_same_scalars(make_run: MakeRun, tmp_path: Path) -> None:
    full = epoch(2, **{field.name: 0.5 + number for number, field in enumerate(fields(EpochFinished)[2:])})
    curve = read_run(make_run("one", [epoch(1), full, Measured(2, 0.75, 0.125)]))
    path = event_path(tmp_path / "logs", curve)
    path.parent.mkdir(parents=True)
    path.write_bytes(events_of(curve))
    log = event_log(path.parent)
    tags = {field.name for kind in (EpochFinished, Measured) for field in fields(kind)} - {"step"}
    assert sorted(log.Tags()["scalars"]) == sorted(tags), "every figure of the journal"
    for tag in tags:
        there = ~np.isnan(curve.columns[tag])
        found = log.Scalars(tag)
        assert [event.step for event in found] == curve.columns["step"][there].tolist()
        assert [event.wall_time for event in found] == curve.columns["time"][there].tolist()
        assert [event.value for event in found] == np.float32(curve.columns[tag][there]).tolist(), tag
    assert log.FirstEventTimestamp() == curve.columns["time"][0]


def test_event_files_of_other_programs_are_read(tmp_path: Path) -> None:
    """TensorBoard's own writer puts a tensor where ours puts a number."""
    from tensorboard.summary import Writer  # here: see readers.py

    writer = Writer(str(tmp_path))
    for step in (0, 1, 300):
        writer.add_scalar("val/loss", 1.5 * step, step, wall_time=1e9 + step, description="a loss")
        writer.add_scalar("lr", 0.25, step, wall_time=1e9 + step)
    writer.close()
    (curve,) = read_curves(tmp_path)
    assert curve.column("val/loss").tolist() == curve.column("validation_loss").tolist() == [0.0, 1.5, 450.0]
    assert curve.column("step").tolist() == [0, 1, 300] and curve.column("time").tolist() == [1e9, 1e9 + 1, 1e9 + 300]
    assert curve.column("learning_rate").tolist() == [0.25] * 3


def test_a_damaged_folder_in_one_that_has_event_files_is_left_out(tmp_path: Path) -> None:
    whole = event_file([Scalars(1, 1.0, {"loss": 2.0})], 1.0)
    (tmp_path / "events.out.tfevents.1").write_bytes(whole)
    for name, content in (("damaged", b"damaged"), ("whole", whole)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.out.tfevents.2").write_bytes(content)
    assert [curve.name for curve in read_curves(tmp_path)] == [tmp_path.name, "whole"]
    (tmp_path / "events.out.tfevents.1").unlink()
    with pytest.raises(UserError, match="damaged/events"):
        read_curves(tmp_path)


def test_a_folder_that_is_named_as_an_event_file_is_a_folder(tmp_path: Path) -> None:
    whole = event_file([Scalars(1, 1.0, {"loss": 2.0})], 1.0)
    for folder in ("events.out.tfevents.a", "events.out.tfevents.b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "events.out.tfevents.a" / "events.out.tfevents.1").write_bytes(whole)
    assert [curve.name for curve in read_curves(tmp_path)] == ["events.out.tfevents.a"]
    (tmp_path / "events.out.tfevents.1").write_bytes(whole)
    assert [curve.name for curve in read_curves(tmp_path)] == [tmp_path.name, "events.out.tfevents.a"]


def test_a_folder_of_logs_has_a_curve_for_each_folder_in_it(make_run: MakeRun, tmp_path: Path) -> None:
    """As it is exported; and one that is followed grows with its files."""
    logs = tmp_path / "logs"
    before = [read_run(make_run(name)) for name in ("甲", "one")]
    for curve in before:
        event_path(logs, curve).parent.mkdir(parents=True)
        event_path(logs, curve).write_bytes(events_of(curve))
    (logs / "notes").mkdir()
    found = read_curves(logs)
    assert {curve.name for curve in found} == {"甲", "one"}
    for curve in before:
        (after,) = [other for other in found if other.name == curve.name]
        np.testing.assert_allclose(after.column("perplexity"), curve.column("perplexity"), rtol=1e-6)
    followed = FollowedFile(logs)
    followed.read()
    rows = {curve.name: curve.rows for curve in followed.curves}
    more = event_file([Scalars(10**6, 1e9, {"loss": 1.0})], 1e9)
    with event_path(logs, before[1]).open("ab") as file:
        file.write(more[len(event_file([], 1e9)) :])
    wait_for(lambda: (followed.read(), {curve.name: curve.rows for curve in followed.curves} != rows)[1])
    assert {curve.name: curve.rows for curve in followed.curves} == {**rows, "one": rows["one"] + 1}


def test_an_event_file_is_read_as_it_was_written_and_every_cut_is_noticed() -> None:
    events = [
        Scalars(-1, 2.5, {"a": 1.0, "月": -0.0}),
        Scalars(1 << 40, 1e9, {"a": math.inf}),
        Scalars(2, 0, {"b": 1e99}),
    ]
    data = event_file(events, 1.0)
    assert list(scalars_of(data)) == [*events[:2], Scalars(2, 0, {"b": math.inf})]
    ends = {len(event_file(events[:count], 1.0)) for count in range(4)}
    for size in set(range(1, len(data))) - ends:
        with pytest.raises(EventFileError) as cut:
            list(scalars_of(data[:size]))
        assert cut.value.is_cut, size
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 0x10
        with pytest.raises(EventFileError):
            list(scalars_of(bytes(flipped)))


def test_a_csv_of_ours_and_of_others_is_read(make_run: MakeRun, tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    curves = [read_run(make_run("one")), read_run(make_run("2"))]
    path.write_text(csv_text(curves))
    found = read_curves(path)
    assert [curve.name for curve in found] == ["one", "2"]
    for before, after in zip(curves, found, strict=True):
        known = {name for name, column in before.columns.items() if not np.isnan(column).all()}
        assert set(after.columns) == known
        for name in known:
            np.testing.assert_array_equal(after.columns[name], before.columns[name], name)
    for text, axis, metric, points in (
        ("Wall time,Step,Value\n1.5,10,3\n2.5,20,4\n", "step", "Value", ([10, 20], [3, 4])),
        ("\ufeffiter;train loss;note\n1;2,5;x\n2;1;y\n", "step", "train loss", None),  # a comma is no decimal point
        ("iter;train loss;note\n1;2.5;x\n2;;y\n3;1e-3;", "step", "loss", ([1, 3], [2.5, 0.001])),
        ("loss\n3\nnan\n1\n", "step", "loss", ([1, 3], [3, 1])),
        ("epoch\tval_loss\n2\t1\n1\t4\n3", "epoch", "validation_loss", ([1, 2], [4, 1])),  # a last row that is torn
    ):
        path.write_text(text)
        (curve,) = read_curves(path)
        if points is None:
            with pytest.raises(UserError, match="has no train loss; it has iter, step"):
                curve.required(metric)
        else:
            assert [column.tolist() for column in curve.points(metric, axis)] == list(points), text


def test_samples_are_a_text(make_run: MakeRun) -> None:
    run = make_run()
    assert read_samples(run) == [SampleWritten(1, "月", "亮\nab")]
    assert samples_text([("one", read_samples(run))]) == "== one, epoch 1 ==\n月亮\nab\n"


def test_runs_without_epochs_are_left_out_and_said(make_run: MakeRun) -> None:
    full, empty = read_run(make_run("full")), read_run(make_run("empty", []))
    assert require_rows([full, empty]) == ([full], ["empty has no epochs yet: it is left out"])
    with pytest.raises(UserError, match="empty has no epochs yet: train it first"):
        require_rows([empty])
    missing = make_run("missing", [])
    missing.journal_path.unlink()
    assert read_run(missing).rows == 0
    missing.journal_path.mkdir()
    with pytest.raises(RunError, match=r"metrics.jsonl cannot be read: Is a directory"):
        read_run(missing)


def test_a_run_that_was_measured_keeps_its_name(make_run: MakeRun) -> None:
    curve = read_run(make_run("one", [epoch(1), Measured(1, 0.5, 0.25)]))
    assert curve.name == "one" and curve.required("saturated").tolist() == [0.25]


def test_names_are_with_distinct_names(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run("one", [], tmp_path / place) for place in ("a/saves", "b/saves", "c")] + [make_run("two", [])]
    assert distinct_names(runs) == ["a/saves/one", "b/saves/one", "c/one", "two"]
    curves = [Curve("loss", {}, tmp_path / place / "loss.csv") for place in ("a", "b", "b")]
    assert [curve.name for curve in with_distinct_names(curves)] == ["loss", "b/loss", "loss (2)"]


def test_figures_that_follow_from_others(make_run: MakeRun) -> None:
    curve = read_run(make_run())
    assert curve.column("bits").tolist() == pytest.approx([6 / math.log(2), 3 / math.log(2), 800 / math.log(2)])
    assert curve.column("tokens").tolist() == pytest.approx([250.25, 500.75, 751.5])
    assert curve.column("training").tolist() == [0.25, 0.5, 0.75]
    with pytest.raises(UserError, match=r"one has no accuracy; it has epoch, step, .*, tokens"):
        curve.required("accuracy")


def test_smoothing_weighs_by_distance() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 3.0, 5.0, 1000.0]), np.array([0.0, 8.0, 0.0, 4.0, 6.0, 6.0])
    assert smoothed(x, y, 0.0) is y
    expected = [0.0, 8 / 1.5, 4 / 1.75, 6 / 1.875, 7.5 / 1.46875, 6.0]
    assert smoothed(x, y, 0.5).tolist() == pytest.approx(expected)
    assert smoothed(x[:1], y[:1], 0.9).tolist() == [0.0]
    assert smoothed(np.zeros(3), np.array([1.0, 2.0, 3.0]), 0.9).tolist() == [1.0, 2.0, 3.0]
    even, last = smoothed(np.arange(50.0), np.arange(50.0), 0.9), 0.0
    for step in range(50):  # TensorBoard's, with its correction of the first points
        last = last * 0.9 + 0.1 * step
        assert even[step] == pytest.approx(last / (1 - 0.9 ** (step + 1)))
