"""Reading a run folder that may be damaged: its text, its vocabulary, and its last good checkpoint."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from core.corpus.reader import Corpus
from core.corpus.vocabulary import Vocabulary
from core.errors import CorpusError, RunError
from core.events import NO_CHECKPOINT
from core.files import open_to_read
from core.runs.atomic_write import write_whole
from core.runs.checkpoint import read_checkpoint
from core.runs.checkpoint_header import Opened, read_header
from core.runs.held_folder import HeldFolder
from core.runs.metadata import RunMetadata
from core.runs.run import VOCABULARY, Run
from core.runs.store import LARGEST_CORPUS_COPY, vocabulary_bytes
from core.runs.summary import run_summary
from core.settings.cells import CELLS
from core.settings.run_config import RunConfig

Use = Callable[[dict[str, torch.Tensor], dict[str, Any]], object]
Read = Callable[[Path], Corpus]


def use_last_good(run: Run, use: Use, opened: Opened = open_to_read) -> str:
    """Call ``use`` with the tensors and facts of the last good checkpoint: the latest, or else the best.

    ``use`` raises RunError for a checkpoint that does not match; ``opened``: see ``read_checkpoint``. Returns what was
    wrong with the latest one if the best was used, else an empty text. Raises RunError if neither can be used.
    """
    wrong: list[str] = []
    for path in (run.latest_path, run.best_path):
        if wrong and not os.path.lexists(path):
            break
        try:
            tensors, facts = read_checkpoint(path, opened)
            try:
                use(tensors, facts)
                return "; ".join(wrong)
            except RunError as error:
                raise RunError(f"{path} does not match the run's settings: {error}") from None
        except RunError as error:
            wrong.append(str(error))
    if not os.path.lexists(run.latest_path) and not run_summary(run).epoch:
        raise RunError(f"{wrong[0]}: this run has no saved weights yet")
    raise RunError("; ".join((*wrong, NO_CHECKPOINT)))


def run_text(run: Run, metadata: RunMetadata, read: Read) -> tuple[Corpus, str]:
    """The text of a run, from its copy or from the original path; ``read`` reads a file with the run's settings.

    If the stored vocabulary is damaged, that of the text replaces it, and the second value says what was wrong. Raises
    CorpusError if the text is missing or has changed.
    """
    corpus = _same_text(run, metadata, read)
    try:
        vocabulary = _stored_vocabulary(run)
    except RunError as error:
        return corpus, str(error)
    if corpus.vocabulary != vocabulary:
        raise CorpusError(f"{run.vocabulary_path} does not belong to {corpus.path}")
    return corpus, ""


def vocabulary_of(run: Run, metadata: RunMetadata, read: Read) -> Vocabulary:
    """The vocabulary of a run, from its file or, if that is damaged, from the text. Raises RunError."""
    try:
        return _stored_vocabulary(run)
    except RunError:
        with contextlib.suppress(CorpusError):
            return _same_text(run, metadata, read).vocabulary
        raise


def mend_vocabulary(folder: HeldFolder, vocabulary: Vocabulary) -> None:
    """Write ``vocabulary.json`` again, if the disk permits."""
    with contextlib.suppress(OSError):
        write_whole(folder, VOCABULARY, vocabulary_bytes(vocabulary.to_json()))


def _stored_vocabulary(run: Run) -> Vocabulary:
    try:
        return Vocabulary.from_json(run.vocabulary_json())
    except CorpusError as error:
        raise RunError(f"{run.vocabulary_path} cannot be used: {str(error)[:200]}") from None


def _same_text(run: Run, metadata: RunMetadata, read: Read) -> Corpus:
    wrong: list[str] = []
    for source in (run.corpus_path, Path(metadata.corpus.path)):
        try:
            if source == run.corpus_path:
                if not os.path.lexists(source):
                    continue
                if source.stat().st_size > LARGEST_CORPUS_COPY:
                    raise CorpusError(f"{source} is larger than the copy of a text in a run can be")
            corpus = read(source)
            if corpus.sha256 != metadata.corpus.sha256:
                raise CorpusError(f"{source} is not the text that the run began with: its sha256 has changed")
            origin = Path(metadata.corpus.path) if source == run.corpus_path else None
            return dataclasses.replace(corpus, name=metadata.corpus.name, origin=origin)
        except CorpusError as error:
            wrong.append(str(error))
        except (OSError, ValueError) as error:  # a broken link, a path with a zero byte
            wrong.append(f"{source} cannot be read: {error}")
    raise CorpusError(wrong[0])


def check_size(run: Run, metadata: RunMetadata, vocabulary: int) -> None:
    """Raise RunError if the checkpoints have fewer weights than the model that ``run.json`` describes.

    To be called before the model is built: a damaged number in ``run.json`` must not fill the memory.
    """
    wrong: list[str] = []
    least = _least_weights(metadata.config, vocabulary)
    if least > metadata.parameters:
        raise RunError(
            f"{run.metadata_path} is damaged: it counts {metadata.parameters:,} weights, and its settings need "
            f"{least:,} or more"
        )
    for path in (run.latest_path, run.best_path):
        if os.path.lexists(path):
            try:
                shapes = read_header(path).shapes
            except RunError as error:
                wrong.append(str(error))
                continue
            held = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("model."))
            if least <= held:
                return
            wrong.append(
                f"{path} belongs to another model than {run.metadata_path}: it has {held:,} weights, and the settings "
                f"need {least:,} or more"
            )
    if wrong:
        raise RunError("; ".join((*wrong, NO_CHECKPOINT)))


def _least_weights(config: RunConfig, vocabulary: int) -> int:
    """A lower bound of the number of weights: those between hidden units, and the embedding."""
    matrices = config.num_layers * (2 if config.bidirectional else 1) * len(CELLS[config.cell].gates)
    return matrices * config.num_hiddens**2 + config.embedding_size * vocabulary
