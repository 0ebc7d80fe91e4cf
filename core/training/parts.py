"""The parts of a training: model, text, optimiser, schedule, budget and records; built, saved and restored, divided.

The state of the loop is in attributes and not in a suspended frame. So a checkpoint taken between any two batches is
complete, and a run resumed from it gives bit for bit the numbers of the uninterrupted one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from core.corpus.reader import Corpus, load_corpus
from core.devices import computing, device_facts, threads_of, usable_device
from core.models.implementations import build_model
from core.models.scratch import HiddenState
from core.settings.run_config import RunConfig
from core.training.backend import arithmetic, record, report
from core.training.budget import Budget
from core.training.checkpoint_fit import finite_or_none, optimiser_state, read_facts, require_tensors, weights_of
from core.training.cuda_graph import StepGraph, unavailable_reason
from core.training.generators import Generators
from core.training.optimisation import Optimiser, Schedule
from core.training.preflight import require_memory
from core.training.records import Records
from core.training.validation import divided

if TYPE_CHECKING:
    from core.training.distributed import Team


def corpus_of(config: RunConfig, data_dir: Path | None = None, source: Path | None = None, at_most: int = 0) -> Corpus:
    """The text of a configuration (or the one at ``source``), read with its settings; see ``load_corpus``.

    Raises CorpusError.
    """
    return load_corpus(
        str(source) if source is not None else config.corpus,
        normalise=config.normalise,
        tokens=config.tokens,
        max_tokens=config.max_tokens,
        min_freq=config.min_freq,
        reserved=config.reserved_tokens,
        data_dir=data_dir,
        at_most=at_most,
    )


class TrainingParts:
    """What one training is made of; ``Trainer`` trains it.

    Attributes:
        model: the ``LanguageModel`` in training; it may be used between batches.
        epoch: finished epochs; batch: finished batches of the epoch in progress; step: batches in all.
        budget: where training ends: after ``num_epochs``, or with the time budget.
        exploding_epochs: the number of consecutive epochs, up to the last, with a loss far above that of guessing.
        graph_unavailable_reason: why the step is not replayed from a CUDA graph; empty if it is.
        records: what each batch of the epoch came to; graph: its steps in a CUDA graph, None where there is none.
        team: the workers that train the model together, see ``join``; None while this process trains alone.
    """

    def __init__(self, config: RunConfig, corpus: Corpus | None = None) -> None:
        """Raises ConfigError or CorpusError if the settings do not fit the text or the machine."""
        self.config = config
        self.corpus = corpus = corpus if corpus is not None else corpus_of(config)
        self.device = usable_device(config)
        self._threads = threads_of(config)
        facts = device_facts(self.device)
        require_memory(config, len(corpus.vocabulary), facts.name, facts.memory_total)
        self.team: Team | None = None
        self.batches, self.held_out = divided(corpus, config, self.device)
        with computing(config, self.device):
            self._generators = Generators(config.seed, self.device)
            with self._generators.in_place():
                self._build()

    def _build(self) -> None:
        """Build the model, the optimiser and the state of the loop."""
        config = self.config
        self.model = build_model(config, len(self.corpus.vocabulary), self.device)
        self.model.train()
        self._parameters = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.graph_unavailable_reason = unavailable_reason(self.device, config)
        self._rate = None if self.graph_unavailable_reason else torch.tensor(config.learning_rate, device=self.device)
        self.optimiser = Optimiser(config, self._parameters, self._rate)
        self.schedule = Schedule(config, config.learning_rate)
        self.budget = Budget(config, self.batches.per_epoch)
        self.epoch = self.batch = self.step = 0
        self.best_validation = math.inf
        self.epochs_since_best = 0
        self.is_best = False
        self.diverged = ""
        self.exploding_epochs = 0
        self.records = Records(self.batches.per_epoch, self.device)
        self._seconds = 0.0
        self._since_report = 0.0
        self.learning_rate_used = config.learning_rate
        self._begin_with_rows()

    def _begin_with_rows(self) -> None:
        """Build what depends on the rows of each batch that are trained here; their states are zeros."""
        self._state = self.model.begin_state(self.batches.num_rows)
        self._measuring: Iterator[float | None] | None = None
        self.graph: StepGraph | None = None
        if self._rate is not None:
            self.graph = StepGraph(
                self.model, self.batches, self.config, self.optimiser, self._rate, self.records, self.team
            )

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Set up the process for this trainer, with its own random numbers if it draws any."""
        draws = self.config.dropout > 0 or self.config.weight_dropout > 0
        with (
            computing(self.config, self.device, self._threads),
            self._generators.in_place() if draws else contextlib.nullcontext(),
        ):
            yield

    @property
    def num_epochs(self) -> int:
        """Where training ends; before the fit of a time budget a number without a meaning."""
        return self.config.num_epochs

    @property
    def backend_report(self) -> dict[str, str]:
        """How this run computes, in words; see ``core.training.backend``."""
        with self.computing():
            return report(self.config, self.device, self.graph_unavailable_reason)

    @property
    def backend(self) -> dict[str, str]:
        """How this run computes, to be compared; see ``core.training.backend``."""
        with self.computing():
            return record(self.config, self.device, self.graph_unavailable_reason, self.team.size if self.team else 1)

    # ------------------------------------------------------------------ checkpoints

    def checkpoint(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """All that an exact resume needs, as tensors and JSON-able facts. The tensors are not copies."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, weight in enumerate(self._parameters):
            for key, value in self.optimiser.state.get(weight, {}).items():
                tensors[f"optimiser.{index}.{key}"] = value
        tensors |= {f"state.{index}": tensor for index, tensor in enumerate(self.whole_state())}
        tensors |= self.records.tensors() | self._generators.states
        facts = {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "seconds": self._seconds,
            "learning_rate": self.schedule.base,
            "num_epochs": self.num_epochs,
            "best_validation": finite_or_none(self.best_validation),
            "epochs_since_best": self.epochs_since_best,
            "budget": self.budget.facts(),
            "order": self.batches.order,
            "plateau": [finite_or_none(self.schedule.best), self.schedule.epochs_since_best, self.schedule.factor],
        }
        return tensors, facts

    def restore(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Restore a checkpoint. Raises RunError, and changes nothing, if it does not fit this model."""
        weights, whole = weights_of(self.model, tensors), self.model.begin_state(self.config.batch_size)
        wanted = {f"state.{index}": tensor for index, tensor in enumerate(whole)} | self.records.tensors()
        require_tensors(tensors, wanted | {"generator.cpu": self._generators.states["generator.cpu"]})
        read = read_facts(facts, self.config, self.batches.per_epoch)
        remembered = optimiser_state(tensors, self.config, self._parameters)
        self.model.load_state_dict(weights)
        self.optimiser.state.clear()
        self.optimiser.state.update(remembered)
        self._state = self._own_rows(tuple(tensors[f"state.{index}"].to(self.device) for index in range(len(whole))))
        self.records.restore(tensors)
        self._generators.restore(tensors)
        self.batches.keep_order(read.order)
        if self.graph is not None:
            self.graph.forget()
        self.epoch, self.batch, self.step = read.epoch, read.batch, read.step
        self.config, self.schedule, self.budget = read.config, read.schedule, read.budget
        self.best_validation, self.epochs_since_best = read.best_validation, read.epochs_since_best
        self.diverged, self._seconds, self._since_report, self._measuring = "", read.seconds, 0.0, None
        self.exploding_epochs = 0  # a checkpoint is never taken during an explosion
        # If only the measuring of an epoch is left, no batch sets it.
        last = (read.epoch, read.batch) if read.batch else (read.epoch - 1, read.budget.batches_of(read.epoch - 1))
        before = max(0.0, last[0] + (last[1] - 1) / self.batches.per_epoch)
        self.learning_rate_used = read.schedule.rate(before, read.budget.end)
        if self.team is not None and self.team.leads:
            self.team.hand_out(tensors, facts)

    # ------------------------------------------------------------------ several workers

    def join(self, team: Team) -> None:
        """Train together with the other workers of ``team``, whose leader this process is, from the next batch on.

        Raises RunError if one of them cannot train this model, WorkersLostError if one is lost.
        """
        tensors, facts = self.checkpoint()
        team.build(self.config, self.device, self.corpus)
        self.take_part(team)
        self._state = self._own_rows(tuple(tensors[f"state.{index}"] for index in range(len(self._state))))
        team.report(arithmetic(self.backend))
        team.hand_out(tensors, facts)

    def leave(self) -> None:
        """Train alone again. If the team is broken, the hidden states are lost: ``restore`` a checkpoint."""
        if self.team is not None:
            state = None if self.team.is_broken else self.whole_state()
            self.take_part(None)
            self._state = self._state if state is None else state

    def take_part(self, team: Team | None) -> None:
        """Have the rows of each batch that a worker of ``team`` has, their states zeros; without a team all rows."""
        self.team = team
        rows = self.config.batch_size
        self.batches.keep_rows(slice(0, rows) if team is None else team.part(rows))
        if self.held_out is not None:
            self.held_out.team = team
        self.model.part = None if team is None else team.rows(rows)
        with self.computing():
            self._begin_with_rows()

    def whole_state(self) -> HiddenState:
        """The states of all rows of a batch, also of those that other workers have; all of them take part in it."""
        if self.team is None:
            return self._state
        self.team.order_states()
        return self.team.whole(self._state, self.config.batch_size)

    def _own_rows(self, state: HiddenState) -> HiddenState:
        return state if self.team is None else tuple(tensor[:, self.batches.rows].contiguous() for tensor in state)
