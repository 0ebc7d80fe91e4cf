"""Jobs: generations, inspections and laboratory experiments, a few milliseconds at a time between batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from core.engine.failure import failure_event
from core.engine.protocol import CANCELLED, ENDING, LONGEST_MESSAGE, encoded
from core.engine.requests import Id
from core.engine.server import Server
from core.engine.session import Session
from core.engine.shutdown import Ended, Ending
from core.errors import UserError
from core.generation.events import Piece, Written
from core.generation.options import GenerationRequest
from core.generation.response import response, training_part
from core.generation.writer import Writing
from core.laboratory import experiment
from core.runs.held_folder import HeldFolder
from core.settings.laboratory_config import SequenceConfig

# Seconds of generation between two training batches, and between two reads of the inbox.
WRITING_SECONDS = 0.02
# More jobs at once would leave training too little time.
MOST_JOBS = 16


class JobEvent(Protocol):
    """An event of a job; the last one has ``done`` under the key ``event``."""

    def to_json(self) -> dict[str, Any]: ...


Job = Iterator[Sequence[JobEvent]]
"""Each step takes some milliseconds and yields events for the client, if any."""
Key = tuple[int, Id]
"""A client and the id of its request."""


class Jobs:
    """The jobs in progress. Each ends with one last event for its client: done, error or cancelled.

    Failures are written to the log of the run in ``folder``, or to standard error if it is None.
    """

    def __init__(self, server: Server, ending: Ending) -> None:
        self.folder: HeldFolder | None = None
        self._server, self._ending = server, ending
        self._jobs: dict[Key, Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def begin(self, client: int, number: Id, job: Job) -> None:
        """Add a job. Raises UserError if the client has a job with this id, or there are too many."""
        if (client, number) in self._jobs:
            raise UserError(f"the id {str(number)[:50]!r} is in use: give each request an id of its own")
        if len(self._jobs) >= MOST_JOBS:
            raise UserError(f"{MOST_JOBS} requests are being answered: wait for one of them, or cancel it")
        self._jobs[client, number] = job

    def advance(self) -> None:
        """Advance one job, each in turn: training keeps its share of the time however many there are."""
        for key in list(self._jobs):
            if not self._server.is_connected(key[0]):
                del self._jobs[key]
                continue
            self._jobs[key] = self._jobs.pop(key)  # to the end of the queue
            self._advance(key)
            return

    def _advance(self, key: Key) -> None:
        try:
            with self._ending.interruptible():
                events = next(self._jobs[key])
        except Ended:
            return  # ``end`` sends the last event
        except Exception as error:
            self._finish(key, failure_event(error, self.folder))
        else:
            for event in events:
                message = event.to_json()
                if message["event"] == "done":
                    self._finish(key, message)
                else:
                    self._server.send(key[0], {"id": key[1], **message})

    def _finish(self, key: Key, event: dict[str, Any]) -> None:
        del self._jobs[key]
        self._server.send(key[0], {"id": key[1], **event})

    def cancel(self, client: int, number: Id) -> None:
        if (client, number) in self._jobs:
            self._finish((client, number), CANCELLED)

    def end(self) -> None:
        """End all jobs: the engine exits."""
        for key in list(self._jobs):
            self._finish(key, ENDING)


def writing_job(session: Session, request: GenerationRequest) -> Job:
    """A generation with the live weights; the last event has the whole text. Raises UserError at once."""
    text = None
    if session.trainer is not None:
        text = training_part(session.trainer.corpus.ids, session.trainer.config.validation_fraction)
    answer = response(Writing(session.model, session.vocabulary, request), text, WRITING_SECONDS)
    return ([_short(event) for event in events] for events in answer)


def _short(event: Piece | Written) -> Piece | Written:
    """The last event, without its texts if it is too long for a message: the client has them in pieces."""
    if isinstance(event, Piece) or len(encoded(event.to_json())) <= LONGEST_MESSAGE // 2:
        return event
    return replace(event, text=None, samples=tuple(replace(sample, continuation=None) for sample in event.samples))


def laboratory_job(config: SequenceConfig) -> Job:
    """An experiment of the sequence laboratory; its last event has the whole result."""
    return ([] if event is None else [event] for event in experiment.steps(config))
