"""Inspections of a run in training: every view, the same numbers as without, checkpoints and other runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.inspecting import inspecting, inspection_job, stored_source, with_text
from core.engine.session import Session
from core.errors import UserError
from core.events import EpochFinished, Measured, State
from core.inspection.answers import (
    Clipping,
    GradientsView,
    InspectionAnswer,
    ParityView,
    StepView,
    TextView,
    read_inspection,
)
from core.inspection.events import Inspected, InspectionEvent
from core.inspection.options import VIEWS, InspectionOptions, LongText
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tests.core.engine.conftest import ForkedEngine
from tests.core.outcomes import curve, train_to_end
from tests.run_folders import read_journal

Tiny = Callable[..., RunConfig]
Events = Iterator[list[InspectionEvent]]

VARIANTS: tuple[dict[str, Any], ...] = (
    {"dropout": 0.2, "validation_fraction": 0.2},
    {"cell": "lstm", "num_layers": 2, "embedding_size": 6, "implementation": "torch.nn", "dropout": 0.1},
    {"cell": "gru", "bidirectional": True},
    {"cell": "gru", "documents": "lines", "cpu_path": "textbook"},
)


def done(job: Events) -> InspectionAnswer:
    """The answer in the last event of a job."""
    *_, (last,) = job
    assert isinstance(last, Inspected)
    return last.answer


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_training_that_is_looked_at_gives_the_same_numbers(
    changes: dict[str, Any], tiny: Tiny, saves: Path, whole: Callable[..., list[EpochFinished]], one_thread: None
) -> None:
    changes = {"num_epochs": 2, "max_tokens": 400, **changes}
    expected = whole(**changes)
    session = Session.create(tiny(**changes), saves)
    session.train()
    views = itertools.cycle(VIEWS)
    job, answers = inspection_job(session, InspectionOptions("step")), 0
    while session.state == State.TRAINING:
        drawn, threads = torch.get_rng_state(), torch.get_num_threads()
        for events in itertools.islice(job, 10):  # pieces of work between two batches
            assert torch.equal(torch.get_rng_state(), drawn) and torch.get_num_threads() == threads
            assert torch.is_grad_enabled()
            if isinstance(events[0], Inspected):
                assert json.dumps(events[0].to_json(), allow_nan=False)
                answers += 1
                job = inspection_job(session, InspectionOptions(next(views)))
                break
        session.advance()
    session.close()
    assert answers > 7
    assert [(event.loss, event.validation_loss, event.gradient_norm) for event in curve(session.run)] == [
        (event.loss, event.validation_loss, event.gradient_norm) for event in expected
    ]


def test_the_views_are_answered_over_the_wire(tiny: Tiny, saves: Path, forked: Callable[..., ForkedEngine]) -> None:
    engine = forked(lambda: Session.create(tiny(num_epochs=10**6), saves, "one"))
    engine.talk.ask("train")
    for view in VIEWS:
        message = engine.talk.ask("inspect", view=view)
        assert message["event"] == "done" and message["answer"]["view"] == view
        assert read_inspection(message["answer"]).view == view
    assert "at must be" in engine.talk.ask("inspect", view="step", at=10**6)["message"]
    assert engine.talk.ask("inspect", view="more")["mendable"]
    long = engine.talk.send("inspect", view="units", text="abc " * 20_000)
    while (first := engine.talk.receive()).get("id") != long:
        pass
    assert first["event"] == "progress" and 0 <= first["share"] < 1
    engine.talk.send("cancel", target=long)
    assert engine.talk.last(long)["event"] == "cancelled"
    assert engine.talk.ask("stop")["state"] == State.STOPPED


def test_gradients_through_checkpoints_and_other_runs(tiny: Tiny, saves: Path, one_thread: None) -> None:
    session = Session.create(tiny(validation_fraction=0.2), saves, "one")
    first = inspection_job(session, InspectionOptions("gradients", at=40))
    untrained = done(first)
    session.train()
    while session.state == State.TRAINING:
        session.advance()
    now, again, latest, other = (
        done(inspection_job(session, InspectionOptions("gradients", at=40, **options)))
        for options in (
            {},
            {"checkpoint": "first"},
            {"checkpoint": "latest"},
            {"run": session.run.path, "checkpoint": "best"},
        )
    )
    for view in (untrained, now, again, latest, other):
        assert isinstance(view, GradientsView) and view.run == "one"
    assert again.norms == untrained.norms and (again.checkpoint, again.epoch) == ("first", 0)
    assert again.clipping is None and now.clipping is not None
    assert latest.norms == now.norms and latest.epoch == now.epoch == 3
    mean, first_mean = (
        done(inspection_job(session, InspectionOptions("gradients", places=4, checkpoint=checkpoint)))
        for checkpoint in (None, "first")
    )
    assert isinstance(mean, GradientsView) and isinstance(first_mean, GradientsView)
    assert mean.places == first_mean.places and len(mean.places) == 4 and mean.norms != first_mean.norms
    assert now.norms != untrained.norms and other.checkpoint == "best"
    with pytest.raises(UserError, match=r"two"):
        done(inspection_job(session, InspectionOptions("gradients", run=saves / "two")))
    session.close()


def test_a_run_without_its_text_needs_one(tiny: Tiny, saves: Path, text_path: Path, one_thread: None) -> None:
    Session.create(tiny(), saves, "one").close()
    run = Run(saves / "one")
    run.corpus_path.unlink()
    text_path.unlink()
    session = Session.open(run)
    with pytest.raises(UserError, match="the text of this run is missing"):
        done(inspection_job(session, InspectionOptions("step")))
    given = done(inspection_job(session, InspectionOptions("step", text=LongText("abc"))))
    assert isinstance(given, StepView) and (given.token, given.following) == ("b", "c")
    parity = done(inspection_job(session, InspectionOptions("parity")))
    assert isinstance(parity, ParityView) and parity.output_difference < 1e-5
    session.close()
    assert with_text(stored_source(run, None)).own is None


def test_a_stored_model_is_read_without_a_lock(tiny: Tiny, saves: Path, one_thread: None) -> None:
    session = Session.create(tiny(), saves, "one")
    source = with_text(stored_source(session.run, None))
    view = done(inspecting(source, InspectionOptions("text")))
    assert isinstance(view, TextView) and view.origin == "training" and len(view.tokens) == 801
    session.close()


def test_the_journal_has_what_inspect_every_asks_for(
    tiny: Tiny, saves: Path, whole: Callable[..., list[EpochFinished]], one_thread: None
) -> None:
    shorter = {"num_epochs": 5, "max_tokens": 400}
    for changes in ({}, {"documents": "lines"}, {"bidirectional": True, "cell": "gru", "sample_every": 2}):
        session = Session.create(tiny(inspect_every=2, **shorter, **changes), saves)
        list(train_to_end(session))
        measured = [event for event in read_journal(session.run.journal_path) if isinstance(event, Measured)]
        assert [event.epoch for event in measured] == [1, 2, 4]
        now = done(inspection_job(session, InspectionOptions("gradients")))
        assert isinstance(now, GradientsView) and now.factor is not None and 0 < now.factor < 2
        assert all(event.gradient_factor and 0 <= event.saturated <= 1 for event in measured)
        assert len({event.gradient_factor for event in measured}) == 3
        session.close()
        unmeasured = whole(**shorter, **changes)
        assert [event.loss for event in curve(session.run)] == [event.loss for event in unmeasured]


def test_the_journal_says_how_often_and_by_how_much_was_clipped(tiny: Tiny, saves: Path, one_thread: None) -> None:
    for clip, clipping, expected in ((1e-3, "norm", 1.0), (1e3, "norm", 0.0), (1e-3, "value", None)):
        session = Session.create(tiny(clip=clip, clipping=clipping, learning_rate=1e-6, num_epochs=2), saves)
        list(train_to_end(session))
        last = curve(session.run)[-1]
        assert last.clipped == expected
        view = done(inspection_job(session, InspectionOptions("gradients")))
        assert isinstance(view, GradientsView)
        if expected is None:
            assert view.clipping is None and last.clip_factor is None
        elif expected:  # the weights hardly move: the mean of the factors is near that of the mean norm
            assert view.clipping is not None and view.clipping.factor == last.clip_factor
            assert last.clip_factor == pytest.approx(clip / last.gradient_norm, rel=0.1)
        else:
            assert view.clipping == Clipping(clip, 0.0, None)
        session.close()
