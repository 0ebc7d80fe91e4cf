"""``python -m core lab``: an experiment of the sequence laboratory as tables and sentences."""

from __future__ import annotations

import argparse
from textwrap import fill

from core.cli.printing import print_table, put
from core.laboratory import outcome
from core.laboratory.outcome import EpochDone, Experiment, number
from core.process import resume_collection
from core.settings.laboratory_config import PUBLISHED, PUBLISHED_SOURCE, SequenceConfig
from core.settings.setting import key_values
from core.units import counted

COLUMNS = 8
WIDTH = 100


def lab(options: argparse.Namespace) -> int:
    config = SequenceConfig().with_texts(key_values(options.set, "tau=8"))

    from core.laboratory.experiment import steps

    resume_collection()
    for event in steps(config):
        if isinstance(event, EpochDone):
            if options.json:
                put(event.to_json())
        elif event is not None:
            put(event.to_json()) if options.json else _print_experiment(event)
    return 0


def _print_experiment(experiment: Experiment) -> None:
    """Losses by epoch, errors by steps ahead, and what they mean."""
    config, outcomes = experiment.config, experiment.outcomes
    print(
        f"{counted(config.points, 'point')} of sin({config.frequency:g} time) + N(0, {config.noise:g}), "
        f"seed {config.seed}: {' and '.join(one.title for one in outcomes)} in {experiment.seconds:.2f} s\n"
    )
    epochs = outcome.chosen_epochs(config.num_epochs, COLUMNS)
    rows = [["loss after epoch", *map(str, epochs)]]
    if config.is_the_books:
        rows.append([f"  published ({PUBLISHED_SOURCE})", *(f"{PUBLISHED[epoch - 1]:.4f}" for epoch in epochs)])
    rows += [[f"  {one.title}", *(outcome.loss_text(one.losses[epoch - 1]) for epoch in epochs)] for one in outcomes]
    _print_figures(rows)
    rows = [["error (RMSE)", "multi-step", *(f"k = {steps}" for steps in config.steps_ahead)]]
    for one in outcomes:
        ahead = [number(one.errors[steps - 1]) for steps in config.steps_ahead]
        rows.append([f"  {one.title}", number(one.multi_step.error(experiment.data)), *ahead])
    _print_figures(rows)
    words = [
        describe(experiment) for describe in (outcome.loss_words, outcome.one_step_words, outcome.multi_step_words)
    ]
    words += [*(outcome.ahead_words(experiment, one) for one in outcomes), outcome.errors_words(experiment)]
    print("\n".join(fill(sentence, WIDTH) for sentence in words if sentence))


def _print_figures(rows: list[list[str]]) -> None:
    print_table(rows, right=frozenset(range(1, len(rows[0]))))
    print()
