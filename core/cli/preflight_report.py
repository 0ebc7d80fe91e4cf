"""What ``python -m core train`` says before its first batch: memory, time where it is known, what speaks against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.corpus.batching_plan import line_spans
from core.devices import devices
from core.runs.pace import paces, shape_of
from core.settings.run_config import shown
from core.training.preflight import TextFacts, device_named, preflight
from core.units import bytes_text

if TYPE_CHECKING:
    from core.engine.session import Session
    from core.training.trainer import Trainer


def preflight_words(session: Session) -> tuple[str, tuple[str, ...]]:
    """One line about the training of ``session``, and warnings; nothing where it cannot train."""
    trainer = session.trainer
    if trainer is None:
        return "", ()
    config, text = trainer.config, text_facts(trainer)
    facts = preflight(config, text, device_named(str(trainer.device), [item.to_json() for item in devices()]))
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


def text_facts(trainer: Trainer) -> TextFacts:
    """What is to be known of the text that ``trainer`` has."""
    corpus = trainer.corpus
    if trainer.config.documents != "lines":
        return TextFacts(len(corpus.ids), len(corpus.vocabulary))
    firsts, lasts = line_spans(corpus.ids, corpus.vocabulary)
    longest = int((lasts - firsts).max()) if len(firsts) else 0
    return TextFacts(len(corpus.ids), len(corpus.vocabulary), len(firsts), longest)
