"""Engine: the loop of the thread that uses torch. It alternates between requests, jobs and training batches.

Because one thread does all three, generation during training uses the live weights without a lock or a checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.devices import devices
from core.engine import answers, requests
from core.engine.answers import Answer
from core.engine.description import describe
from core.engine.failure import failure_event
from core.engine.inspecting import inspection_job
from core.engine.jobs import Job, Jobs, laboratory_job, writing_job
from core.engine.loading import versions
from core.engine.protocol import ENDING
from core.engine.requests import QUESTIONS, AnyRequest, Id, read_id, read_request
from core.engine.server import Received, Server
from core.engine.session import Session
from core.engine.shutdown import Ended, Ending
from core.errors import UserError
from core.events import Event, State, StateChanged
from core.record import record_as_json
from core.runs.run import Run

# Seconds after which an engine exits if no client has ever connected.
LONELY_SECONDS = 60.0
# Seconds for which requests are answered between two batches: a flood of requests must not stop training.
ANSWERING_SECONDS = 0.005


class Engine:
    """Serves one run, or none yet.

    With ``stays`` it waits for requests when there is nothing to train; a command-line training does not.
    ``listener`` is called with every event of the run, in the order of the journal.
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
        self._had_client = False
        if session is not None:
            self._hold(session)

    def start(self) -> Path:
        """Listen; return the path of the socket."""
        return self.server.start(self.session.run.path if self.session else None)

    def stop_on_signals(self, *signals: signal.Signals) -> None:
        """Save and exit on any of ``signals``. To be called in the main thread."""
        self.ending.on_signals(*signals)

    def run(self) -> None:
        """Serve until there is no work and no client left."""
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
        """Save and release the run; every request that is waiting gets an answer."""
        try:
            self._release()
        finally:
            self._jobs.end()
            with contextlib.suppress(queue.Empty):
                while True:
                    request = self.server.inbox.get_nowait()
                    if request is not None:
                        with contextlib.suppress(UserError):
                            self._answer(request.client, read_id(request.message), ENDING)

    def _release(self) -> None:
        if self.session is None:
            return
        try:
            events = self.session.stop()
        finally:
            # Hidden while the lock is still held: once it is released, another engine may use the name of the socket.
            self.server.hide()
            self.session.close()
        # Published after the release: a client that gets the event may open the run at once.
        self._publish(events)

    def _give_up(self) -> None:
        """Called in another thread just before the process is ended, because a batch takes too long."""
        self.server.hide()
        if self.session is not None:
            self.session.note("the engine was ended in the midst of a long batch: its last checkpoint is kept")

    # ------------------------------------------------------------------ requests

    @property
    def _is_busy(self) -> bool:
        return len(self._jobs) > 0 or (self.session is not None and self.session.state == State.TRAINING)

    @property
    def _waits(self) -> bool:
        """Whether connected clients keep an idle engine alive; they also do so while its run is paused."""
        return self._stays or (self.session is not None and self.session.state == State.PAUSED)

    def _take_requests(self) -> bool:
        """Handle the requests in the inbox; wait for one if there is no other work. False ends the engine."""
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

    def _next_request(self) -> Received | None:
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

    def _handle(self, request: Received) -> None:
        number: Id = None
        try:
            number = read_id(request.message)
            asked = read_request(request.message)
            if isinstance(asked, QUESTIONS) and not self.server.is_connected(request.client):
                return  # the client is gone, and the request changes nothing
            if isinstance(asked, requests.JobRequest):
                self._jobs.begin(request.client, number, self._job(asked))
            else:
                answer = self._result(request.client, asked)
                self._answer(request.client, number, {**record_as_json(answer), "event": "done"})
        except Ended:
            self._answer(request.client, number, ENDING)
        except Exception as error:
            self._answer(request.client, number, failure_event(error, self._jobs.folder))

    def _job(self, asked: requests.Generate | requests.Inspect | requests.Lab) -> Job:
        match asked:
            case requests.Generate(options):
                return writing_job(self._session(), options)
            case requests.Inspect():
                return inspection_job(self._session(), asked)
            case requests.Lab(settings):
                return laboratory_job(settings)

    def _result(self, client: int, asked: AnyRequest) -> Answer:
        match asked:
            case requests.Cancel(target):
                self._jobs.cancel(client, target)
            case requests.Hello():
                run, state = (self.session.run.path, self.session.state) if self.session else (None, State.IDLE)
                return answers.HelloAnswer(os.getpid(), devices(), versions(), run, state)
            case requests.Open(run):
                if self.session is None or os.path.realpath(self.session.run.path) != os.path.realpath(run):
                    self._adopt(lambda: Session.open(Run(run)))
                return describe(self._session(), self._stays)
            case requests.Create(config, saves, name, data):
                self._adopt(lambda: Session.create(config, saves, name, data))
                return describe(self._session(), self._stays)
            case requests.Train(num_epochs, as_before):
                return self._after(self._session().train(num_epochs, as_before=as_before))
            case requests.Pause():
                return self._after(self._session().pause())
            case requests.Resume():
                return self._after(self._session().train())
            case requests.Stop():
                return self._after(self._session().stop())
            case requests.Step(count, as_before):
                return self._step(count, as_before)
            case requests.Set(name, value):
                self._publish(self._session().set(name, value))
                return answers.SetAnswer(name, value)
            case requests.Baselines():
                with self.ending.interruptible():
                    return self._session().baselines()
            case requests.Save(name):
                path = self._save(name)
                return answers.SaveAnswer(path, path.name)
            case requests.Annotate(tags, note):
                self._session().annotate(tags, note)
            case requests.Quit():
                self.ending.ask()
        return Answer()

    def _answer(self, client: int, number: Id, message: dict[str, Any]) -> None:
        self.server.send(client, {"id": number, **message})

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            self._listener(event)
            if isinstance(event, StateChanged):
                self.server.broadcast(event.to_json())

    def _session(self) -> Session:
        if self.session is None:
            raise UserError("this engine has no run yet: open one or create one")
        return self.session

    def _adopt(self, opened: Callable[[], Session]) -> None:
        """Open a run or create one, and serve it. Raises UserError, also if this engine has a run already."""
        if self.session is not None:
            raise UserError(f"this engine holds {self.session.run.name!r}: each run has an engine of its own")
        with self.ending.interruptible():
            session = opened()
        self._hold(session)
        self.server.move(session.run.path)
        write_log_to(open_log(session))

    def _hold(self, session: Session) -> None:
        self.session, self._jobs.folder = session, session.folder
        session.listener = lambda event: self._publish([event])

    def _step(self, count: int, as_before: bool) -> answers.StepAnswer:
        session = self._session()
        for _ in range(count):
            self._publish(session.step(lambda: self.ending.asked, as_before=as_before))
            if session.state != State.PAUSED or self.ending.asked:
                break
        assert session.trainer is not None  # a session without one has refused the step
        return answers.StepAnswer(**dataclasses.asdict(session.trainer.progress()), state=session.state)

    def _save(self, name: str | None) -> Path:
        """Save, and copy the run if another name is given; the folder of the run, or of the copy."""
        session = self._session()
        session.save()
        if session.save_problem:
            raise UserError(session.save_problem)
        if name is None or name == session.run.name:
            if session.state == State.FAILED:
                raise UserError("the run has failed: nothing new can be saved, and its checkpoints stay as they are")
            return session.run.path
        with self.ending.interruptible():
            return session.copy(name)

    def _after(self, events: list[Event]) -> answers.StateAnswer:
        self._publish(events)
        session = self._session()
        return answers.StateAnswer(session.state, session.trainer.epoch if session.trainer is not None else 0)


def open_log(session: Session) -> int:
    """A descriptor of the run's log, for the engine's output; of the null device if the log cannot be written.

    The journal then has the reason, and training continues.
    """
    path = session.run.log_path
    try:
        return session.folder.open_to_append(path, os.O_WRONLY | os.O_APPEND)
    except OSError as error:
        session.note(f"{path} cannot be written to ({error.strerror or error}): the run continues without it")
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def write_log_to(log: int) -> None:
    """Redirect the standard output and error of this process to ``log``, and close ``log``.

    The process that started the engine may have exited or stopped reading: the engine must not wait for it.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
