"""A training on the command line: the estimates before it, its progress, and how it ended."""

from __future__ import annotations

import shlex
import sys

from core import output
from core.cli.printing import ProgressLine, bar, perplexity_figure, printable, put, saves_flag
from core.corpus.batching_plan import line_sizes
from core.devices import devices
from core.engine.description import describe
from core.engine.session import Session
from core.events import (
    NO_CHECKPOINT,
    BudgetFitted,
    EpochFinished,
    Event,
    Note,
    SampleWritten,
    SettingChanged,
    State,
    StateChanged,
    StepFinished,
)
from core.record import record_as_json
from core.runs.pace import paces, shape_of
from core.settings.run_config import shown
from core.training.backend import words as backend_words
from core.training.preflight import TextFacts, device_named, preflight
from core.training.trainer import Trainer
from core.units import bytes_text, clock_text, counted


class TrainingReport:
    """Shows a training as JSON lines, as a bar on a terminal, or as ten lines in a file."""

    def __init__(self, session: Session, as_json: bool) -> None:
        self._session = session
        self._as_json = as_json
        self._progress = ProgressLine(not as_json)
        self._last: EpochFinished | None = None
        self._milestone = 0
        self._has_reader = True

    def begin(self) -> None:
        """Print the model, the text, the estimates and the warnings."""
        self._introduce()
        self._check_output()

    def _introduce(self) -> None:
        run = describe(self._session)
        if self._as_json:
            values = record_as_json(run)
            facts = {name: values[name] for name in ("name", "run", "parameters", "vocabulary", "device")}
            put({"event": "run", **facts, "ways": values["backend_report"]})
            return
        config, corpus = run.config, self._session.metadata.corpus
        print(
            f"{printable(run.name)}: {config.implementation} {config.cell}, {config.num_hiddens} hidden, "
            f"{counted(run.parameters, 'parameter')}, on {run.device}; {printable(corpus.name)}: "
            f"{counted(corpus.tokens, 'token')}, vocabulary {shown(corpus.vocabulary)}, "
            f"{counted(run.batches_per_epoch, 'batch', 'batches')} an epoch"
        )
        if run.backend_report:
            print(printable(backend_words(run.backend_report)))
        estimates, warnings = _preflight_words(self._session)
        if estimates:
            print(printable(estimates))
        trainer = self._session.trainer
        kept = [trainer.corpus.problem] if trainer is not None and trainer.corpus.problem else []
        for warning in (*kept, *warnings):
            print(f"warning: {printable(warning)}", file=sys.stderr)

    def show(self, event: Event) -> None:
        """Show one event. Training continues where standard output fails, which is reported once."""
        self._show(event)
        self._check_output()

    def _check_output(self) -> None:
        if self._has_reader and (reason := output.failure()):
            self._has_reader = False
            words = f"standard output cannot be written ({reason}): training continues, and the journal has every line"
            self._session.note(words)
            print(words, file=sys.stderr)

    def _show(self, event: Event) -> None:
        if self._as_json:
            put(event.to_json())
        elif isinstance(event, EpochFinished):
            self._last = event
            self._show_epoch(event)
        elif isinstance(event, StepFinished):
            figure = perplexity_figure(event.perplexity, event.loss)
            self._progress.draw(
                f"epoch {event.epoch:,} · batch {event.batch:,}/{event.num_batches:,} · perplexity {figure}"
            )
        elif isinstance(event, SampleWritten):
            self._progress.print(f"  epoch {event.epoch:>5,}  {printable(event.prefix + event.text)}")
        elif isinstance(event, Note):
            self._progress.print(printable(event.text))
        elif isinstance(event, BudgetFitted):
            self._progress.print(event.words())
        elif isinstance(event, SettingChanged):
            self._progress.print(printable(f"{event.name} is {shown(event.value)} from now on"))
        elif isinstance(event, StateChanged) and event.message and event.state not in (State.FAILED, State.DIVERGED):
            self._progress.print(printable(event.message))

    def _show_epoch(self, event: EpochFinished) -> None:
        trainer = self._session.trainer
        assert trainer is not None
        budget, total = trainer.budget, trainer.num_epochs
        heading = f"epoch {event.epoch:>5,}/{'?' if budget.is_waiting else f'{total:,}'}"
        if budget.is_waiting:
            total = max(total, event.epoch + 1)
        seconds = (total - event.epoch) * event.seconds if budget.left is None else max(0.0, budget.left)
        if self._progress.is_on:
            if self._progress.is_due() or event.epoch == total:
                left = clock_text(seconds)
                self._progress.draw(f"{heading} {bar(event.epoch, total)} {_figures(event)} · {left} left")
        elif event.epoch * 10 // total > self._milestone or event.epoch == total:
            self._milestone = event.epoch * 10 // total
            print(f"{heading}  {_figures(event)}", flush=True)

    def end(self) -> None:
        """Print how the training ended and the command to continue with."""
        if self._as_json:
            return
        run, state = self._session.run, self._session.state
        if self._last is not None:
            self._progress.print(f"epoch {self._last.epoch:,}: {_figures(self._last)}")
        if self._session.folder.lost:
            return  # there is no run to continue with
        place = saves_flag(run.path.parent)
        name = shlex.quote(run.name)
        if not self._session.save_problem:
            kept = "has failed; its checkpoints are" if state == State.FAILED else f"is {state} and saved"
            self._progress.print(printable(f"{run.name} {kept} in {run.path}"))
        trainer = self._session.trainer
        if self._session.message.endswith(NO_CHECKPOINT):
            return
        if state == State.DIVERGED and trainer is not None:
            rate = f"--set learning_rate={trainer.config.learning_rate / 10:g}"
            print(printable(f"python -m core resume {name}{place} {rate} continues it at a tenth of the rate"))
        elif state in (State.STOPPED, State.FAILED):
            print(printable(f"python -m core resume {name}{place} continues it"))
        elif not self._session.metadata.config.bidirectional:  # a bidirectional model cannot write
            print(printable(f"python -m core generate {name}{place} --prefix TEXT generates a text"))


def _figures(event: EpochFinished) -> str:
    training = perplexity_figure(event.perplexity, event.loss)
    beside = ""
    if event.validation_perplexity is not None:
        beside = f" · held out {perplexity_figure(event.validation_perplexity, event.validation_loss)}"
    return f"training perplexity {training:>8}{beside} · {event.tokens_per_second:,.0f} tokens/s"


def _preflight_words(session: Session) -> tuple[str, tuple[str, ...]]:
    """One line of estimates for the training of ``session``, and warnings; empty if it cannot train."""
    trainer = session.trainer
    if trainer is None:
        return "", ()
    config, text = trainer.config, _text_facts(trainer)
    facts = preflight(config, text, device_named(str(trainer.device), devices()))
    memory = facts.memory
    words = (
        f"memory about {bytes_text(memory.total)}: weights and gradients "
        f"{bytes_text(memory.weights + memory.gradients)}, optimiser {bytes_text(memory.optimiser)}, activations "
        f"{bytes_text(memory.activations)}"
    )
    pace = paces(session.run.path.parent).get(shape_of(config, text.vocabulary))
    if pace is not None:
        seconds = trainer.batches.tokens_per_epoch / pace.tokens_per_second
        words += f"; about {shown(float(f'{seconds:.2g}'))} s an epoch, as measured in {pace.run}"
    return f"{words}; {facts.cut}" if facts.cut else words, facts.warnings


def _text_facts(trainer: Trainer) -> TextFacts:
    """The sizes of the text of ``trainer``."""
    corpus = trainer.corpus
    if trainer.config.documents != "lines":
        return TextFacts(len(corpus.ids), len(corpus.vocabulary), known=corpus.vocabulary)
    lines, longest, _ = line_sizes(corpus.ids, corpus.vocabulary, trainer.config.num_steps)
    return TextFacts(len(corpus.ids), len(corpus.vocabulary), lines, longest, corpus.vocabulary)
