"""Loading: the metadata and files of a new run; the corpus, model and trainer of an existing one."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

import core
from core.corpus.ids import Ids
from core.corpus.reader import Corpus, bytes_of
from core.corpus.vocabulary import Vocabulary
from core.devices import at_home, prepare
from core.errors import ConfigError, CorpusError, RunError
from core.files import open_to_read
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.runs.checkpoint import read_checkpoint
from core.runs.checkpoint_header import Opened
from core.runs.held_folder import HeldFolder
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.recovery import Read, check_size, mend_vocabulary, run_text, use_last_good, vocabulary_of
from core.runs.run import CORPUS, Run
from core.runs.store import LARGEST_CORPUS_COPY, now, write_description
from core.runs.summary import from_best_words
from core.settings.run_config import RunConfig
from core.training.checkpoint_fit import weights_of
from core.training.generators import Generators
from core.training.parts import corpus_of
from core.training.trainer import Trainer


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


@dataclass(frozen=True, eq=False)
class StoredModel:
    """The model of a run on the disk.

    ``epoch`` counts the finished epochs of its weights, ``checkpoint`` is one of ``CHECKPOINTS``. ``remark`` is a
    sentence if the best checkpoint is used because the latest one is damaged.
    """

    model: LanguageModel
    vocabulary: Vocabulary
    epoch: int
    checkpoint: str
    remark: str = ""


def new_metadata(trainer: Trainer) -> RunMetadata:
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
        corpus, wrong = run_text(run, metadata, _reading(metadata))
    except CorpusError as error:
        stored = load_model(run)
        return LoadedRun(
            stored.model, stored.vocabulary, notes=[stored.remark] if stored.remark else [],
            no_training=f"this run can generate text but not continue training: {error}",
        )  # fmt: skip
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


def stored_model(
    run: Run, checkpoint: str | None, device: torch.device | str = "cpu", opened: Opened = open_to_read
) -> StoredModel:
    """The model of a run on the disk. Takes no lock.

    ``checkpoint`` is one of ``CHECKPOINTS``, by default the latest; the initial weights are drawn again from the seed,
    and no random number of this process is taken. ``opened`` opens the checkpoint. Raises RunError or another
    UserError.
    """
    metadata = run.metadata()
    config = at_home(metadata.config)
    vocabulary = vocabulary_of(run, metadata, _reading(metadata))
    check_size(run, metadata, len(vocabulary))
    with torch.random.fork_rng([]), Generators(config.seed, torch.device("cpu")).in_place():
        model = build_model(config, len(vocabulary))
    model, epoch, wrong = model.to(device).eval(), 0, ""

    def use(tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        nonlocal epoch
        model.load_state_dict(weights_of(model, tensors))
        epoch = int(facts.get("epoch", 0))

    if checkpoint == "best":
        use(*read_checkpoint(run.best_path, opened))
    elif checkpoint != "first":
        wrong = use_last_good(run, use, opened)
    if wrong:
        return StoredModel(model, vocabulary, epoch, "best", from_best_words(wrong, epoch))
    return StoredModel(model, vocabulary, epoch, checkpoint or "latest")


def load_model(run: Run) -> StoredModel:
    """The model of a run at its last checkpoint: all that generation needs.

    Sets torch up as the run's settings say. Raises like ``stored_model``.
    """
    return stored_model(run, None, prepare(at_home(run.metadata().config)))


def own_ids(run: Run) -> Ids | None:
    """The ids of a run's whole text; None if that is missing or has changed."""
    metadata = run.metadata()
    with contextlib.suppress(CorpusError):
        return run_text(run, metadata, _reading(metadata))[0].ids
    return None


def _reading(metadata: RunMetadata) -> Read:
    """A function that reads a file with the run's settings, up to the bytes that the run has read."""
    return lambda source: corpus_of(metadata.config, source=source, at_most=metadata.corpus.bytes)


@cache
def versions() -> Mapping[str, str]:
    """The versions of the software that computes a run."""
    python = platform.python_version()
    return {
        "rnn-playground": core.__version__, "torch": importlib.metadata.version("torch"), "python": python,
        "system": sys.platform,
    }  # fmt: skip
