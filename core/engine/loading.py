"""Loading: the metadata and files of a new run; the corpus, model and trainer of an existing one."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import core
from core.corpus.reader import Corpus, bytes_of
from core.corpus.vocabulary import Vocabulary
from core.devices import at_home, prepare
from core.errors import ConfigError, CorpusError, RunError
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.runs.held_folder import HeldFolder
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.recovery import Read, check_size, mend_vocabulary, text_of, use_last_good, vocabulary_of, weights_of
from core.runs.run import CORPUS, Run
from core.runs.store import LARGEST_CORPUS_COPY, now, write_description
from core.settings.run_config import RunConfig
from core.training.trainer import Trainer, corpus_of


@dataclass(frozen=True)
class LoadedRun:
    """A run in memory, its checkpoint not yet restored into the trainer.

    ``trainer`` is None if the corpus is missing or has changed; ``no_training`` is then the reason, and the model has
    the weights of the checkpoint. ``notes`` are remarks for the journal.
    """

    model: LanguageModel
    vocabulary: Vocabulary
    trainer: Trainer | None = None
    no_training: str = ""
    notes: list[str] = field(default_factory=list)


def new_metadata(trainer: Trainer) -> RunMetadata:
    """The metadata of a new run."""
    corpus = trainer.corpus
    identity = CorpusIdentity(
        corpus.name, corpus.sha256, len(corpus.ids), len(corpus.vocabulary), str(corpus.path.resolve()), corpus.bytes,
        corpus.files,
    )  # fmt: skip
    return RunMetadata(trainer.config, identity, trainer.model.num_parameters(), now(), versions(), trainer.backend)


def write_new_run(folder: HeldFolder, metadata: RunMetadata, corpus: Corpus) -> None:
    """Write the files of a new run: settings, vocabulary, and a copy of exactly the bytes that were read of the text.

    Raises OSError; CorpusError if the text has changed since it was read, and RunError.
    """
    write_description(folder, metadata, corpus.vocabulary.to_json())
    if corpus.bytes <= LARGEST_CORPUS_COPY and corpus.is_one_file:
        with folder.open_new(CORPUS) as file:
            for piece in bytes_of(corpus):
                file.write(piece)


def load_run(run: Run, metadata: RunMetadata, folder: HeldFolder, workers: int | None = None) -> LoadedRun:
    """Load a run; ``folder`` is its held folder. A damaged vocabulary is replaced by that of the text.

    ``workers``: how many processes are to train it, in place of its setting.

    Raises RunError if the settings do not match the checkpoints, or the model cannot be loaded either.
    """
    try:
        corpus, wrong = text_of(run, metadata, _reading(metadata))
    except CorpusError as error:
        return LoadedRun(*load_model(run), no_training=f"this run can write but not train on: {error}")
    check_size(run, metadata, len(corpus.vocabulary))
    notes = [corpus.problem] if corpus.problem else []
    if wrong:
        mend_vocabulary(folder, corpus.vocabulary)
        notes.append(f"{wrong}; it was made again from the text")
    config = at_home(metadata.config)
    if (config.device, config.precision) != (metadata.config.device, metadata.config.precision):
        notes.append(
            f"this machine has no {metadata.config.device} with {metadata.config.precision}: the run continues with "
            f"device {config.device} and {config.precision}, so its numbers will not be the same to the last bit"
        )
    trainer = new_trainer(run, config if workers is None else config.replace(workers=workers), corpus)
    return LoadedRun(trainer.model, corpus.vocabulary, trainer, notes=notes)


def new_trainer(run: Run, config: RunConfig, corpus: Corpus) -> Trainer:
    """A trainer for a run's corpus. Raises RunError if the stored settings do not match it."""
    try:
        return Trainer(config, corpus)
    except (ConfigError, CorpusError) as error:
        raise RunError(f"{run.metadata_path} does not match the run's text and this machine: {error}") from None


def load_model(run: Run) -> tuple[LanguageModel, Vocabulary]:
    """The model of a run at its last checkpoint, and its vocabulary: all that generation needs. Takes no lock.

    Raises RunError or another UserError, one sentence.
    """
    metadata = run.metadata()
    config = at_home(metadata.config)
    vocabulary = vocabulary_of(run, metadata, _reading(metadata))
    check_size(run, metadata, len(vocabulary))
    model = build_model(config, len(vocabulary), prepare(config))
    use_last_good(run, lambda tensors, _: model.load_state_dict(weights_of(model.state_dict(), tensors)))
    return model.eval(), vocabulary


def _reading(metadata: RunMetadata) -> Read:
    """A function that reads a file with the run's settings, up to the bytes that the run has read."""
    return lambda source: corpus_of(metadata.config, source=source, at_most=metadata.corpus.bytes)


@cache
def versions() -> Mapping[str, str]:
    """The versions of the software that computes a run."""
    torch, python = importlib.metadata.version("torch"), platform.python_version()
    return {"rnn-playground": core.__version__, "torch": torch, "python": python, "system": sys.platform}
