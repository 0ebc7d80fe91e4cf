"""Engine: the loop that owns torch. It alternates between requests, writing and training batches.

Because one thread does all three, generation uses the live weights in mid-training without a lock or a checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.config import RunConfig
from core.devices import devices
from core.engine.ending import Ended, Ending
from core.engine.failure import failure_words, write_failure
from core.engine.jobs import Jobs, laboratory_job, writing_job
from core.engine.protocol import ENDING, LONGEST_ID, QUESTIONS, REQUESTS
from core.engine.server import Request, Server
from core.engine.session import Session, versions
from core.errors import UserError
from core.events import Event, State, StateChanged
from core.files import open_to_append
from core.generation.options import GenerationRequest
from core.insight.sequence_config import SequenceConfig
from core.runs.run import Run

# An engine that nobody has ever talked to gives up after so many seconds.
LONELY_SECONDS = 60.0
# Between two training batches requests are answered for so many seconds: a flood of them must not stop the training.
ANSWERING_SECONDS = 0.005


class Engine:
    """Serves one run, or none yet.

    ``stays`` tells whether it waits for clients when there is nothing to train: a command-line training does not.
    ``listener`` hears every event of the run, in the order of the journal.
    """

    def __init__(
        self, session: Session | None = None, *, stays: bool = True, listener: Callable[[Event], None] | None = None
    ) -> None:
        self.session = session
        self.server = Server()
        self.ending = Ending(wake=lambda: self.server.inbox.put(None), give_up=self._give_up)
        self._stays = stays
        self._listener = listener or (lambda event: None)
        self._jobs = Jobs(self.server, self.ending)
        self._jobs.log = session.run.log_path if session is not None else None
        self._had_client = False

    def start(self) -> Path:
        """Listen; return the path of the socket."""
        return self.server.start(self.session.run.path if self.session else None)

    def stop_on_signals(self, *signals: signal.Signals) -> None:
        """End soon, with a checkpoint, when one of ``signals`` comes. For the main thread."""
        self.ending.on_signals(*signals)

    def run(self) -> None:
        """Serve until there is nothing to do and nobody to do it for."""
        try:
            while not self.ending.asked and self._take_requests():
                if self.session is not None and self.session.state == State.TRAINING:
                    self._publish(self.session.advance())
                self._jobs.advance()
        finally:
            self.ending.saving()
            try:
                self._finish()
            finally:
                self.server.close()
                self.ending.done()

    def _finish(self) -> None:
        """Save and let the run go; whoever still waits for an answer gets one."""
        try:
            self._let_go()
        finally:
            self._jobs.end()
            with contextlib.suppress(queue.Empty):
                while True:
                    request = self.server.inbox.get_nowait()
                    if request is not None:
                        self._answer(request, ENDING)

    def _let_go(self) -> None:
        if self.session is None:
            return
        try:
            events = self.session.stop()
        finally:
            # Out of sight while the lock is still held: the socket's name may be another engine's the moment after.
            self.server.hide()
            self.session.close()
        # Let go first, tell then: whoever hears the news may open the run at once.
        self._publish(events)

    def _give_up(self) -> None:
        """In another thread, just before the process is ended: what it computes takes too long to be waited for."""
        self.server.hide()
        if self.session is not None:
            self.session.note("the engine was ended in the midst of a long batch: its last checkpoint stands")

    # ------------------------------------------------------------------ requests

    @property
    def _is_busy(self) -> bool:
        return len(self._jobs) > 0 or (self.session is not None and self.session.state == State.TRAINING)

    @property
    def _waits(self) -> bool:
        """Whether clients keep it alive when it has nothing to do: a training that one of them paused is not over."""
        return self._stays or (self.session is not None and self.session.state == State.PAUSED)

    def _take_requests(self) -> bool:
        """Handle what waits in the inbox; wait for more where there is nothing else to do. False ends the engine."""
        until = time.monotonic() + ANSWERING_SECONDS
        while True:
            try:
                request = self._next_request()
            except queue.Empty:
                return self._is_busy or (self._waits and self.server.num_clients > 0)
            self._had_client |= self.server.num_clients > 0
            if request is not None:
                self.server.taken(request)
                self._handle(request)
            if self.ending.asked:
                return False
            if self._is_busy and time.monotonic() >= until:
                return True

    def _next_request(self) -> Request | None:
        inbox = self.server.inbox
        if self._is_busy:
            return inbox.get_nowait()
        if not self._waits:
            raise queue.Empty
        if self.server.num_clients:
            return inbox.get()
        if self._had_client:
            return inbox.get_nowait()
        return inbox.get(timeout=LONELY_SECONDS)

    def _handle(self, request: Request) -> None:
        if request.message.get("request") in QUESTIONS and not self.server.is_connected(request.client):
            return  # who asked has gone, and nothing but the answer would come of it
        message, name = request.message, request.message.get("request")
        try:
            _check_id(message)
            if name not in REQUESTS:
                raise UserError(f"there is no request {str(name)[:50]!r}: there are {', '.join(REQUESTS)}")
            answer = getattr(self, f"_on_{name}")(request.client, message)
            if answer is not None:
                self._answer(request, {**answer, "event": "done"})
        except Ended:
            self._answer(request, ENDING)
        except UserError as error:
            self._answer(request, {"event": "error", "message": str(error), "mendable": True})
        except Exception as error:
            write_failure(error, self._jobs.log)
            self._answer(request, {"event": "error", "message": failure_words(error, self._jobs.log)})

    def _answer(self, request: Request, message: dict[str, Any]) -> None:
        self.server.send(request.client, {"id": request.message.get("id"), **message})

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            self._listener(event)
            if isinstance(event, StateChanged):
                self.server.broadcast(event.to_json())

    def _session(self) -> Session:
        if self.session is None:
            raise UserError("this engine has no run yet: open one or create one")
        return self.session

    def _on_hello(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        session = self.session
        return {
            "pid": os.getpid(),
            "devices": [device.to_json() for device in devices()],
            "versions": versions(),
            "run": str(session.run.path) if session else None,
            "state": session.state if session else State.IDLE,
        }

    def _on_open(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        path = Path(_text(message, "run"))
        if self.session is None:
            with self.ending.breakable():
                session = Session.open(Run(path))
            self._adopt(session)
        elif self.session.run.path.resolve() != path.resolve():
            raise UserError(f"this engine holds {self.session.run.name!r}: each run has an engine of its own")
        return self._session().describe()

    def _on_create(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        if self.session is not None:
            raise UserError(f"this engine holds {self.session.run.name!r}: each run has an engine of its own")
        settings = message.get("config")
        if not isinstance(settings, dict):
            raise UserError("create needs config, an object of settings")
        name = _text(message, "name") if message.get("name") else None
        data_dir = Path(_text(message, "data")) if message.get("data") else None
        config = RunConfig.from_dict(settings)
        with self.ending.breakable():
            session = Session.create(config, Path(_text(message, "saves")), name, data_dir)
        self._adopt(session)
        return self._session().describe()

    def _adopt(self, session: Session) -> None:
        self.session = session
        self._jobs.log = session.run.log_path
        self.server.move(session.run.path)
        write_log_to(session.run.log_path)

    def _on_train(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        num_epochs = message.get("num_epochs")
        if num_epochs is not None and not isinstance(num_epochs, int):
            raise UserError(f"num_epochs must be a whole number, got {str(num_epochs)[:50]!r}")
        return self._after(self._session().train(num_epochs))

    def _on_pause(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        return self._after(self._session().pause())

    def _on_resume(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        return self._after(self._session().train())

    def _on_stop(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        return self._after(self._session().stop())

    def _on_step(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        count = message.get("count", 1)
        if not isinstance(count, int) or not 1 <= count <= 1000:
            raise UserError(f"count must be between 1 and 1,000 batches, got {str(count)[:50]}")
        session = self._session()
        for _ in range(count):
            self._publish(session.step(lambda: self.ending.asked))
            if session.state != State.PAUSED or self.ending.asked:
                break
        progress = session.trainer.progress().to_json() if session.trainer is not None else {}
        return {**progress, **self._after([]), "epoch": progress.get("epoch", 0)}

    def _on_set(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        self._publish(self._session().set(_text(message, "name"), message.get("value")))
        return {"name": message["name"], "value": message.get("value")}

    def _on_baselines(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        with self.ending.breakable():
            return self._session().baselines()

    def _on_save(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        session = self._session()
        name = _text(message, "name") if message.get("name") else session.run.name
        path = session.save()
        if session.save_problem:
            raise UserError(session.save_problem)
        if name != session.run.name:
            with self.ending.breakable():
                path = session.copy(name)
        return {"path": str(path), "name": path.name}

    def _on_generate(self, client: int, message: dict[str, Any]) -> None:
        job = writing_job(self._session(), GenerationRequest.from_message(message))
        self._jobs.begin(client, message.get("id"), job)

    def _on_lab(self, client: int, message: dict[str, Any]) -> None:
        settings = message.get("settings")
        if not isinstance(settings, dict):
            raise UserError("lab needs settings, an object")
        self._jobs.begin(client, message.get("id"), laboratory_job(SequenceConfig.from_dict(settings)))

    def _on_cancel(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        self._jobs.cancel(client, message.get("target"))
        return {}

    def _on_quit(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        self.ending.ask()
        return {}

    def _after(self, events: list[Event]) -> dict[str, Any]:
        self._publish(events)
        session = self._session()
        return {"state": session.state, "epoch": session.trainer.epoch if session.trainer is not None else 0}


def _check_id(message: dict[str, Any]) -> None:
    """Raise UserError for an id that is none; what is answered then has no id."""
    number = message.get("id")
    if not isinstance(number, (int, str, type(None))) or len(str(number)) > LONGEST_ID:
        message["id"] = None
        raise UserError("the id of a request must be a whole number or a text of up to 100 characters")


def write_log_to(path: Path) -> None:
    """Let this process's standard output and error go to ``path`` from now on, and its standard input be empty."""
    with contextlib.suppress(OSError):
        log = open_to_append(path, os.O_WRONLY | os.O_APPEND)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)


def _text(message: dict[str, Any], key: str, default: str | None = None) -> str:
    value = message.get(key, default)
    if not isinstance(value, str):
        raise UserError(f"{message.get('request')} needs {key}, a text")
    return value
