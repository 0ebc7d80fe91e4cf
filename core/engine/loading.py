"""What a session is made of: the folder of a new run, the model and the text of an old one."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from functools import cache

import core
from core.corpus.reader import Corpus, bytes_of
from core.corpus.vocabulary import Vocabulary
from core.devices import at_home, prepare
from core.errors import ConfigError, CorpusError, RunError
from core.models.language_model import LanguageModel, build_model
from core.runs.held_folder import HeldFolder
from core.runs.metadata import RunMetadata
from core.runs.recovery import Read, check_size, mend_vocabulary, text_of, use_last_good, vocabulary_of, weights_of
from core.runs.run import CORPUS, Run
from core.runs.store import LARGEST_CORPUS_COPY, write_description
from core.settings.run_config import RunConfig
from core.training.trainer import Trainer, corpus_of


def write_new_run(folder: HeldFolder, metadata: RunMetadata, corpus: Corpus) -> None:
    """Write what a new run is: settings, vocabulary, and a copy of exactly the bytes that were read of the text.

    Raises OSError; CorpusError where the text has become another one since, and RunError.
    """
    write_description(folder, metadata, corpus.vocabulary.to_json())
    if corpus.bytes <= LARGEST_CORPUS_COPY:
        with folder.open_new(CORPUS) as file:
            for piece in bytes_of(corpus):
                file.write(piece)


def load_model(run: Run) -> tuple[LanguageModel, Vocabulary]:
    """The model of a run at its last checkpoint, and its vocabulary: all that writing needs. No lock is taken.

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
    """Reads a file as the run's settings say, and no more of it than the run read: the text may have grown since."""
    return lambda source: corpus_of(metadata.config, source=source, at_most=metadata.corpus.bytes)


def moved_words(before: RunConfig, here: RunConfig) -> str:
    """What is said of a run that was begun on another machine."""
    return (
        f"this machine has no {before.device} with {before.precision}: the run goes on with device {here.device} and "
        f"{here.precision}, so its numbers will not be the same to the last bit"
    )


def corpus_again(run: Run, metadata: RunMetadata, folder: HeldFolder) -> tuple[Corpus, str]:
    """The text of a run, from its own copy or from where it was; ``folder`` is the run's.

    A damaged vocabulary is written anew; the second value then says what was wrong with it. Raises CorpusError where
    the text is not the same, and RunError where the settings do not belong to the checkpoints.
    """
    corpus, wrong = text_of(run, metadata, _reading(metadata))
    check_size(run, metadata, len(corpus.vocabulary))
    if wrong:
        mend_vocabulary(folder, corpus.vocabulary)
    return corpus, wrong


def trainer_again(run: Run, config: RunConfig, corpus: Corpus) -> Trainer:
    """A trainer for a run's text. Raises RunError where the settings in its folder do not go with it."""
    try:
        return Trainer(config, corpus)
    except (ConfigError, CorpusError) as error:
        raise RunError(f"{run.metadata_path} does not go with the run's text and this machine: {error}") from None


@cache
def _version_of_torch() -> str:
    return importlib.metadata.version("torch")


def versions() -> dict[str, str]:
    """What computed a run."""
    return {
        "rnn-playground": core.__version__,
        "torch": _version_of_torch(),
        "python": platform.python_version(),
        "system": sys.platform,
    }
