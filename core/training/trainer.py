"""Trainer: the training loop, as a generator of events. No printing, no files, no screen.

    trainer = Trainer(RunConfig(corpus="tale-en", num_epochs=20))
    for event in trainer:
        print(event)

The state of the loop is in attributes and not in a suspended frame. So a checkpoint taken between any two batches is
complete, and a run resumed from it gives bit for bit the numbers of the uninterrupted one.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from core.corpus.reader import Corpus, load_corpus
from core.devices import computing, device_facts, usable_device
from core.events import EpochFinished, Event, Note, SettingChanged, State, StateChanged, StepFinished, perplexity
from core.models.implementations import build_model
from core.models.scratch import HiddenState
from core.settings.run_config import RunConfig, live_setting, shown
from core.training.backend import arithmetic, record, report
from core.training.budget import Budget
from core.training.checkpoint_fit import finite_or_none, optimiser_state, read_facts, require_fit
from core.training.cuda_graph import StepGraph, unavailable_reason
from core.training.divergence import PATIENCE, exploded_words, infinite_words, is_exploding
from core.training.generators import Generators
from core.training.optimisation import Optimiser, Schedule, clip_gradients, differentiated, norm_figures
from core.training.preflight import require_memory
from core.training.records import Records, are_finite
from core.training.validation import divided

if TYPE_CHECKING:
    from core.training.distributed import Team

# Seconds between progress reports within a long epoch.
NEWS_EVERY = 0.5
# Seconds for which one call measures a held-out text before it returns.
MEASURING_SECONDS = 0.05


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


class Trainer:
    """One model in training.

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
        with computing(self.config, self.device), self._generators.in_place() if draws else contextlib.nullcontext():
            yield

    @property
    def num_epochs(self) -> int:
        """Where training ends; before the fit of a time budget a number without a meaning."""
        return self.config.num_epochs

    # ------------------------------------------------------------------ the loop

    def __iter__(self) -> Iterator[Event]:
        """Train to the end; yield the events."""
        while not self.finished:
            yield from self.advance()

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do: all epochs done, diverged, or out of patience."""
        return bool(self.diverged) or (self.batch == 0 and (self.epoch >= self.budget.end or self._out_of_patience()))

    def advance(self) -> tuple[Event, ...]:
        """Train one batch; return the events, most often none.

        One may be a note that the CUDA graph is no longer used. After the last batch of an epoch a held-out text is
        measured, a long one over several calls.
        """
        with self.computing():
            notes = self._fit_to_budget()
            if notes and self.finished:
                return notes
            if self.is_measuring:
                return notes + self._finish_epoch()
            began = time.perf_counter()
            rate = self.schedule.rate(self.epoch + self.batch / self.batches.per_epoch, self.budget.end)
            reason = self.graph_unavailable_reason
            self.train_batch(self.epoch, self.batch, rate)
            self.learning_rate_used = rate
            self.batch += 1
            self.step += 1
            if self.graph_unavailable_reason != reason:
                notes += (Note(f"{self.graph_unavailable_reason}; it runs call by call, which is slower"),)
            if self.is_measuring:
                float(self.records.losses[self.batch - 1])  # wait: the work queued on the device is this epoch's
            seconds = time.perf_counter() - began
            self._seconds += seconds
            self._since_report += seconds
            if self.is_measuring:
                return notes + self._finish_epoch()
            return (*notes, self._news()) if self._since_report >= NEWS_EVERY else notes

    def _fit_to_budget(self) -> tuple[Event, ...]:
        """The event of a new fit of epochs and schedule to the time budget, if there is one."""
        event = self.budget.observe(self.epoch, self.batch, self.step)
        if event is None:
            return ()
        self.schedule.fit = self.budget.fit
        self.config = self.config.replace(num_epochs=event.num_epochs)
        return (event,)

    @property
    def is_measuring(self) -> bool:
        """Whether all batches of the epoch are done and the held-out text is being measured."""
        return self.batch == self.budget.batches_of(self.epoch)

    def train_batch(self, epoch: int, batch: int, rate: float) -> None:
        """One step on a batch, within ``computing``: the arithmetic of ``advance``, which all workers of a team do."""
        if self.team is not None:
            self.team.order_batch(epoch, batch, rate)
        self.epoch, self.batch = epoch, batch
        if self.graph is None:
            self._step(rate)
        else:
            self._state = self.graph.train(epoch, batch, rate, self._state)
            self.graph_unavailable_reason = self.graph.unavailable_reason

    def _step(self, rate: float) -> None:
        """One step call by call: the plain twin of ``StepGraph``."""
        config = self.config
        inputs, targets, mask = self.batches.batch(self.epoch, self.batch)
        if self.batch == 0 or not config.carries_state:
            self._state = self.model.begin_state(self.batches.num_rows)
        self.optimiser.rate = rate
        for weight in self._parameters:
            weight.grad = None
        loss, self._state = self.model.loss(inputs, targets, self._state, mask=mask)
        gradients, loss, count = differentiated(loss, self._parameters, targets.numel(), mask, self.team)
        self.records.write(self.batch, loss, clip_gradients(gradients, config.clipping, config.clip), count)
        self.optimiser.step()

    def _finish_epoch(self) -> tuple[Event, ...]:
        batches, loss = self.batch, self.records.mean_loss(self.batch)
        norm, clipped, clip_factor = norm_figures(self.records.norms[:batches], self.config)
        if not (math.isfinite(loss) and math.isfinite(norm) and are_finite(self._parameters)):
            return (self._diverge(),)
        held_out = None
        if self.held_out is not None and (held_out := self._held_out_loss()) is None:
            return ()
        seconds, self._seconds, self._since_report = self._seconds, 0.0, 0.0
        self.epoch, self.batch = self.epoch + 1, 0
        self.schedule.observe(perplexity(loss if held_out is None else held_out))
        event = EpochFinished(
            epoch=self.epoch,
            step=self.step,
            perplexity=perplexity(loss),
            validation_perplexity=None if held_out is None else perplexity(held_out),
            loss=loss,
            gradient_norm=norm,
            learning_rate=self.learning_rate_used,
            tokens_per_second=self._tokens(batches) / seconds if seconds > 0 else 0.0,
            seconds=seconds,
            validation_loss=held_out,
            clipped=clipped,
            clip_factor=clip_factor,
        )
        return event, *self._explosion(event)

    def _explosion(self, event: EpochFinished) -> tuple[StateChanged, ...]:
        """A loss far above that of guessing, for several epochs or at the end of training, is a divergence too."""
        size = len(self.corpus.vocabulary)
        self.exploding_epochs = self.exploding_epochs + 1 if is_exploding(event.loss, size) else 0
        if not self.exploding_epochs or not (self.exploding_epochs >= PATIENCE or self.finished):
            return ()
        self.diverged = exploded_words(event, self.exploding_epochs, size)
        return (StateChanged(State.DIVERGED, self.epoch, self.diverged),)

    def _tokens(self, batches: int) -> float:
        return self.batches.tokens_per_epoch * batches / self.batches.per_epoch

    def _news(self) -> StepFinished | StateChanged:
        """The progress of a long epoch; a divergence is reported before its end."""
        news = self.progress()
        return news if math.isfinite(news.loss) else self._diverge()

    def progress(self) -> StepFinished:
        """The progress of the current epoch; between epochs, the end of the last one."""
        self._since_report = 0.0
        done = self.batch or self.budget.batches_of(self.epoch - 1)
        loss = self.records.mean_loss(done)
        return StepFinished(
            epoch=self.epoch + 1 if self.batch else self.epoch,
            batch=done,
            num_batches=self.batches.per_epoch,
            step=self.step,
            perplexity=perplexity(loss),
            loss=loss,
            learning_rate=self.learning_rate_used,
            tokens_per_second=self._tokens(done) / self._seconds if self._seconds > 0 and self.batch else 0.0,
        )

    def measure(self, is_first: bool) -> float | None:
        """Measure a piece of the held-out text, within ``computing``: the loss in nats after the last, else None."""
        if self.team is not None:
            self.team.order_piece(is_first)
        if is_first and self.held_out is not None:
            self._measuring = self.held_out.measuring(self.model)
        assert self._measuring is not None
        return next(self._measuring)

    def _held_out_loss(self) -> float | None:
        """In nats; None if the time of one call was not enough. A checkpoint in between restarts the measuring."""
        until = time.perf_counter() + MEASURING_SECONDS
        while (measured := self.measure(is_first=self._measuring is None)) is None:
            if time.perf_counter() >= until:
                return None
        self._measuring = None
        found = perplexity(measured)
        self.is_best = found < self.best_validation
        self.epochs_since_best = 0 if self.is_best else self.epochs_since_best + 1
        self.best_validation = min(found, self.best_validation)
        return measured

    def _out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.epochs_since_best

    def is_finite(self) -> bool:
        """Whether every weight, and every loss and gradient of this epoch, is finite."""
        return self.records.are_finite(self.batch) and are_finite(self._parameters)

    def is_sound(self) -> bool:
        """Whether a checkpoint is worth taking: all is finite, and the loss is not exploding."""
        if self.exploding_epochs or not self.is_finite():
            return False
        return not self.batch or not is_exploding(self.records.mean_loss(self.batch), len(self.corpus.vocabulary))

    def _diverge(self) -> StateChanged:
        first = self.records.first_infinite(self.batch)
        if first is None:  # then the last step made the weights non-finite
            first = self.batch - 1
        step = self.step - self.batch + first + 1
        self.diverged = infinite_words(step, first + 1, self.epoch + 1)
        return StateChanged(State.DIVERGED, self.epoch, self.diverged)

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

    # ------------------------------------------------------------------ settings that may change while a run trains

    def set(self, name: str, value: Any) -> SettingChanged:
        """Change ``learning_rate`` or ``num_epochs`` from the next batch on. Raises ConfigError."""
        checked = live_setting(name).check(value)
        assert isinstance(checked, (int, float))
        begun = self.epoch + (self.batch > 0)
        if name == "num_epochs" and checked < begun:
            words = "{num_epochs} must be at least {begun}, the epochs that are done or begun, got {given}"
            raise RunConfig.refusal(name, words, begun=shown(begun), given=shown(checked))
        if name == "learning_rate":
            self.schedule.base = float(checked)
        else:
            self.budget.end_after(int(checked))
            self.schedule.fit = None
            self._measuring = self._measuring if self.is_measuring else None
        self.config = self.config.replace(**{name: checked})
        return SettingChanged(self.epoch, name, checked)

    def renew_budget(self, minutes: float, began: float | None = None) -> SettingChanged:
        """End ``minutes`` after ``began``, a time of the budget's clock, wherever training was to end.

        Epochs and schedule are fitted anew once the pace is measured; until then the rate is that before any decay.
        """
        self.config = self.config.replace(minutes=minutes)
        self.budget = self.budget.renewed(self.config, began)
        self.schedule.config, self.schedule.fit = self.config, None
        self._measuring = self._measuring if self.is_measuring else None
        return SettingChanged(self.epoch, "minutes", minutes)

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
        wanted = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        whole = self.model.begin_state(self.config.batch_size)
        wanted |= {f"state.{index}": tensor for index, tensor in enumerate(whole)}
        wanted |= self.records.tensors() | {"generator.cpu": self._generators.states["generator.cpu"]}
        require_fit(tensors, wanted)
        read = read_facts(facts, self.config, self.batches.per_epoch)
        remembered = optimiser_state(tensors, self.config, self._parameters)
        self.model.load_state_dict({name: tensors[f"model.{name}"] for name in self.model.state_dict()})
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
