"""``python -m core sweep``: grids that are begun, stopped, killed, continued and joined; every run a process."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from core.events import RunResumed, State
from core.runs.run import Run
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from core.sweep.folder import SweepFolder
from core.sweep.launch import begin_and_launch
from core.sweep.results import WAITING, Results, is_done
from core.sweep.sweep import new_sweep
from tests.core.cli.commands import SMALL, Printed, refused
from tests.core.outcomes import curve
from tests.core.processes import kill_training, started
from tests.run_folders import epochs, read_journal
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("as_it_was", "forked_programs")
GRID = ("--grid", "--vary=cell=rnn,gru")
NAMES = ("s-rnn", "s-gru")


@pytest.fixture
def arguments(saves: Path, text_path: Path) -> tuple[str, ...]:
    return (f"--saves={saves}", f"--corpus={text_path}", *SMALL)


def start(*arguments: object, **options: Any) -> AbstractContextManager[subprocess.Popen[str]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return started("-m", "core", "sweep", "s", *arguments, **{**pipes, **options})


def slow(seconds: float = 0.03) -> dict[str, str]:
    """The environment in which a batch takes so long: a training is caught in its midst, however busy the machine."""
    return {**os.environ, "RNN_PLAYGROUND_FORK_PACE": str(seconds)}


def epochs_of(run: Run) -> int:
    return len(epochs(read_journal(run.journal_path)))


def resumes_of(run: Run) -> int:
    """How often training began or continued."""
    return sum(isinstance(event, RunResumed) for event in read_journal(run.journal_path))


def test_a_grid_is_trained_side_by_side_and_never_again(
    run: Callable[..., Printed], arguments: tuple[str, ...], saves: Path
) -> None:
    printed = run("sweep", "s", *GRID, "--epochs=2", "--jobs=2", *arguments)
    assert (printed.code, printed.err) == (0, "")
    assert "s: 2 runs, every combination of cell=rnn,gru\n2 side by side, each with " in printed.out
    table = printed.out[printed.out.index("   run") :].splitlines()
    assert table[0].split() == ["run", "cell", "perplexity", "on", "at", "epoch", "epochs", "time", "state"]
    assert {line.split()[1] for line in table[1:]} == set(NAMES)
    best = [float(line.split()[3]) for line in table[1:]]
    assert best == sorted(best)
    for name in NAMES:
        metadata = Run(saves / name).metadata()
        assert metadata.tags == ("s",) and metadata.config.cell == name[2:], "a run as any other"
    listed = run("sweep", "s", f"--saves={saves}", "--json")
    assert [line["event"] for line in listed.json()] == ["sweep", "result", "result"], "nothing is trained again"
    assert [resumes_of(Run(saves / name)) for name in NAMES] == [1, 1]
    again = run("sweep", "s", *GRID, "--epochs=2", *arguments)
    assert again.code == 0 and [resumes_of(Run(saves / name)) for name in NAMES] == [1, 1], "the same command"
    refused(run("sweep", "s", *GRID, "--epochs=3", *arguments), "there is already a sweep 's' with other settings")
    shown = run("sweep", "s", f"--saves={saves}", "--show")
    assert shown.out.splitlines() == table


def test_several_workers_may_train_a_run_of_a_sweep(
    run: Callable[..., Printed], arguments: tuple[str, ...], saves: Path
) -> None:
    printed = run("sweep", "s", "--grid", "--vary=workers=1,2", "--epochs=2", *arguments)
    assert (printed.code, printed.err) == (0, "")
    alone, together = (Run(saves / f"s-{workers}") for workers in (1, 2))
    assert [found.metadata().backend["workers"] for found in (alone, together)] == ["1", "2"]
    wanted = [event.loss for event in curve(alone)]
    assert [event.loss for event in curve(together)] == pytest.approx(wanted, rel=1e-4)


def test_ctrl_c_saves_and_the_same_command_goes_on_exactly(
    arguments: tuple[str, ...], run: Callable[..., Printed], saves: Path, tmp_path: Path, text_path: Path
) -> None:
    command = (*GRID, "--epochs=12", *arguments)
    first, second = (Run(saves / name) for name in NAMES)
    with start(*command, env=slow()) as process:
        wait_for(lambda: epochs_of(first) >= 2, "two epochs")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1] == f"stopped: python -m core sweep s --saves {saves} continues it"
    assert run_summary(first).state == State.STOPPED and not second.exists()
    assert run("sweep", "s", f"--saves={saves}").code == 0
    assert [run_summary(item).state for item in (first, second)] == [State.FINISHED] * 2
    assert resumes_of(first) == 2 and resumes_of(second) == 1
    train = ("train", f"--saves={tmp_path / 'whole'}", f"--corpus={text_path}", *SMALL, "--epochs=12", "--name=whole")
    assert run(*train).code == 0
    assert curve(first) == curve(Run(tmp_path / "whole" / "whole")), "bit for bit the uninterrupted run"


def test_ctrl_c_at_once_is_no_failure(arguments: tuple[str, ...], run: Callable[..., Printed], saves: Path) -> None:
    """The training's process may be ended before it has made its run."""
    folder = SweepFolder(saves, "s")
    with start(*GRID, "--epochs=2", *arguments) as process:
        wait_for(lambda: folder.outcome("s-rnn"), "the first run to be taken")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "") and "failed" not in out
    assert run("sweep", "s", f"--saves={saves}").code == 0
    assert [run_summary(Run(saves / name)).state for name in NAMES] == [State.FINISHED] * 2


def test_a_sweep_whose_processes_are_killed_goes_on_from_its_checkpoints(
    arguments: tuple[str, ...], run: Callable[..., Printed], saves: Path
) -> None:
    """The sweep alone is killed: its training goes on, and whoever comes waits for it; then the training is, too."""
    first, second = (Run(saves / name) for name in NAMES)
    command = (*GRID, "--epochs=20", *arguments, "--set=checkpoint_seconds=0")
    with start(*command, env=slow(0.05)) as process:
        wait_for(lambda: epochs_of(first) >= 2, "two epochs")
        process.kill()
        process.communicate(timeout=60)
    assert first.is_held() and not SweepFolder(saves, "s").is_working()
    done = epochs_of(first)
    with start(f"--saves={saves}") as joined:
        assert joined.stdout is not None
        while joined.stdout.readline() != "waiting for 1 run of other processes; ctrl+c leaves them alone\n":
            assert joined.poll() is None
        assert run_summary(second).state == State.FINISHED
        assert run_summary(first).state == State.TRAINING and epochs_of(first) >= done
        kill_training(first)
        out, err = joined.communicate(timeout=60)
    assert (joined.returncode, err) == (0, ""), "what the killed process left is taken up"
    assert "s-rnn continues from its last checkpoint" in out
    assert [run_summary(item).state for item in (first, second)] == [State.FINISHED] * 2
    assert [event.epoch for event in epochs(read_journal(first.journal_path))] == list(range(1, 21))
    assert resumes_of(second) == 1


def test_two_processes_share_a_grid_and_a_killed_training_is_begun_once_more(
    arguments: tuple[str, ...], saves: Path
) -> None:
    command = (*GRID, "--epochs=10", *arguments, "--set=checkpoint_seconds=0")
    runs = [Run(saves / name) for name in NAMES]
    with start(*command, env=slow()) as one, start(*command, env=slow()) as other:
        wait_for(lambda: all(epochs_of(item) for item in runs), "both runs")
        kill_training(runs[0])
        for process in (one, other):
            _, err = process.communicate(timeout=60)
            assert (process.returncode, err) == (0, "")
    assert [run_summary(item).state for item in runs] == [State.FINISHED] * 2
    assert [resumes_of(item) for item in runs] == [2, 1]


def test_a_sweep_that_the_playground_starts_stops_on_request_and_says_so_in_its_log(
    saves: Path, text_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNN_PLAYGROUND_FORK_PACE", "0.01")
    small = dict(pair.removeprefix("--set=").split("=") for pair in SMALL if pair.startswith("--set="))
    config = RunConfig(corpus=str(text_path), num_epochs=100_000, device="cpu").with_texts(small)
    folder = begin_and_launch(new_sweep("s", config, ["cell=rnn,gru"]), saves)
    first = Run(saves / "s-rnn")
    wait_for(lambda: epochs_of(first), "an epoch")
    assert folder.is_working() and first.is_held()
    folder.ask_to_stop()
    wait_for(lambda: not folder.is_working(), "the sweep to stop")
    assert run_summary(first).state == State.STOPPED and not first.is_held()
    assert folder.last_words() == f"stopped: python -m core sweep s --saves {saves} continues it"
    results = Results(folder)
    sweep = folder.read()
    assert [result.state for result in results.read(sweep)] == [State.STOPPED, WAITING]
    assert results.read(sweep) == results.read(sweep) and not is_done(results.read(sweep), sweep)


def test_a_run_that_fails_is_said_and_tried_again_by_the_next_command(
    run: Callable[..., Printed], arguments: tuple[str, ...], saves: Path
) -> None:
    command = ("sweep", "s", "--grid", "--vary=num_steps=15,9000", "--epochs=1", *arguments)
    for _ in range(2):
        printed = run(*command)
        assert printed.code == 1
        assert "s-9000 (num_steps=9000) failed: " in printed.out and "s-15" in printed.out
    assert resumes_of(Run(saves / "s-15")) == 1
    table = run("sweep", "s", f"--saves={saves}", "--show", "--json").json()
    assert [(line["run"], line["state"]) for line in table] == [("s-15", "finished"), ("s-9000", "failed")]
    assert "num_steps" in table[1]["message"]


def test_a_question_comes_ready(run: Callable[..., Printed], arguments: tuple[str, ...], saves: Path) -> None:
    printed = run("sweep", "--question=backend", "--epochs=1", *arguments)
    assert printed.code == 0, printed.err
    metadata = [Run(saves / name).metadata().config for name in ("backend-scratch", "backend-torch.nn")]
    assert [config.initialisation for config in metadata] == ["uniform"] * 2


def test_what_cannot_be_swept_is_refused_in_a_sentence(
    run: Callable[..., Printed], arguments: tuple[str, ...], saves: Path
) -> None:
    for words, sentence in (
        ((), "name the sweep"),
        (("s",), "there is no sweep 's' in"),
        (("s", "--show"), "there is no sweep 's' in"),
        (("s", "--vary=cell=rnn,gru"), "say how the values are tried: --grid"),
        (("s", "--grid", "--trials=3", "--vary=cell=rnn,gru"), "leave one of the two out"),
        (("s", "--trials=3"), "say what varies, such as --vary"),
        (("s", "--grid"), "name at least one setting"),
        (("s", "--trials=0", "--vary=cell=rnn,gru"), "--trials must be at least 1"),
        (("s", *GRID, "--jobs=0"), "--jobs must be between 1 and 256"),
        (("s", *GRID, "--pruner=none"), "--pruner is of a search"),
        (("s", *GRID, "--storage=sqlite://"), "--storage is of a search"),
        (("s", *GRID, "--storage="), "--storage names a database, such as "),
        (("--question=why",), "there is no question 'why'"),
        (("--question=backend", "--vary=cell=rnn,gru"), "--question is a grid of its own"),
        (("s", *GRID, "--set=cell=x"), "cell must be one of"),
    ):
        refused(run("sweep", *words, f"--saves={saves}"), sentence)
    assert not saves.exists() or not (saves / ".sweeps" / "s" / "sweep.json").exists()
