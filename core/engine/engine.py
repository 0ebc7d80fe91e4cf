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
from core.engine.failure import failure_words, write_failure
from core.engine.inspecting import inspection_job
from core.engine.jobs import Jobs, laboratory_job, writing_job
from core.engine.loading import versions
from core.engine.protocol import ENDING, error_event
from core.engine.requests import QUESTIONS, AnyRequest, Id, read_id, read_request
from core.engine.server import Request, Server
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
        number: Id = None
        try:
            number = read_id(request.message)
            asked = read_request(request.message)
            if isinstance(asked, QUESTIONS) and not self.server.is_connected(request.client):
                return  # the client is gone, and the request changes nothing
            if (answer := self._result(request.client, number, asked)) is not None:
                self._answer(request.client, number, {**record_as_json(answer), "event": "done"})
        except Ended:
            self._answer(request.client, number, ENDING)
        except UserError as error:
            self._answer(request.client, number, error_event(error))
        except Exception as error:
            write_failure(error, self._jobs.folder)
            words = failure_words(error, self._jobs.folder)
            self._answer(request.client, number, {"event": "error", "message": words})

    def _result(self, client: int, number: Id, asked: AnyRequest) -> Answer | None:
        """The answer; None for a job, which sends its own events."""
        match asked:
            case requests.Generate(options):
                self._jobs.begin(client, number, writing_job(self._session(), options))
                return None
            case requests.Inspect():
                self._jobs.begin(client, number, inspection_job(self._session(), asked))
                return None
            case requests.Lab(settings):
                self._jobs.begin(client, number, laboratory_job(settings))
                return None
            case requests.Cancel(target):
                self._jobs.cancel(client, target)
                return Answer()
        answer: Answer = getattr(self, f"_on_{type(asked).__name__.lower()}")(asked)
        return answer

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

    def _on_hello(self, asked: requests.Hello) -> answers.HelloAnswer:
        session = self.session
        run, state = (session.run.path, session.state) if session is not None else (None, State.IDLE)
        return answers.HelloAnswer(os.getpid(), devices(), versions(), run, state)

    def _on_open(self, asked: requests.Open) -> answers.RunAnswer:
        if self.session is None:
            with self.ending.interruptible():
                session = Session.open(Run(asked.run))
            self._adopt(session)
        elif os.path.realpath(self.session.run.path) != os.path.realpath(asked.run):
            raise UserError(f"this engine holds {self.session.run.name!r}: each run has an engine of its own")
        return describe(self._session())

    def _on_create(self, asked: requests.Create) -> answers.RunAnswer:
        if self.session is not None:
            raise UserError(f"this engine holds {self.session.run.name!r}: each run has an engine of its own")
        with self.ending.interruptible():
            session = Session.create(asked.config, asked.saves, asked.name, asked.data)
        self._adopt(session)
        return describe(self._session())

    def _hold(self, session: Session) -> None:
        self.session, self._jobs.folder = session, session.folder
        session.listener = lambda event: self._publish([event])

    def _adopt(self, session: Session) -> None:
        self._hold(session)
        self.server.move(session.run.path)
        write_log_to(open_log(session))

    def _on_train(self, asked: requests.Train) -> answers.StateAnswer:
        return self._after(self._session().train(asked.num_epochs, as_before=asked.as_before))

    def _on_pause(self, asked: requests.Pause) -> answers.StateAnswer:
        return self._after(self._session().pause())

    def _on_resume(self, asked: requests.Resume) -> answers.StateAnswer:
        return self._after(self._session().train())

    def _on_stop(self, asked: requests.Stop) -> answers.StateAnswer:
        return self._after(self._session().stop())

    def _on_step(self, asked: requests.Step) -> answers.StepAnswer:
        session = self._session()
        for _ in range(asked.count):
            self._publish(session.step(lambda: self.ending.asked, as_before=asked.as_before))
            if session.state != State.PAUSED or self.ending.asked:
                break
        assert session.trainer is not None  # a session without one has refused the step
        return answers.StepAnswer(session.state, **dataclasses.asdict(session.trainer.progress()))

    def _on_set(self, asked: requests.Set) -> answers.SetAnswer:
        self._publish(self._session().set(asked.name, asked.value))
        return answers.SetAnswer(asked.name, asked.value)

    def _on_baselines(self, asked: requests.Baselines) -> answers.BaselinesAnswer:
        with self.ending.interruptible():
            return self._session().baselines()

    def _on_save(self, asked: requests.Save) -> answers.SaveAnswer:
        session = self._session()
        session.save()
        if session.save_problem:
            raise UserError(session.save_problem)
        path = session.run.path
        if asked.name and asked.name != path.name:
            with self.ending.interruptible():
                path = session.copy(asked.name)
        return answers.SaveAnswer(path, path.name)

    def _on_annotate(self, asked: requests.Annotate) -> Answer:
        self._session().annotate(asked.tags, asked.note)
        return Answer()

    def _on_quit(self, asked: requests.Quit) -> Answer:
        self.ending.ask()
        return Answer()

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
