"""Engine: the loop that owns torch. It alternates between requests, writing and training batches.

Because one thread does all three, generation uses the live weights in mid-training without a lock or a checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core.config import RunConfig
from core.devices import devices
from core.engine.protocol import LONGEST_MESSAGE, REQUESTS, encoded
from core.engine.server import Request, Server
from core.engine.session import Session, failure_words, versions
from core.errors import UserError
from core.events import Event, State, StateChanged
from core.generation.answer import answer, training_part
from core.generation.options import GenerationRequest
from core.generation.writer import Writing
from core.insight.sequence import EpochDone
from core.insight.sequence import steps as laboratory_steps
from core.insight.sequence_config import SequenceConfig
from core.runs.run import Run

# An engine that nobody has ever talked to gives up after so many seconds.
LONELY_SECONDS = 60.0
# A generation writes for so many seconds between two training batches, and between two looks at the inbox.
WRITING_SECONDS = 0.02

Job = Iterator[None]


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
        self._stays = stays
        self._listener = listener or (lambda event: None)
        self._jobs: dict[tuple[int, Any], Job] = {}
        self._quitting = False
        self._had_client = False

    def start(self) -> Path:
        """Listen; return the path of the socket."""
        return self.server.start(self.session.run.path if self.session else None)

    def stop_on_signals(self, *signals: signal.Signals) -> None:
        """End at the next batch, with a checkpoint, when one of ``signals`` comes."""
        for number in signals:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self._quitting = True
        self.server.inbox.put(None)

    def run(self) -> None:
        """Serve until there is nothing to do and nobody to do it for."""
        try:
            while not self._quitting and self._take_requests():
                if self.session is not None and self.session.state == State.TRAINING:
                    self._publish(self.session.advance())
                for key in list(self._jobs):
                    self._advance_job(key)
        finally:
            try:
                self._finish()
            finally:
                self.server.close()

    def _finish(self) -> None:
        """Save and let the run go."""
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

    # ------------------------------------------------------------------ requests

    @property
    def _is_busy(self) -> bool:
        return bool(self._jobs) or (self.session is not None and self.session.state == State.TRAINING)

    @property
    def _waits(self) -> bool:
        """Whether clients keep it alive when it has nothing to do: a training that one of them paused is not over."""
        return self._stays or (self.session is not None and self.session.state == State.PAUSED)

    def _take_requests(self) -> bool:
        """Handle what waits in the inbox; wait for more where there is nothing else to do. False ends the engine."""
        while True:
            try:
                request = self._next_request()
            except queue.Empty:
                return self._is_busy or (self._waits and self.server.num_clients > 0)
            self._had_client |= self.server.num_clients > 0
            if request is not None:
                self._handle(request)
            if self._quitting:
                return False

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
        message, name = request.message, request.message.get("request")
        try:
            if not isinstance(message.get("id"), (int, str, type(None))):
                message["id"] = None
                raise UserError("the id of a request must be a whole number or a text")
            if name not in REQUESTS:
                raise UserError(f"there is no request {str(name)[:50]!r}: there are {', '.join(REQUESTS)}")
            answer = getattr(self, f"_on_{name}")(request.client, message)
        except UserError as error:
            self._answer(request, {"event": "error", "message": str(error), "mendable": True})
        except Exception as error:
            traceback.print_exc()
            self._answer(request, {"event": "error", "message": failure_words(error)})
        else:
            if answer is not None:
                self._answer(request, {**answer, "event": "done"})

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
            self._adopt(Session.open(Run(path)))
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
        self._adopt(Session.create(config, Path(_text(message, "saves")), name, data_dir))
        return self._session().describe()

    def _adopt(self, session: Session) -> None:
        self.session = session
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
            self._publish(session.step())
            if session.state != State.PAUSED or self._quitting:
                break
        progress = session.trainer.progress().to_json() if session.trainer is not None else {}
        return {**progress, **self._after([]), "epoch": progress.get("epoch", 0)}

    def _on_set(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        self._publish(self._session().set(_text(message, "name"), message.get("value")))
        return {"name": message["name"], "value": message.get("value")}

    def _on_baselines(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        return self._session().baselines()

    def _on_save(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        session = self._session()
        path = session.save(_text(message, "name") if message.get("name") else None)
        if session.save_problem:
            raise UserError(session.save_problem)
        return {"path": str(path), "name": path.name}

    def _on_generate(self, client: int, message: dict[str, Any]) -> None:
        session, request = self._session(), GenerationRequest.from_message(message)
        writing = Writing(session.model, session.vocabulary, request)
        self._jobs[(client, message.get("id"))] = self._write(client, message.get("id"), session, writing)

    def _write(self, client: int, number: Any, session: Session, writing: Writing) -> Job:
        """One generation, a little at a time; the last event carries the whole text."""
        text = None
        if session.trainer is not None:
            text = training_part(session.trainer.corpus.ids, session.trainer.config.validation_fraction)
        for events in answer(writing, text, WRITING_SECONDS):
            for event in events:
                if event["event"] == "done" and len(encoded(event)) > LONGEST_MESSAGE // 2:
                    # The client has it in pieces already.
                    samples = [{**sample, "continuation": None} for sample in event["samples"]]
                    event = {**event, "text": None, "samples": samples}
                self.server.send(client, {"id": number, **event})
            yield

    def _on_lab(self, client: int, message: dict[str, Any]) -> None:
        settings = message.get("settings")
        if not isinstance(settings, dict):
            raise UserError("lab needs settings, an object")
        config = SequenceConfig.from_dict(settings)
        self._jobs[(client, message.get("id"))] = self._experiment(client, message.get("id"), config)

    def _experiment(self, client: int, number: Any, config: SequenceConfig) -> Job:
        """One experiment of the sequence laboratory; its last event carries all of it."""
        for event in laboratory_steps(config):
            if isinstance(event, EpochDone):
                self.server.send(client, {"id": number, **event.to_json()})
            elif event is not None:
                self.server.send(client, {"id": number, "event": "done", **event.to_json()})
            yield

    def _advance_job(self, key: tuple[int, Any]) -> None:
        try:
            next(self._jobs[key])
        except StopIteration:
            del self._jobs[key]
        except UserError as error:
            del self._jobs[key]
            self.server.send(key[0], {"id": key[1], "event": "error", "message": str(error), "mendable": True})
        except Exception as error:
            del self._jobs[key]
            traceback.print_exc()
            self.server.send(key[0], {"id": key[1], "event": "error", "message": failure_words(error)})
        else:
            if not self.server.is_connected(key[0]):
                del self._jobs[key]

    def _on_cancel(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        self._jobs.pop((client, message.get("target")), None)
        return {}

    def _on_quit(self, client: int, message: dict[str, Any]) -> dict[str, Any]:
        self._quitting = True
        return {}

    def _after(self, events: list[Event]) -> dict[str, Any]:
        self._publish(events)
        session = self._session()
        return {"state": session.state, "epoch": session.trainer.epoch if session.trainer is not None else 0}


def write_log_to(path: Path) -> None:
    """Let this process's standard output and error go to ``path`` from now on, and its standard input be empty."""
    with contextlib.suppress(OSError):
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
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
