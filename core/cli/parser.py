"""All commands of ``python -m core`` with their flags.

A command is the name of a function, ``MODULE.FUNCTION`` in this package, so that ``--help`` and a wrong flag import no
command: see ``core.cli.main``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from core.cli.printing import SAVES
from core.errors import UserError
from core.export.formats import ENDINGS, FORMATS
from core.generation.options import OPTIONS
from core.inspection.options import CHECKPOINTS, VECTORS, VIEWS
from core.runs.filter import SORT_KEYS
from core.runs.metrics import AXES, METRICS
from core.scales import SCALES
from core.settings.run_config import setting

_CORPUS = "a bundled or downloaded text, a file (also .gz, .zst), a folder, or a pattern such as 'texts/*.txt'"


class _Parser(argparse.ArgumentParser):
    """Takes names on both sides of a flag, as in ``tag one --add best two``; an error names the command's own help."""

    _has_commands = _is_intermixed = False

    def add_subparsers(self, **settings: Any) -> Any:
        self._has_commands = True
        return super().add_subparsers(**settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = super().parse_known_args(args, namespace)
        if self._is_intermixed:  # called by parse_known_intermixed_args
            return options, unknown
        if unknown and not self._has_commands:  # not at once: Python 3.11 mixes up what follows -- there
            self._is_intermixed = True
            options, unknown = self.parse_known_intermixed_args(args, namespace)
        if unknown:  # argparse would leave them to the parser above, which names its own help
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    top = _Parser(prog="python -m core", description="Recurrent language models from the command line.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, path: str, help: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
        made.set_defaults(command=path)
        return made

    stats = command("stats", "stats.stats", "statistics of a text: vocabulary, n-grams, one-hot shapes, batches")
    _add_text_flags(stats)
    train = command("train", "train.train", "train a new run")
    _add_run_flags(train)
    train.add_argument("--name", metavar="RUN", help="name of the run; by default made from the name of the text")
    train.add_argument("--tag", action="append", default=[], metavar="TAG", help="a tag of the run; may be repeated")
    resume = command("resume", "train.resume", "continue a run exactly from its last checkpoint")
    resume.add_argument("run", metavar="RUN")
    resume.add_argument("--epochs", metavar="N", help="total number of epochs to train to")
    words = (
        "a new time budget, from the start of this command, in place of the end that the run has: epochs and schedule "
        "are fitted to it anew, and it is kept in the run; without it a run resumes exactly"
    )
    resume.add_argument("--minutes", metavar="M", help=words)
    live = "learning_rate or num_epochs, from now on; may be repeated"
    resume.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=live)
    same = "keep the run's kernels, threads and device, where this machine would choose others"
    resume.add_argument("--as-before", action="store_true", help=same)
    generate = command("generate", "generate.generate", "generate text with a run")
    generate.add_argument("run", metavar="RUN")
    _add_generation_flags(generate)
    runs = command("runs", "runs.list_all", "list the saved runs; rename, copy, delete and restore them")
    _add_runs_commands(runs)
    sweep = command("sweep", "sweep.sweep", "train many runs that differ in settings: a grid, or a search by Optuna")
    _add_run_flags(sweep)
    _add_sweep_flags(sweep)
    inspect = command("inspect", "inspect.inspect", "look inside a run: a step, gradients, units, saliency, tokens")
    inspect.add_argument("run", metavar="RUN")
    _add_inspection_flags(inspect)
    export = command("export", "export.export", "export runs: figures, charts, samples, weights")
    _add_export_flags(export)
    presets = command("presets", "presets.presets", "list the presets with their published figures; save your own")
    _add_presets_commands(presets)
    bench = command("bench", "bench.bench", "measure this machine: the textbook's loops, ours and the limit, in turn")
    bench.add_argument("--case", action="append", default=[], metavar="NAME", help="only this case; may be repeated")
    bench.add_argument("--rounds", type=int, metavar="N", help="number of measurements of each contestant")
    bench.add_argument("--cuda", action="store_true", help="the cases of a GPU, with the goals for an H100")
    words = "the cases of N processes that train one model, against one process with the same cores"
    bench.add_argument("--workers", type=int, metavar="N", help=words)
    words = "the share of the matrix products' speed, by cell, size and precision"
    bench.add_argument("--shares", action="store_true", help=words)
    bench.add_argument("--quick", action="store_true", help="tiny cases that end in seconds; only a smoke test")
    lab = command("lab", "laboratory.lab", "the sequence laboratory: predict a noisy sine wave near and far ahead")
    download = command("download", "download.download", "download a known text; without a name, list them")
    download.add_argument("name", nargs="?", metavar="NAME")
    cache = command("cache", "cache.cache", "the tokens of large texts that are kept for the next start; clear them")
    _add_action(cache.add_subparsers(metavar="ACTION"), "cache.clear", "remove them all")
    engine = command("engine", "engine.engine", "serve a run to the playground; without a run, wait for one")
    engine.add_argument("run", nargs="?", metavar="RUN")
    top.set_defaults(computes=False)
    for made in (train, resume, generate, inspect, bench, lab, engine):
        made.set_defaults(computes=True)
    for made in (train, sweep, resume):
        words = "processes that train a model together; 0: one for each GPU, 1 on a CPU"
        made.add_argument("--workers", metavar="N", help=words)
    for made in (train, sweep, lab):
        made.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; may be repeated"
        )
    for made in (stats, train, sweep, download):
        made.add_argument("--data", type=_folder, metavar="DIR", help="folder of the bundled and downloaded texts")
    for made in (train, resume, sweep, generate, runs, inspect, export, engine):
        made.add_argument("--saves", type=_folder, default=SAVES, metavar="DIR", help="folder of the runs")
    for made in (stats, train, resume, sweep, generate, runs, inspect, export, presets, bench, lab, download, cache):
        made.add_argument("--json", action="store_true", help="one JSON object a line")
    return top


def _folder(text: str) -> Path:
    if not text:  # the working folder, for Path
        raise argparse.ArgumentTypeError("name a folder, got ''")
    return Path(text)


def _destination(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("name a file or a folder, or - for standard output, got ''")
    return text


def _add_run_flags(made: argparse.ArgumentParser) -> None:
    """What a new run is made of, besides ``--set``."""
    made.add_argument("--preset", metavar="P", help="a named configuration: python -m core presets lists them")
    made.add_argument("--corpus", metavar="NAME|PATH", help=_CORPUS)
    made.add_argument("--epochs", metavar="N", help="passes over the text")
    words = (
        "time budget in place of --epochs: epochs and schedule are fitted to it once the pace is measured. Counts from "
        "the start of the command, compilation included; not while the run is paused or closed. A run that is "
        "killed before the fit is fitted to the remaining time when it is resumed; after it, the fit is kept"
    )
    made.add_argument("--minutes", metavar="M", help=words)
    made.add_argument("--seed", metavar="N", help="seed of the random numbers")
    made.add_argument("--device", metavar="D", help="auto, cuda, cuda:1, mps or cpu")


def _add_sweep_flags(sweep: argparse.ArgumentParser) -> None:
    words = "name of the sweep, and tag of its runs; with no other flags, the sweep of this name is continued"
    sweep.add_argument("name", nargs="?", metavar="NAME", help=words)
    words = "a setting and its values: cell=rnn,gru,lstm or learning_rate=0.1..100, :log after it; may be repeated"
    sweep.add_argument("--vary", action="append", default=[], metavar="KEY=VALUES", help=words)
    sweep.add_argument("--grid", action="store_true", help="train every combination of the values, 2 to 16 runs")
    sweep.add_argument("--trials", type=int, metavar="N", help="search: N runs, whose values Optuna chooses")
    words = "a grid that comes ready: sampling (sequential or random, state carried or reset), backend"
    sweep.add_argument("--question", metavar="Q", help=words)
    words = "runs side by side; the cores are divided among them, and GPUs are used in turn"
    sweep.add_argument("--jobs", type=int, metavar="J", help=words)
    words = "search: which runs are ended early: median (by default), hyperband or none"
    sweep.add_argument("--pruner", choices=("median", "hyperband", "none"), help=words)
    words = "search: the database of the trials, as SQLAlchemy names it, for several machines; by default a file"
    sweep.add_argument("--storage", metavar="URL", help=words)
    sweep.add_argument("--show", action="store_true", help="train nothing: print the table, the best run first")
    sweep.add_argument("--stop", action="store_true", help="ask the processes that work on the sweep to save and stop")


def _add_inspection_flags(inspect: argparse.ArgumentParser) -> None:
    inspect.add_argument("--view", required=True, choices=VIEWS)
    inspect.add_argument("--text", help="text to look at; by default a stretch of the run's held-out or training text")
    inspect.add_argument("--at", type=int, metavar="N", help="position of a token in the text, from 0")
    words = "gradients: the mean over so many places of the text, in place of one"
    inspect.add_argument("--places", type=int, metavar="N", help=words)
    inspect.add_argument("--unit", type=int, metavar="U", help="hidden unit, from 0, whose activations units shows")
    words = "tokens: whose neighbours; gradients and saliency: a predicted token in place of the text's own"
    inspect.add_argument("--token", metavar="X", help=words)
    inspect.add_argument("--layer", type=int, metavar="L", help="layer, from 1")
    inspect.add_argument("--reverse", action="store_true", help="the direction from right to left")
    words = "units: H, C or a gate (R, Z, H~, I, F, O)"
    inspect.add_argument("--quantity", metavar="Q", help=words)
    inspect.add_argument("--feature", metavar="F", help="units: rank by this feature, part of its name is enough")
    inspect.add_argument("--vectors", choices=VECTORS, help="tokens: vectors that are shown on the plane")
    words = "a checkpoint in place of the latest weights; first: the initial weights"
    inspect.add_argument("--checkpoint", choices=CHECKPOINTS[1:], help=words)


def _add_text_flags(stats: argparse.ArgumentParser) -> None:
    stats.add_argument("--corpus", default="lyrics-zh", metavar="NAME|PATH", help=_CORPUS)
    stats.add_argument("--normalise", default="none", choices=setting("normalise").choices)
    stats.add_argument("--tokens", default="char", choices=setting("tokens").choices)
    documents = setting("documents").choices
    stats.add_argument("--documents", default="stream", choices=documents, help="lines: one poem a line")
    held_out = setting("validation_fraction")
    stats.add_argument("--validation-fraction", type=float, default=held_out.default, metavar="F", help=held_out.help)
    defaults = {"--max-tokens": 0, "--min-freq": 0, "--batch-size": 32, "--num-steps": 35, "--top": 10}
    for flag, default in defaults.items():
        words = "most frequent n-grams to print; 0 counts none" if flag == "--top" else None
        stats.add_argument(flag, type=int, default=default, metavar="N", help=words)
    words = "with --json: also the tokens of the vocabulary as known_tokens, null for more than 50,000"
    stats.add_argument("--vocabulary", action="store_true", help=words)


def _add_generation_flags(generate: argparse.ArgumentParser) -> None:
    for option in OPTIONS.values():
        flag, words = "--" + option.name.replace("_", "-"), f"{option.label}: {option.help}"
        if option.kind is bool:
            generate.add_argument(flag, action="store_const", const=True, help=words)
            continue
        values = f" ({option.range_text()})" if option.kind is not str or option.choices else ""
        generate.add_argument(flag, metavar=option.name.upper(), help=(words + values).replace("%", "%%"))


def _add_export_flags(export: argparse.ArgumentParser) -> None:
    words = "for a chart also a CSV, an event file of TensorBoard or a folder of event files"
    export.add_argument("runs", nargs="+", metavar="RUN", help=words)
    endings = ", ".join(end if end == f".{form}" else f"{end} ({form})" for end, form in ENDINGS.items())
    words = f"the format; by default that of the file's name: {endings}"
    export.add_argument("--to", choices=FORMATS, help=words)
    printed = ", ".join(form for form, item in FORMATS.items() if item.is_printed)
    words = f"the file, written whole or not at all; for tensorboard a folder; - prints it ({printed})"
    export.add_argument("--out", type=_destination, required=True, metavar="PATH", help=words)
    export.add_argument("--force", action="store_true", help="replace a file that exists; without it, it is refused")
    words = (
        f"what a chart shows: {', '.join(METRICS)} (losses in nats), or a column of a file; may be repeated; by "
        "default the perplexities"
    )
    export.add_argument("--metric", action="append", default=[], metavar="NAME", help=words)
    words = f"x of a chart: {', '.join(axis.label for axis in AXES.values())}"
    export.add_argument("--axis", default="epoch", choices=AXES, help=words)
    words = "y of a chart; by default log for perplexities and gradient norms"
    export.add_argument("--scale", choices=SCALES, help=words)
    words = "smooth the lines of a chart by a time-weighted average, from 0 to below 1; the raw lines are dimmed"
    export.add_argument("--smoothing", type=float, default=0.0, metavar="W", help=words)
    export.add_argument("--title", default="", help="title of a chart")


def _add_action(actions: Any, path: str, help: str) -> argparse.ArgumentParser:
    """A command below another. What both may be told has no default here, so that a value given before is kept."""
    made: argparse.ArgumentParser = actions.add_parser(path.partition(".")[2], help=help, description=help)
    made.set_defaults(command=path)
    made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object a line")
    return made


def _add_presets_commands(presets: argparse.ArgumentParser) -> None:
    actions = presets.add_subparsers(metavar="ACTION")
    words = "save settings as a preset of your own, for train --preset and the playground"
    save = _add_action(actions, "presets.save", words)
    for made in (save, _add_action(actions, "presets.delete", "delete a preset of your own")):
        made.add_argument("name", metavar="NAME")
    save.add_argument("--preset", metavar="P", help="the preset whose settings --set changes")
    save.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; may be repeated")
    save.add_argument("--description", default="", metavar="TEXT", help="one line for the list")
    save.add_argument("--force", action="store_true", help="replace a preset of yours with this name")


def _add_runs_commands(runs: argparse.ArgumentParser) -> None:
    words = "only runs with these words in name, corpus, model, state, tags or note, or with cell:lstm, tag=best, ppl<3"
    runs.add_argument("--filter", default="", metavar="TEXT", help=words)
    words = f"order: {', '.join(SORT_KEYS)}; by default the newest first"
    runs.add_argument("--sort", default="created", metavar="KEY", help=words)
    runs.add_argument("--reverse", action="store_true", help="the other way round")
    actions = runs.add_subparsers(metavar="ACTION")

    def action(name: str, help: str) -> argparse.ArgumentParser:
        made = _add_action(actions, f"runs.{name}", help)
        made.add_argument("--saves", type=_folder, default=argparse.SUPPRESS, metavar="DIR", help="folder of the runs")
        return made

    for made in (action("rename", "rename a run"), action("duplicate", "copy a run under another name")):
        made.add_argument("run", metavar="RUN")
        made.add_argument("name", metavar="NAME")
    tag = action("tag", "give runs tags, which --filter tag:TAG finds, or take them away")
    tag.add_argument("runs", nargs="+", metavar="RUN")
    tag.add_argument("--add", action="append", default=[], metavar="TAG", help="a tag to add; may be repeated")
    tag.add_argument("--remove", action="append", default=[], metavar="TAG", help="a tag to remove; may be repeated")
    note = action("note", "write a note about a run; without a text, remove it")
    note.add_argument("run", metavar="RUN")
    note.add_argument("text", nargs="?", default="", metavar="TEXT")
    delete = action("delete", "move runs to the trash, where they can be restored for 30 days")
    delete.add_argument("runs", nargs="+", metavar="RUN")
    action("trash", "list the runs in the trash")
    restore = action("restore", "move runs out of the trash; of several with one name, the last deleted")
    restore.add_argument("runs", nargs="+", metavar="RUN")
    empty = action("empty", "delete runs in the trash permanently; without a name, all of them")
    empty.add_argument("runs", nargs="*", metavar="RUN")
    empty.add_argument("--yes", action="store_true", help="without it, nothing is deleted")
