"""Runs whose checkpoints are damaged, in the whole app: whose weights Train, Generate and Inspect name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual.widgets import Static

from core.events import NO_CHECKPOINT, RunResumed, State, StateChanged
from tests.run_folders import damage_checkpoints, make_run, write_journal
from tests.tui.fake_engine import scripted_epoch
from tests.tui.panes.train.harness import status, trouble
from tests.tui.parts import notices, train_pane
from tests.tui.waiting import until
from tui.app import Playground
from tui.shell.footer import KeyLine
from tui.shell.frame import FrameEdge

Make = Callable[[], Playground]


def weights(app: Playground) -> tuple[str, str]:
    """What Generate and Inspect say of the weights."""
    inspected = str(app.query_one("#inspect-view").border_subtitle)
    return app.query_one("#generate-weights", FrameEdge).note, inspected.split(" · ")[-1]


async def test_the_weights_of_the_best_checkpoint_are_called_so(playground: Make, saves: Path) -> None:
    run = make_run(saves, "one", epochs=24, num_epochs=24)
    damage_checkpoints(run, best=13)
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "finished · epoch 24/24 · weights of epoch 13 · " in status(app))
        (notice,) = notices(app)
        assert f"{run.latest_path} is no whole checkpoint" in notice
        assert notice.endswith("; the run continues from its best checkpoint, epoch 13")
        await pilot.press("f4", "f5")
        await until(pilot, lambda: weights(app) == 2 * ("epoch 13, of the best checkpoint",))
        await until(pilot, lambda: app.engines.has_client(run.path))
        assert weights(app) == 2 * ("epoch 13, of the best checkpoint",), "the engine says so too"
        write_journal(run, RunResumed(13, 0), StateChanged(State.TRAINING, 13), scripted_epoch(14))
        run.latest_path.write_bytes(run.best_path.read_bytes())
        write_journal(run, StateChanged(State.STOPPED, 14))
        await until(pilot, lambda: weights(app)[1] == "epoch 14")
        await pilot.press("f4")
        await until(pilot, lambda: weights(app)[0] == "epoch 14")
        await pilot.press("f3")
        await until(pilot, lambda: "stopped · epoch 14/24 · ppl" in status(app))


async def test_a_run_that_diverged_and_lost_its_checkpoints_has_no_weights(playground: Make, saves: Path) -> None:
    run = make_run(saves, "one", state="training", epochs=3)
    write_journal(run, StateChanged(State.DIVERGED, 0, "it exploded; the weights are those of epoch 0 again"))
    damage_checkpoints(run)
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: trouble(app).startswith(f"The training diverged: {NO_CHECKPOINT}."))
        assert not app.query_one("#recovery").display and "epoch 0" not in trouble(app)
        await until(pilot, lambda: "lr / 10" not in app.query_one(KeyLine).render().plain)
        assert "lr" in app.query_one(KeyLine).render().plain and not train_pane(app).check_action("recover", ("r",))
        assert notices(app)[0].endswith(NO_CHECKPOINT)
        await pilot.press("f4", "f5")
        await until(pilot, lambda: weights(app) == 2 * ("no weights",))
        remark = app.query_one("#generate-remark", Static)
        assert remark.display and str(remark.content) == "None of its checkpoints can be read: train a new run."
