"""The work of the Train pane: requests to engines, with progress and errors shown in the pane."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from pathlib import Path

from core.engine.answers import AnswerT, BackendChange
from core.engine.requests import Baselines, Open, Pause, Request, Resume, Save, Set, Step, Stop, Train
from core.errors import ConfigError, EngineError, UserError
from core.events import State
from core.settings.run_config import RunConfig
from core.units import counted
from tui.corpora.downloads import not_here, not_here_words
from tui.dialogs.confirm import ConfirmDialog
from tui.engines.watched_run import WatchedRun
from tui.messages import RunsChanged
from tui.panes.train.parts import TrainParts
from tui.panes.train.plan import epochs_done, is_complete, live_edits
from tui.services import Engines, host, is_alive
from tui.text.safe import shown_text

NO_ENGINE = "starting an engine: loading its libraries takes a few seconds …"


class Training:
    """Creates runs and trains them for a pane. A coroutine may outlive the pane's children, so each checks first."""

    def __init__(self, pane: TrainParts) -> None:
        self._pane = pane
        self._refused = False

    @property
    def _engines(self) -> Engines:
        return host(self._pane).engines

    def do(self, work: Awaitable[object]) -> None:
        self._pane.run_worker(self.guarded(work), group="train", exit_on_error=False)

    async def guarded(self, work: Awaitable[object]) -> None:
        """Await ``work``; show its error, beside the setting if that is known."""
        pane = self._pane
        pane.form.clear_outside_errors()
        try:
            await work
        except (UserError, EngineError) as error:
            if not is_alive(pane):
                return
            words = error.labelled if isinstance(error, UserError) else str(error)
            name = (error.field if isinstance(error, UserError) else None) or pane.form.schema.named(words)
            self._refused = isinstance(error, UserError) and pane.plan in ("new", "apply", "continue")
            if self._refused and name:
                pane.form.show_outside_error(name, words)
                pane.drawer = True
                pane.form.focus_error()
            pane.view.show_failure(shown_text(words))
        finally:
            if is_alive(pane):
                pane.view.busy = ""

    def forget_refusal(self) -> None:
        """Clear the refusal: the settings have changed since."""
        if self._refused:
            self._refused = False
            self._pane.view.show_failure("")

    async def ask(self, path: Path, request: Request[AnswerT]) -> AnswerT:
        """Send one request to the engine of a run, which is started if there is none."""
        client = await self._engines.client(path)
        return await client.ask(request)

    def pause_or_resume(self, run: WatchedRun) -> None:
        self.do(self.ask(run.path, Resume() if run.state == State.PAUSED else Pause()))

    def stop(self, run: WatchedRun) -> None:
        self.do(self.ask(run.path, Stop()))

    def set_rate(self, run: WatchedRun, rate: float) -> None:
        self._pane.wanted_rates.append(rate)
        self.do(self._set_rate(run, rate, self._pane.wanted_rates))

    async def _set_rate(self, run: WatchedRun, rate: float, wanted: list[float]) -> None:
        try:
            await self.ask(run.path, Set("learning_rate", rate))
        except (UserError, EngineError):
            wanted.clear()  # the journal will not confirm it
            raise

    async def create_and_train(self) -> None:
        path = await self._created()
        if path is not None:
            self._pane.show_curve()
            await self.ask(path, Train())

    async def _created(self) -> Path | None:
        """Create a run, put it on screen and return its folder; None if the app has closed meanwhile."""
        pane, config = self._pane, self._config()
        pane.view.show_failure("")
        pane.view.busy = "reading the text …" if self._engines.ready else NO_ENGINE
        missing = await asyncio.to_thread(not_here, config.corpus, host(pane).data_dir)
        if missing is not None:
            raise ConfigError(not_here_words(missing), "corpus")
        path = await self._engines.create(config, pane.new_name or None)
        pane.new_name = ""
        if not is_alive(pane):
            return None
        host(pane).remember(settings=config)
        await host(pane).open_run(path)
        return path if is_alive(pane) else None

    def _config(self) -> RunConfig:
        config = self._pane.form.value
        assert config is not None
        return config

    async def continue_run(self, run: WatchedRun) -> None:
        """Continue a run up to the epochs in the form."""
        config = self._config()
        if is_complete(run, config):
            done = epochs_done(run)
            words = f"{_epochs_are(done)} done: to continue, type how many in all, such as {2 * done:,}, then enter"
            raise ConfigError(words, "num_epochs")
        as_before = await self._opened(run)
        if as_before is None:
            return
        await self._put(run, config, only=("learning_rate",))
        await self.ask(run.path, Train(config.num_epochs, as_before))

    async def _opened(self, run: WatchedRun) -> bool | None:
        """Show the curve while the run is opened; see ``_as_before``."""
        self._pane.view.show_failure("")
        if not self._engines.has_client(run.path):
            self._pane.view.busy = "opening the run …" if self._engines.ready else NO_ENGINE
        self._pane.show_curve()
        return await self._as_before(run)

    async def _as_before(self, run: WatchedRun) -> bool | None:
        """Whether to compute as before; asks if the backend has changed. None cancels."""
        if run.state in (State.TRAINING, State.PAUSED):
            return False
        change = (await self.ask(run.path, Open(run.path))).change
        if change is None:
            return False
        if not is_alive(self._pane):
            return None
        answer = await self._pane.app.push_screen_wait(backend_question(change))
        return None if answer is None else answer == "before"

    async def recover(self, run: WatchedRun, rate: float) -> None:
        """Continue a failed run from its last good checkpoint with a lower learning rate."""
        as_before = await self._opened(run)
        if as_before is None:
            return
        await self.ask(run.path, Set("learning_rate", rate))
        await self.ask(run.path, Train(as_before=as_before))

    async def apply(self, run: WatchedRun) -> None:
        pane = self._pane
        await self._put(run, self._config())
        if is_alive(pane) and pane.run is run:
            pane.view.show_failure("")
            pane.show_curve()

    async def _put(self, run: WatchedRun, config: RunConfig, only: tuple[str, ...] | None = None) -> None:
        for name, value in live_edits(run, config).items():
            if only is None or name in only:
                await self.ask(run.path, Set(name, value))
                run.apply_setting(name, value)  # the journal says it later
        if is_alive(self._pane):
            self._pane.settings_changed()

    async def step(self) -> None:
        """Train one batch, of a new run if the form asks for one."""
        pane, run = self._pane, self._pane.run
        is_new = run is None or pane.plan == "new"
        path = await self._created() if is_new or run is None else run.path
        if path is None:
            return
        as_before = False if run is None or run.path != path else await self._as_before(run)
        if as_before is None:
            return
        answer = await self.ask(path, Step(1, as_before))
        if is_alive(pane) and pane.run is not None and pane.run.path == path:
            pane.run.apply_step(answer)
            pane.view.changed()
            if is_new and run is not None:
                name, old = shown_text(pane.run.name), shown_text(run.name)
                pane.notify(f"One batch of a new run, {name}, is trained; {old} is unchanged", markup=False)

    async def save(self, run: WatchedRun, name: str) -> None:
        await self.ask(run.path, Save(None if name == run.name else name))
        if is_alive(self._pane):
            words = f"{run.name} is saved" if name == run.name else f"{name} is a copy of {run.name}"
            self._pane.notify(shown_text(f"{words}, after epoch {run.epoch:,}"), markup=False)
            self._pane.post_message(RunsChanged())

    def want_baselines(self, run: WatchedRun) -> None:
        """Ask once, after the first epoch, so that the first point does not wait for it."""
        if run.epoch and not run.baselines_asked and self._engines.has_client(run.path):
            run.baselines_asked = True
            self._pane.run_worker(self._ask_baselines(run), group="baselines", exclusive=True, exit_on_error=False)

    async def _ask_baselines(self, run: WatchedRun) -> None:
        """Ask for the perplexities of n-gram models on the same text, drawn as lines in the chart."""
        with contextlib.suppress(UserError, EngineError):
            run.apply_baselines(await self.ask(run.path, Baselines()))
        if is_alive(self._pane):
            self._pane.view.changed()


def _epochs_are(done: int) -> str:
    return "the only epoch is" if done == 1 else f"all {counted(done, 'epoch is', 'epochs are')}"


def backend_question(change: BackendChange) -> ConfirmDialog:
    """How to continue a run whose backend is another one on this machine: "before" or "here", which change the run."""
    parts = [f"{change.words[:1].upper()}{change.words[1:]}."]
    parts += [f"Also with the old backend: {change.remains}."] if change.remains else []
    answers = {"before": "As before"} if change.as_before else {}
    body = "\n\n".join(map(shown_text, parts))
    return ConfirmDialog("Another backend", body, answers | {"here": "Continue here"}, careful=True)
