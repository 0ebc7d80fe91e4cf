"""Engines without torch, for tests: a Unix socket in this very process that speaks the protocol and writes journals.

``FakeEngines.standby`` and ``.attach`` stand in for those of ``EngineClient``; the client is the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
from pathlib import Path
from typing import Any

from core.device import Device
from core.engine.answers import (
    Answer,
    BackendChange,
    BaselinesAnswer,
    HelloAnswer,
    RunAnswer,
    SaveAnswer,
    SetAnswer,
    StateAnswer,
    StepAnswer,
)
from core.engine.client import EngineClient
from core.engine.protocol import decoded, encoded, error_event
from core.engine.requests import (
    Baselines,
    Cancel,
    Create,
    Generate,
    Hello,
    Inspect,
    Open,
    Pause,
    Quit,
    Resume,
    Save,
    Set,
    Step,
    Stop,
    Train,
    read_request,
)
from core.errors import ConfigError, EngineError, UserError
from core.events import (
    EpochFinished,
    Event,
    RunResumed,
    SampleWritten,
    SettingChanged,
    State,
    StateChanged,
    StepFinished,
)
from core.record import record_as_json
from core.runs.held_folder import HeldFolder
from core.runs.run import Run
from core.runs.store import duplicate_run
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig, setting
from tests.run_folders import TOKENS, VOCABULARY, made_run, write_journal
from tests.tui.inspections import inspection

BATCHES = 8
DEVICES = (
    Device("cuda:0", "NVIDIA H100", 1_200_000_000, 79_000_000_000, ("fp32",)),
    Device("cpu", "Xeon · 2 cores", 3_000_000_000, 16_000_000_000, ("fp32",)),
)
BACKEND = {"device": "cpu"}
TEXT = "分开了很久\n我还在原地\n"


async def described(*_: object, **__: object) -> dict[str, Any]:
    """In place of the process that counts the tokens of a text for the form."""
    return {"tokens": TOKENS, "vocabulary": VOCABULARY}


def scripted_epoch(epoch: int, rate: float = 100.0, held_out: bool = False) -> EpochFinished:
    """The numbers of an epoch: always the same ones."""
    perplexity = 1 + (VOCABULARY - 1) * 0.96**epoch
    return EpochFinished(
        epoch, epoch * BATCHES, perplexity, 1.4 * perplexity if held_out else None, 1.0, 0.4, rate, 71_000.0, 0.125
    )


class FakeEngine:
    """One engine. ``pace`` is the seconds an epoch takes; what it was asked is in ``asked``."""

    def __init__(self, family: FakeEngines, path: Path) -> None:
        self.family = family
        self.path = path
        self.run: Run | None = None
        self.config = RunConfig()
        self.state = State.IDLE
        self.epoch = 0
        self.batch = 0
        self.stays = True  # false as in a training that a command runs
        self.asked: list[dict[str, Any]] = []
        self._held: HeldFolder | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._training: asyncio.Task[None] | None = None

    async def start(self) -> FakeEngine:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), limit=1 << 23)
        return self

    async def end(self) -> None:
        """Go away, as a killed engine does: the journal still says what it said."""
        if self._training is not None:
            self._training.cancel()
            await asyncio.gather(self._training, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()
        if self._held is not None:
            self._held.close()
        self.family.engines.remove(self)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                message = decoded(line)
                self.asked.append(message)
                self.family.heard.append(message)
                await self._answer(writer, message)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            if not self._writers and self.state not in (State.TRAINING, State.PAUSED) and self in self.family.engines:
                await self.end()

    async def _answer(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        name, number = str(message["request"]), message["id"]
        refusal = self.family.refusals.pop(name, None)
        if refusal is not None:
            await self._send(writer, {"id": number, "event": "error", "message": refusal, "mendable": True})
            return
        try:
            asked = read_request(message)
            if name == "generate":
                for piece in "分开了很久":
                    await self._send(writer, {"id": number, "event": "text", "text": piece, "sample": 0})
            answer = getattr(self, f"_{name}")(asked)
        except UserError as error:
            await self._send(writer, {"id": number, **error_event(error)})
            return
        fields = answer if isinstance(answer, dict) else record_as_json(answer)
        await self._send(writer, {"id": number, **fields, "event": "done"})
        if name == "quit":
            await self.end()

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(encoded(message))
            await writer.drain()

    def _publish(self, *events: Event) -> None:
        assert self.run is not None
        write_journal(self.run, *events)
        for event in events:
            if isinstance(event, StateChanged):
                self.state = event.state
                for writer in self._writers:
                    writer.write(encoded(event.to_json()))

    # ------------------------------------------------------------------ requests

    def _hello(self, asked: Hello) -> HelloAnswer:
        return HelloAnswer(os.getpid(), DEVICES, {"torch": "2"}, self.run.path if self.run else None, self.state)

    def _adopt(self, run: Run) -> RunAnswer:
        self.run, self._held = run, run.lock()
        self.config = run.metadata().config
        return self._described()

    def _described(self) -> RunAnswer:
        assert self.run is not None
        metadata = self.run.metadata()
        return RunAnswer(
            self.run.path, self.state, self.epoch, self.config, metadata.parameters, VOCABULARY, self.run.name,
            num_epochs=self.config.num_epochs, corpus=metadata.corpus, batches_per_epoch=BATCHES,
            shapes=(("W_hh", (256, 256)),), device="cpu", threads=1, backend_report={"device": "cpu"},
            change=self.family.change, stays=self.stays,
        )  # fmt: skip

    def _create(self, asked: Create) -> RunAnswer:
        answer = self._adopt(made_run(asked.saves, asked.config, asked.name, text=TEXT))
        write_journal(self._opened(), StateChanged(State.IDLE, 0))
        return answer

    def _open(self, asked: Open) -> RunAnswer:
        run = Run(asked.run)
        if self.run is not None:
            return self._described()
        summary = run_summary(run)
        if summary.is_lost:
            raise UserError(summary.remark)
        self.state = State.INTERRUPTED if summary.state in (State.TRAINING, State.PAUSED) else summary.state
        self.epoch = summary.epoch if summary.from_best is None else summary.from_best
        return self._adopt(run)

    def _train(self, asked: Train) -> StateAnswer:
        if asked.num_epochs:
            self.config = self.config.replace(num_epochs=asked.num_epochs)
            self._publish(SettingChanged(self.epoch, "num_epochs", asked.num_epochs))
        return self._begin()

    def _resume(self, asked: Resume) -> StateAnswer:
        return self._begin()

    def _begin(self) -> StateAnswer:
        if self.state != State.PAUSED:
            self._publish(RunResumed(self.epoch, 0, BACKEND))
        self._publish(StateChanged(State.TRAINING, self.epoch))
        self._training = asyncio.create_task(self._train_on())
        return StateAnswer(self.state, self.epoch)

    async def _train_on(self) -> None:
        while self.epoch < min(self.config.num_epochs, self.family.halt_at):
            await asyncio.sleep(self.family.pace)
            self.epoch += 1
            self._publish(scripted_epoch(self.epoch, self.config.learning_rate, self.config.validation_fraction > 0))
            if self.epoch % 10 == 0:
                self._publish(SampleWritten(self.epoch, "分开", f"了很久 我还在原地 {self.epoch}"))
        if self.epoch >= self.config.num_epochs:
            self._publish(StateChanged(State.FINISHED, self.epoch))

    def _halt(self, state: str) -> StateAnswer:
        if self._training is not None:
            self._training.cancel()
        self._publish(StateChanged(state, self.epoch))
        return StateAnswer(self.state, self.epoch)

    def _pause(self, asked: Pause) -> StateAnswer:
        self._opened()
        if self.state != State.TRAINING:
            raise UserError(f"there is nothing to pause: the run is {self.state}")
        return self._halt(State.PAUSED)

    def _stop(self, asked: Stop) -> StateAnswer:
        return self._halt(State.STOPPED)

    def _step(self, asked: Step) -> StepAnswer:
        if self.state not in (State.TRAINING, State.PAUSED):
            self._publish(RunResumed(self.epoch, 0, BACKEND), StateChanged(State.TRAINING, self.epoch))
        if self.state != State.PAUSED:
            self._publish(StateChanged(State.PAUSED, self.epoch))
        self.batch += 1
        step = StepFinished(self.epoch + 1, self.batch, BATCHES, self.batch, 900.0, 6.8, 100.0, 70_000.0)
        self._publish(step)
        return StepAnswer(**dataclasses.asdict(step), state=self.state)

    def _set(self, asked: Set) -> SetAnswer:
        if not setting(asked.name).live:
            raise ConfigError(f"{asked.name} cannot be changed", asked.name)
        self.config = self.config.replace(**{asked.name: asked.value})
        self._publish(SettingChanged(self.epoch, asked.name, asked.value))
        return SetAnswer(asked.name, asked.value)

    def _baselines(self, asked: Baselines) -> BaselinesAnswer:
        return BaselinesAnswer("training", float(VOCABULARY), 210.0, 12.5, 2.25)

    def _save(self, asked: Save) -> SaveAnswer:
        assert self.run is not None
        name = asked.name or self.run.name
        if name != self.run.name:
            duplicate_run(self.run, name)
        return SaveAnswer(self.run.path.with_name(name), name)

    def _generate(self, asked: Generate) -> dict[str, Any]:
        text = "分开了很久"
        sample = {"continuation": text, "tokens": len(text), "ended": "length", "score": None, "copy": None}
        return {"text": f"{asked.options.prefix}{text}", "unknown": [], "seed": 1, "samples": [sample]}

    def _inspect(self, asked: Inspect) -> dict[str, Any]:
        return {"answer": inspection(vars(asked), TEXT * 20).to_json()}

    def _cancel(self, asked: Cancel) -> Answer:
        return Answer()

    def _quit(self, asked: Quit) -> Answer:
        return Answer()

    def _opened(self) -> Run:
        if self.run is None:
            raise UserError("this engine has no run yet: open one or create one")
        return self.run


class FakeEngines:
    """All fake engines of a test.

    ``pace`` is the seconds an epoch takes, ``halt_at`` the epoch at which a training holds still without ending;
    ``heard`` is what all were asked, in order, those that have gone too; ``refusals`` are sentences with which the
    next request of that name is refused; no engine starts before ``may_start``; ``change`` is how all of them say
    that they would compute otherwise than before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engines: list[FakeEngine] = []
        self.heard: list[dict[str, Any]] = []
        self.pace = 0.01
        self.halt_at = 10**9
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.refusals: dict[str, str] = {}
        self.change: BackendChange | None = None
        self.start_error: Exception | None = None
        self._numbers = itertools.count()

    async def start(self) -> Path:
        """Start an engine; returns its socket."""
        engine = await FakeEngine(self, self.folder / f"{next(self._numbers)}.sock").start()
        self.engines.append(engine)
        return engine.path

    async def standby(self) -> EngineClient:
        """A fresh engine, and the client of it."""
        await self.may_start.wait()
        if self.start_error is not None:
            raise self.start_error
        return await EngineClient.connect(await self.start())

    async def attach(self, run: Path) -> EngineClient:
        """A client of the engine that holds ``run``."""
        engine = self.of(run)
        if engine is None:
            raise EngineError("no engine listens there")
        return await EngineClient.connect(engine.path)

    def of(self, run: Path) -> FakeEngine | None:
        """The engine that holds ``run``."""
        return next((engine for engine in self.engines if engine.run is not None and engine.run.path == run), None)

    @property
    def asked(self) -> list[str]:
        """The requests of all engines that still are, without the greetings."""
        names = [message["request"] for engine in self.engines for message in engine.asked]
        return [name for name in names if name != "hello"]

    async def end(self) -> None:
        """All go away."""
        for engine in list(self.engines):
            await engine.end()
