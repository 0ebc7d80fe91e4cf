"""A search: Optuna's trials, told of runs that are only pretended here; and two processes of which one is killed."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from core.errors import UserError
from core.events import EpochFinished, RunResumed, State
from core.runs.run import Run
from core.sweep.driver import Taken
from core.sweep.folder import GIVEN_UP, PRUNED, Outcome, SweepFolder
from core.sweep.results import Results, is_done
from core.sweep.sweep import PlannedRun, Sweep
from tests.core.cli.commands import REPOSITORY, SMALL
from tests.core.processes import kill_training, started
from tests.run_folders import epochs, read_journal
from tests.waiting import wait_for

if TYPE_CHECKING:
    from core.sweep.search import SearchPlan

RATE = "learning_rate=0.01..100:log"
Swept = Callable[..., Sweep]


def epoch_with(number: int, loss: float) -> EpochFinished:
    return EpochFinished(number, number, math.exp(loss), None, loss, 1.0, 0.1, 1.0, 1.0)


def search_plan(sweep: Sweep, folder: SweepFolder, url: str = "") -> SearchPlan:
    """A search; Optuna is imported here and not by every process of the suite."""
    from core.sweep.search import SearchPlan

    return SearchPlan(sweep, folder, url)


def begun(saves: Path, sweep: Sweep) -> SearchPlan:
    folder = SweepFolder(saves, sweep.name)
    return search_plan(folder.begin(sweep), folder)


def loss_of(planned: PlannedRun) -> float:
    """A valley with its bottom at a learning rate of 3; the GRU is a little better."""
    return abs(math.log(float(planned.values["learning_rate"]) / 3)) + 0.1 * (planned.values.get("cell") == "rnn") + 0.5


def pretend(plan: SearchPlan, at_most: int = 1000, states: list[str] | None = None) -> list[PlannedRun]:
    """Take runs and tell the plan of training them, until there are none; ``states`` gets how each ended."""
    done: list[PlannedRun] = []
    while len(done) < at_most and (taken := plan.take()) is not None:
        planned, loss = taken.planned, loss_of(taken.planned)
        state = State.FINISHED
        for number in range(1, planned.config.num_epochs + 1):
            if plan.observe(planned, [epoch_with(number, loss + 3 / number)]):
                state = PRUNED
                break
        plan.finish(planned, Outcome(planned.values, state), loss)
        taken.claim.close()
        done.append(planned)
        if states is not None:
            states.append(state)
    return done


def test_a_search_finds_the_valley_prunes_and_knows_what_matters(swept: Swept, saves: Path) -> None:
    plan = begun(saves, swept(RATE, "cell=rnn,gru", trials=40, num_epochs=9))
    done = pretend(plan)
    assert [planned.name for planned in done] == [f"s-{number:03d}" for number in range(1, 41)]
    assert all(0.01 <= planned.config.learning_rate <= 100 for planned in done)
    first, last = ([loss_of(planned) for planned in part] for part in (done[:10], done[-10:]))
    assert sum(last) < sum(first), "it comes closer"
    shares = plan.importances()
    assert list(shares) == ["learning_rate", "cell"] and sum(shares.values()) == pytest.approx(1)


def test_a_search_that_is_interrupted_proposes_what_it_would_have_proposed(swept: Swept, saves: Path) -> None:
    sweep = swept(RATE, "num_hiddens=4..64", trials=16, num_epochs=4)
    whole = [dict(planned.values) for planned in pretend(begun(saves / "a", sweep))]
    pieces = [dict(planned.values) for _ in range(4) for planned in pretend(begun(saves / "b", sweep), 4)]
    assert pieces == whole and len({str(values) for values in whole}) == 16
    other = swept(RATE, "num_hiddens=4..64", trials=16, num_epochs=4, seed=2)
    assert dict(pretend(begun(saves / "c", other), 1)[0].values) != whole[0]


def test_every_pruner_ends_runs_early_or_none(swept: Swept, saves: Path) -> None:
    for pruner, budget in (("median", 0.0), ("hyperband", 0.0), ("hyperband", 1.0), ("none", 0.0)):
        name = f"{pruner}-{budget:g}"
        sweep = swept("learning_rate=3..90", name=name, trials=16, num_epochs=9, minutes=budget, pruner=pruner)
        ended: list[str] = []
        pretend(begun(saves, sweep), states=ended)
        pruned = ended.count(PRUNED)
        assert (pruned > 0) == (pruner != "none") and pruned < 16, name
    from core.sweep.search import is_reported

    assert [epoch for epoch in range(1, 2001) if is_reported(epoch)][95:105] == [96, 97, 98, 99, *range(100, 160, 10)]
    assert is_reported(1900) and not is_reported(1950)


def test_trials_are_counted_once_whoever_works_on_them(
    swept: Swept, saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = swept(RATE, trials=3)
    one, other = begun(saves, sweep), begun(saves, sweep)
    taken = [one.take(), other.take(), one.take()]
    assert one.take() is None and other.take() is None, "three are wanted, three are trained"
    assert one.elsewhere() == 1 and other.elsewhere() == 2
    first = taken[0]
    assert first is not None
    one.finish(first.planned, Outcome(first.planned.values, State.FAILED, "no memory"), math.inf)
    assert one.take() is None, "one that failed by its own settings counts"
    for item in taken[1:]:
        assert item is not None
        item.claim.close()  # as the end of its process does
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="another machine with this folder"))
    again = begun(saves, sweep)
    taken_up = [again.take(), again.take()]
    assert [item and item.planned for item in taken_up] == [item and item.planned for item in taken[1:]]
    assert again.take() is None and again.elsewhere() == 0


def test_a_run_that_diverged_counts_as_bad_and_values_in_conflict_fail(swept: Swept, saves: Path) -> None:
    plan = begun(saves, swept(RATE, trials=2))
    for _ in range(2):
        taken = plan.take()
        assert taken is not None
        plan.finish(taken.planned, Outcome(taken.planned.values, State.DIVERGED), math.inf)
    assert plan.take() is None and plan.importances() == {}
    sweep = swept("embedding_size=4,8", "tied=yes,no", name="t", trials=12)
    done = pretend_any(begun(saves, sweep))
    folder = SweepFolder(saves, "t")
    failed = [outcome for name in folder.run_names() if (outcome := folder.outcome(name)) and outcome.state == "failed"]
    assert len(done) + len(failed) == 12 and failed and "tied needs embedding_size" in failed[0].message


def pretend_any(plan: SearchPlan) -> list[PlannedRun]:
    done = []
    while (taken := plan.take()) is not None:
        plan.finish(taken.planned, Outcome(taken.planned.values, State.FINISHED), 1.0)
        done.append(taken.planned)
    return done


def test_a_file_whose_last_line_is_torn_is_read(swept: Swept, saves: Path) -> None:
    sweep = swept(RATE, trials=4)
    before = pretend(begun(saves, sweep), 2)
    with open(SweepFolder(saves, "s").study_path, "ab") as file:
        file.write(b'{"op_code":4,"worker')
    assert len(before) == 2 and len(pretend(begun(saves, sweep))) == 2
    path = SweepFolder(saves, "s").study_path
    whole = path.read_bytes()
    for line in (b"\0\0", b"[]", b'{"op_code": 99}', b"3", b'{"op_code": 4, "study_id": 7}'):
        path.write_bytes(line + b"\n" + whole)
        with pytest.raises(UserError, match=r"study\.jsonl cannot be used: "):
            begun(saves, sweep)


def test_a_database_is_shared_and_refused_in_a_sentence(swept: Swept, saves: Path, tmp_path: Path) -> None:
    url, sweep = f"sqlite:///{tmp_path / 'trials.db'}", swept(RATE, trials=3)
    here, there = SweepFolder(saves, "s"), SweepFolder(tmp_path / "another machine", "s")
    one, other = search_plan(here.begin(sweep), here, url), search_plan(there.begin(sweep), there, url)
    assert len(pretend(one, 1)) + len(pretend(other)) == 3 and one.take() is None
    different = swept("clip=1..2", trials=3)
    there = SweepFolder(tmp_path / "third", "s")
    with pytest.raises(UserError, match="the storage has another sweep 's'"):
        search_plan(there.begin(different), there, url)
    for wrong in ("no url", "nothing://there", f"sqlite:///{tmp_path}/no/folder/x.db"):
        with pytest.raises(UserError, match="the database that --storage names cannot be used: ") as refused:
            search_plan(sweep, here, wrong)
        assert "\n" not in str(refused.value)


def test_the_driver_of_a_database_is_named_where_it_is_missing(
    swept: Swept, saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, folder = swept(RATE, trials=3), SweepFolder(saves, "s")
    for url, module, package in (
        ("postgresql+psycopg://a@127.0.0.1:1/b", "psycopg", "'psycopg[binary]'"),
        ("mysql+pymysql://a@127.0.0.1:1/b", "pymysql", "pymysql"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(UserError) as refused:
            search_plan(folder.begin(sweep), folder, url)
        words = f"the database that --storage names needs a package that is missing: pip install {package}"
        assert str(refused.value) == words


def test_a_machine_that_falls_silent_loses_its_trial_but_not_its_run(
    swept: Swept, saves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.sweep.search.SILENT_SECONDS", 1)
    monkeypatch.setattr("core.sweep.search.HEARTBEAT_SECONDS", 1)
    url, sweep = f"sqlite:///{tmp_path / 'trials.db'}", swept(RATE, trials=1)
    here, there = SweepFolder(saves, "s"), SweepFolder(tmp_path / "another machine", "s")
    one, other = search_plan(here.begin(sweep), here, url), search_plan(there.begin(sweep), there, url)
    silent = one.take()
    assert silent is not None and one.elsewhere() == 0
    taken: list[Taken] = []
    wait_for(
        lambda: taken or ((new := other.take()) is not None and taken.append(new)) or taken, "its trial to be free"
    )
    assert taken[0].planned.name == "s-002", "a trial of its own, in place of the one that is lost"
    assert not one.observe(silent.planned, [epoch_with(1, 1.0)])
    assert one.elsewhere() == 1 and other.elsewhere() == 0
    words = "no sign of life for 1 s, another run takes its place in the search"
    for state in (State.FAILED, State.FINISHED):
        kept = one.finish(silent.planned, Outcome(silent.planned.values, state), 1.0)
        assert (kept.state, kept.message) == (GIVEN_UP, words), "where it is kept, it is said that it does not count"
    assert one.take() is None and other.take() is None
    for folder in (here, there):
        results = Results(folder).read(sweep)
        assert not is_done(results, sweep), "the run that takes its place is still trained"
    new = Outcome(taken[0].planned.values, State.FINISHED)
    assert other.finish(taken[0].planned, new, 1.0) == new
    assert one.take() is None and other.take() is None
    # Each folder has the runs of the other one, in words; a run that was given up is not trained further where it is.
    [told] = other.given_up()
    assert told == f"s-001 on {platform.node()} is given up: {words}" and not one.given_up() and not other.given_up()
    [gone] = Results(there).read(sweep)
    assert (gone.run, gone.words, gone.message) == ("s-001", f"given up on {platform.node()}", words)
    seen = {result.run: result for result in Results(here).read(sweep)}
    assert seen["s-002"].words == f"finished on {platform.node()}" and seen["s-002"].best == pytest.approx(math.e)
    silent.claim.close()
    again = search_plan(here.begin(sweep), here, url)
    assert again.take() is None and again.given_up() == [f"s-001 on {platform.node()} is given up: {words}"]
    assert (
        again.elsewhere() == 0
        and (outcome := here.outcome("s-001"))
        and (outcome.message, outcome.place) == (words, "")
    )


def test_without_optuna_a_sentence_says_how_to_get_it(saves: Path) -> None:
    arguments = ["sweep", "s", "--trials=2", "--vary=clip=1..2", f"--saves={saves}"]
    program = f"import sys; sys.modules['optuna'] = None\nfrom core.cli.main import main; sys.exit(main({arguments!r}))"
    told = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True)
    assert told.returncode == 2 and told.stdout == ""
    assert told.stderr == "error: a search needs Optuna: pip install -e '.[sweep]'; a grid needs nothing more\n"
    assert not saves.exists()


def test_of_two_processes_one_is_killed_with_its_training(
    saves: Path, text_path: Path, runtime: Path, forked_programs: None
) -> None:
    """The other one finishes its trial from the checkpoint; every trial is trained once."""
    command = (
        "-m",
        "core",
        "sweep",
        "s",
        "--trials=3",
        "--vary=learning_rate=0.1..1",
        "--vary=cell=rnn,gru",
        "--pruner=none",
    )
    command += (f"--saves={saves}", f"--corpus={text_path}", *SMALL, "--epochs=10", "--set=checkpoint_seconds=0")
    # The one that is killed would train for a quarter of a minute: the other begins in the meantime on every machine.
    slow = {**os.environ, "RNN_PLAYGROUND_FORK_PACE": "0.1"}
    runs = [Run(saves / f"s-{number:03d}") for number in range(1, 4)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
    with started(*command, **pipes, env=slow) as one:
        wait_for(runs[0].exists, "the first run")  # which is this one's
        with started(*command, **pipes) as other:
            wait_for(lambda: all(epochs(read_journal(run.journal_path)) for run in runs[:2]), "both runs")
            one.kill()
            kill_training(runs[0])
            one.communicate(timeout=60)
            out, err = other.communicate(timeout=60)
    assert (other.returncode, err) == (0, "")
    assert "s-001 continues from its last checkpoint" in out
    for run in runs:
        events = read_journal(run.journal_path)
        assert [event.epoch for event in epochs(events)] == list(range(1, 11)), run.name
        assert sum(isinstance(event, RunResumed) for event in events) == 1 + (run is runs[0])
    assert not Run(saves / "s-004").exists()
