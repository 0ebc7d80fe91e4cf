"""Commands on runs whose checkpoints are damaged or missing: which weights are used, and what can still be done."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.events import NO_CHECKPOINT
from core.runs.run import Run
from tests.core.cli.commands import Printed, refused

pytestmark = pytest.mark.usefixtures("as_it_was")


@pytest.fixture
def two_epochs(run: Callable[..., Printed], train: Callable[..., Printed], saves: Path) -> Run:
    """A run of two epochs whose best checkpoint is that of the first."""
    assert train("--epochs=1", "--name=one", "--set=validation_fraction=0.2").code == 0
    found = Run(saves / "one")
    best = found.best_path.read_bytes()
    assert run("resume", "one", "--saves", saves, "--epochs", 2).code == 0
    found.best_path.write_bytes(best)
    return found


def test_the_best_checkpoint_in_place_of_a_damaged_one_is_named(
    run: Callable[..., Printed], two_epochs: Run, saves: Path, tmp_path: Path
) -> None:
    os.truncate(two_epochs.latest_path, 1000)
    words = (
        f"{two_epochs.latest_path} is no whole checkpoint (its header is longer than the file): it was cut, changed or "
        "written by something else; the run continues from its best checkpoint, epoch 1"
    )
    assert words in run("runs", "--saves", saves).out
    for arguments in (
        ("generate", "--prefix=a", "--length=5", "--json"), ("inspect", "--view=step", "--text=abc"),
        ("inspect", "--view=units", "--json"), ("export", "--to=torch", "--out", tmp_path / "weights"),
    ):  # fmt: skip
        command, *options = arguments
        printed = run(command, "one", "--saves", saves, *options)
        assert (printed.code, printed.err) == (0, f"{words}\n"), arguments
        if "--view=units" in arguments:
            (view,) = printed.json()
            assert (view["checkpoint"], view["epoch"]) == ("best", 1)
    printed = run("resume", "one", "--saves", saves, "--epochs", 3)
    assert printed.code == 0 and printed.out.count(words) == 1
    assert "best checkpoint" not in run("generate", "one", "--saves", saves, "--prefix=a").err, "it is whole again"


def test_a_run_that_diverged_and_lost_its_checkpoints_has_no_weights(
    run: Callable[..., Printed], train: Callable[..., Printed], saves: Path, tmp_path: Path
) -> None:
    assert train("--epochs=5", "--name=one", "--set=learning_rate=1e6", "--set=clipping=none").code == 1
    assert "diverged, initial weights" in run("runs", "--saves", saves).out
    os.truncate(saves / "one/latest.safetensors", 1000)
    assert "initial weights" not in run("runs", "--saves", saves).out
    for command, *options in (
        ("generate", "--prefix=a"), ("inspect", "--view=step"), ("export", "--to=torch", "--out", tmp_path / "weights"),
        ("resume", "--set=learning_rate=1"),
    ):  # fmt: skip
        printed = run(command, "one", "--saves", saves, *options)
        refused(printed, "latest.safetensors is no whole checkpoint", f"; {NO_CHECKPOINT}\n")


def test_a_run_that_has_trained_and_lost_its_checkpoint_is_not_called_new(
    run: Callable[..., Printed], trained: Run, saves: Path
) -> None:
    trained.latest_path.unlink()
    for command, *options in (("generate", "--prefix=a"), ("inspect", "--view=step"), ("resume", "--epochs=5")):
        printed = run(command, "one", "--saves", saves, *options)
        assert printed.err == f"error: {trained.latest_path} is missing; {NO_CHECKPOINT}\n", command
