"""The answers of an engine: the last event of each request, as a type. Both sides use the same dataclasses.

On the wire an answer is a JSON object with the keys of its fields, plus ``id`` and ``event``. A field with a default
may be missing. No torch in this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from core.device import Device
from core.events import State, StepFinished
from core.runs.metadata import CorpusIdentity
from core.settings.run_config import RunConfig
from core.settings.setting import Value


@dataclass(frozen=True)
class Answer:
    """The base of all answers, and the answer to a request without a result."""


AnswerT = TypeVar("AnswerT", bound=Answer)


@dataclass(frozen=True)
class HelloAnswer(Answer):
    """The engine process; ``run`` is the folder of its run, null if it has none. The best device comes first."""

    pid: int
    devices: tuple[Device, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    run: Path | None = None
    state: str = State.IDLE


@dataclass(frozen=True)
class BackendChange:
    """Training would compute differently than before the run was opened on this machine.

    ``as_before`` says whether the engine can compute as before; ``remains`` is what would differ even then.
    """

    words: str
    as_before: bool = False
    remains: str = ""


@dataclass(frozen=True)
class RunAnswer(Answer):
    """The run that an engine has opened or created.

    ``shapes`` lists the parameters of the model; for ``backend_report`` see ``core.training.backend``.
    ``no_training`` is a sentence if the run cannot be trained, ``save_problem`` one if its last save failed.
    ``stays`` is false if the engine ends with its training.
    """

    run: Path
    state: str
    epoch: int
    config: RunConfig
    parameters: int
    vocabulary: int
    name: str = ""
    message: str = ""
    num_epochs: int = 0
    corpus: CorpusIdentity | None = None
    batches_per_epoch: int = 0
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    device: str = ""
    threads: int = 0
    backend_report: Mapping[str, str] = field(default_factory=dict)
    change: BackendChange | None = None
    no_training: str = ""
    save_problem: str = ""
    stays: bool = True


@dataclass(frozen=True)
class StateAnswer(Answer):
    """The state of the run after a train, pause, resume or stop."""

    state: str
    epoch: int = 0


@dataclass(frozen=True)
class StepAnswer(StepFinished, Answer):
    """Progress after one or several batches, and the state of the run."""

    state: str


@dataclass(frozen=True)
class SetAnswer(Answer):
    """The live setting that was changed."""

    name: str
    value: Value


@dataclass(frozen=True)
class BaselinesAnswer(Answer):
    """Perplexities of n-gram models, measured on the text ``on``: "training" or "held out"."""

    on: str
    uniform: float
    unigram: float
    bigram: float
    trigram: float


@dataclass(frozen=True)
class SaveAnswer(Answer):
    """The folder that was saved: the run's, or that of its copy."""

    path: Path
    name: str = ""
