"""What a session is made of: the folder of a new run, the model and the text of an old one."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from functools import cache
from pathlib import Path

import core
from core.config import RunConfig
from core.corpus.reader import Corpus
from core.corpus.vocabulary import Vocabulary
from core.devices import at_home, prepare
from core.errors import ConfigError, CorpusError, RunError
from core.models.language_model import LanguageModel, build_model
from core.runs.recovery import check_size, mend_vocabulary, text_of, use_last_good, vocabulary_of, weights_of
from core.runs.run import Run, RunFacts, create_run, free_name
from core.training.trainer import Trainer, corpus_of


def new_run(saves: Path, name: str | None, facts: RunFacts, corpus: Corpus) -> Run:
    """The folder of a new run; one without a name gets the next free one, also where others look for one as well."""
    while True:
        chosen = name or free_name(saves, corpus.name)
        try:
            return create_run(saves, chosen, facts, corpus.vocabulary.to_json(), corpus.path, corpus.bytes)
        except RunError:
            if name or not (saves / chosen).exists():
                raise


def load_model(run: Run) -> tuple[LanguageModel, Vocabulary]:
    """The model of a run at its last checkpoint, and its vocabulary: all that writing needs. No lock is taken.

    Raises RunError or another UserError, one sentence.
    """
    facts = run.facts()
    config = at_home(facts.config)
    vocabulary = vocabulary_of(run, facts, lambda source: corpus_of(facts.config, source=source))
    check_size(run, facts, len(vocabulary))
    model = build_model(config, len(vocabulary), prepare(config))
    use_last_good(run, lambda tensors, _: model.load_state_dict(weights_of(model.state_dict(), tensors)))
    return model.eval(), vocabulary


def moved_words(before: RunConfig, here: RunConfig) -> str:
    """What is said of a run that was begun on another machine."""
    return (
        f"this machine has no {before.device} with {before.precision}: the run goes on with device {here.device} and "
        f"{here.precision}, so its numbers will not be the same to the last bit"
    )


def corpus_again(run: Run, facts: RunFacts) -> tuple[Corpus, str]:
    """The text of a run, from its own copy or from where it was. The caller holds the run's lock.

    A damaged vocabulary is written anew; the second value then says what was wrong with it. Raises CorpusError where
    the text is not the same, and RunError where the settings do not belong to the checkpoints.
    """
    corpus, wrong = text_of(run, facts, lambda source: corpus_of(facts.config, source=source))
    check_size(run, facts, len(corpus.vocabulary))
    if wrong:
        mend_vocabulary(run, corpus.vocabulary)
    return corpus, wrong


def trainer_again(run: Run, config: RunConfig, corpus: Corpus) -> Trainer:
    """A trainer for a run's text. Raises RunError where the settings in its folder do not go with it."""
    try:
        return Trainer(config, corpus)
    except (ConfigError, CorpusError) as error:
        raise RunError(f"{run.facts_path} does not go with the run's text and this machine: {error}") from None


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
