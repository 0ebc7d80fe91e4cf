"""The command line: every ability of the playground, for scripts and benchmarks.

What the user can mend ends with one sentence on stderr and exit code 2; a failure of ours with 1; never a traceback for
bad input. With ``--json`` each line is one JSON object. torch is imported by the commands that compute, not before.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from core.cli.runs_command import add_runs_commands, list_command
from core.collector import settle
from core.errors import EngineError, UserError
from core.generation.options import OPTIONS
from core.output import OutputError, tolerate
from core.process import require_open_files, temporary_folder
from core.settings.setting import key_values

PROJECT = Path(__file__).resolve().parents[2]
SAVES = PROJECT / "saves"
# An engine that has not answered after so many seconds is stopped, or busy with something long.
LATE_SECONDS = 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    try:
        code = _code(arguments)
        sys.stdout.flush()
        return code
    except OutputError as error:
        return 0 if error.reader_left else _fail(str(error), 2)  # | head has what it wanted
    except UserError as error:
        return _fail(str(error), 2)
    except EngineError as error:
        return _fail(str(error), 1)
    except (MemoryError, RuntimeError) as error:
        from core.engine.failure import failure_words, is_out_of_memory

        if not is_out_of_memory(error):
            raise
        return _fail(failure_words(error), 1)
    except KeyboardInterrupt:
        return _fail("stopped", 130)


def _code(arguments: Sequence[str] | None) -> int:
    try:
        options = parser().parse_args(arguments)
    except SystemExit as help_shown:
        return int(help_shown.code or 0)
    require_open_files()
    if options.computes:
        temporary_folder()
    code: int = options.command(options)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: {self.prog} --help tells what there is")


def parser() -> argparse.ArgumentParser:
    """All commands with their flags."""
    top = _Parser(prog="python -m core", description="Recurrent language models from the command line.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.set_defaults(command=run)
        return made

    stats = command("stats", _stats, "statistics of a text: vocabulary, n-grams, one-hot shapes, example batches")
    stats.add_argument("--corpus", default="lyrics-zh", metavar="NAME|PATH")
    stats.add_argument("--normalise", default="none", choices=("none", "spaces", "letters", "no-punctuation"))
    stats.add_argument("--tokens", default="char", choices=("char", "word"))
    stats.add_argument("--documents", default="stream", choices=("stream", "lines"), help="lines: one poem a line")
    for flag, default in (
        ("--max-tokens", 0),
        ("--min-freq", 0),
        ("--batch-size", 32),
        ("--num-steps", 35),
        ("--top", 10),
    ):
        stats.add_argument(flag, type=int, default=default, metavar="N")
    train = command("train", _train, "train a new run")
    train.add_argument("--preset", metavar="P", help="a named configuration, see presets")
    train.add_argument("--corpus", metavar="NAME|PATH")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; may come often")
    train.add_argument("--epochs", metavar="N")
    train.add_argument("--seed", metavar="N")
    train.add_argument("--device", metavar="D")
    train.add_argument("--name", metavar="RUN")
    resume = command("resume", _resume, "go on with a run, exactly where its last checkpoint stands")
    resume.add_argument("run", metavar="RUN")
    resume.add_argument("--epochs", metavar="N", help="train up to so many epochs in all")
    words = "compute as the run did so far, where this machine would compute otherwise (other kernels, threads, device)"
    resume.add_argument("--as-before", action="store_true", help=words)
    generate = command("generate", _generate, "let a run write")
    generate.add_argument("run", metavar="RUN")
    for option in OPTIONS.values():
        flag, words = "--" + option.name.replace("_", "-"), f"{option.label}: {option.help}"
        if option.kind is bool:
            generate.add_argument(flag, action="store_const", const=True, help=words)
            continue
        values = f" ({option.range_text()})" if option.kind is not str or option.choices else ""
        generate.add_argument(flag, metavar=option.name.upper(), help=(words + values).replace("%", "%%"))
    runs = command("runs", list_command, "list the saved runs; rename, copy, delete and restore them")
    add_runs_commands(runs)
    presets = command("presets", _presets, "list the presets with their published figures")
    bench = command("bench", _bench, "measure this machine: the textbook's loops, ours and the limit, in turn")
    bench.add_argument("--case", action="append", default=[], metavar="NAME", help="only this case; may come often")
    bench.add_argument("--rounds", type=int, metavar="N", help="how often each one runs")
    bench.add_argument("--cuda", action="store_true", help="the cases of a GPU, with the goals for an H100")
    bench.add_argument("--quick", action="store_true", help="small and over in seconds; the figures mean little")
    lab = command("lab", _lab, "the sequence laboratory: a noisy sine wave, predicted near and far ahead")
    lab.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; may come often")
    download = command("download", _download, "fetch a known text; without a name, list those that there are")
    download.add_argument("name", nargs="?", metavar="NAME")
    engine = command("engine", _engine, "serve a run to the playground; without a run, stand by for one")
    engine.add_argument("run", nargs="?", metavar="RUN")
    top.set_defaults(computes=False)
    for made in (train, resume, generate, bench, lab, engine):
        made.set_defaults(computes=True)
    for made in (stats, train, download):
        made.add_argument("--data", type=Path, metavar="DIR", help="where the texts are that have names")
    for made in (train, resume, generate, runs, engine):
        made.add_argument("--saves", type=Path, default=SAVES, metavar="DIR", help="where the runs are")
    for made in (stats, train, resume, generate, runs, presets, bench, lab, download):
        made.add_argument("--json", action="store_true", help="one JSON object a line")
    return top


def _fail(sentence: str, code: int) -> int:
    print(f"error: {printable(sentence)}", file=sys.stderr)
    return code


def printable(text: str) -> str:
    """Text from outside as one harmless line: control characters as escapes, so that a terminal obeys none of them."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def put(value: dict[str, Any]) -> None:
    """Print one JSON object as a line."""
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    line = json.dumps(value, ensure_ascii=not is_unicode, allow_nan=False)
    print(line.encode("utf-8", "replace").decode(), flush=True)


def _stats(options: argparse.Namespace) -> int:
    from core.cli.printing import print_statistics
    from core.corpus.reader import load_corpus
    from core.corpus.statistics import describe
    from core.settings.run_config import RunConfig

    settle()
    if options.batch_size < 1 or options.num_steps < 1 or options.top < 1:
        raise UserError("--batch-size, --num-steps and --top must be at least 1")
    text = RunConfig(normalise=options.normalise, tokens=options.tokens, documents=options.documents)
    corpus = load_corpus(
        options.corpus,
        normalise=options.normalise,
        tokens=options.tokens,
        max_tokens=options.max_tokens,
        min_freq=options.min_freq,
        reserved=text.reserved_tokens,
        data_dir=options.data,
    )
    facts = describe(
        corpus,
        batch_size=options.batch_size,
        num_steps=options.num_steps,
        top=options.top,
        documents=options.documents,
    )
    put(facts) if options.json else print_statistics(facts)
    return 0


def _train(options: argparse.Namespace) -> int:
    from core.engine.protocol import runtime_folder
    from core.settings.presets import preset
    from core.settings.run_config import RunConfig

    config = preset(options.preset).config if options.preset else RunConfig()
    texts = {"corpus": options.corpus, "num_epochs": options.epochs, "seed": options.seed, "device": options.device}
    chosen = {name: text for name, text in texts.items() if text is not None}
    chosen |= key_values(options.set, "num_hiddens=512")
    config = config.with_texts(chosen)
    runtime_folder()  # what stands in the way of an engine is told before there is a run

    from core.engine.session import Session

    session = Session.create(config, options.saves, options.name, options.data)
    return _train_here(session, None, options.json)


def _resume(options: argparse.Namespace) -> int:
    from core.runs.store import find_run
    from core.settings.run_config import setting

    num_epochs = int(setting("num_epochs").parse(options.epochs)) if options.epochs is not None else None
    run = find_run(options.saves, options.run)

    from core.engine.session import Session

    session = Session.open(run)
    if session.change is not None and session.change.as_before is not None and not options.as_before:
        print("hint: resume --as-before computes as the run did so far", file=sys.stderr)
    return _train_here(session, num_epochs, options.json, as_before=options.as_before)


def _train_here(session: Any, num_epochs: int | None, as_json: bool, *, as_before: bool = False) -> int:
    """Train in this process, findable by a playground as any engine is; ctrl+c stops and saves."""
    import signal

    from core.cli.printing import TrainingReport
    from core.engine.engine import Engine
    from core.events import State

    settle()
    tolerate()
    report = TrainingReport(session, as_json=as_json)
    engine = Engine(session, stays=False, listener=report.show)
    engine.start()
    engine.stop_on_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        events = session.train(num_epochs, as_before=as_before)
        report.begin()
        for event in events:
            report.show(event)
    except BaseException:
        session.close()
        engine.server.close()
        raise
    engine.run()
    report.end()
    if session.state in (State.FAILED, State.DIVERGED):
        return _fail(session.message, 1)
    return _fail(session.save_problem, 2) if session.save_problem else 0


def _generate(options: argparse.Namespace) -> int:
    import asyncio

    from core.cli.printing import GenerationReport
    from core.generation.options import GenerationRequest
    from core.runs.store import find_run

    run = find_run(options.saves, options.run)
    request = GenerationRequest.from_texts({name: getattr(options, name) for name in OPTIONS})
    report = GenerationReport(request, as_json=options.json)
    if run.is_held() and asyncio.run(_generate_live(run.path, request.to_message(), report)):
        return 0

    from core.engine.loading import load_model
    from core.generation.response import response
    from core.generation.writer import Writing

    settle()
    model, vocabulary = load_model(run)
    for events in response(Writing(model, vocabulary, request), _training_text(run) if request.copy else None):
        for event in events:
            report.show(event)
    return 0


def _training_text(run: Any) -> Any:
    """The ids that a run was trained on, or None where its text is gone or is another one now."""
    from core.errors import CorpusError
    from core.generation.response import training_part
    from core.training.trainer import corpus_of

    facts = run.metadata()
    source = run.corpus_path if run.corpus_path.exists() else Path(facts.corpus.path)
    try:
        corpus = corpus_of(facts.config, source=source, at_most=facts.corpus.bytes)
    except CorpusError:
        return None
    is_same = corpus.sha256 == facts.corpus.sha256
    return training_part(corpus.ids, facts.config.validation_fraction) if is_same else None


async def _generate_live(run: Path, message: dict[str, Any], report: Any) -> bool:
    """Let the engine that holds ``run`` write with its live weights. False where it cannot be reached."""
    import asyncio

    from core.cli.printing import print_waiting
    from core.engine.client import EngineClient

    try:
        client = await EngineClient.attach(run)
    except (EngineError, UserError):
        return False
    loop = asyncio.get_running_loop()
    warning = loop.call_later(LATE_SECONDS, print_waiting, run.name, client)
    try:
        async for event in client.stream("generate", **message):
            warning.cancel()
            report.show(event)
    finally:
        warning.cancel()
        await client.close()
    return True


def _presets(options: argparse.Namespace) -> int:
    from core.cli.printing import print_presets
    from core.settings.presets import PRESETS

    settle()
    if options.json:
        for preset in PRESETS.values():
            put(preset.to_json())
    else:
        print_presets(PRESETS.values())
    return 0


def _bench(options: argparse.Namespace) -> int:
    from core.cli.bench_report import bench

    settle()
    return bench(options.case, rounds=options.rounds, quick=options.quick, as_json=options.json, on_cuda=options.cuda)


def _lab(options: argparse.Namespace) -> int:
    from core.settings.laboratory_config import SequenceConfig

    config = SequenceConfig().with_texts(key_values(options.set, "tau=8"))

    from core.cli.laboratory_report import print_experiment
    from core.laboratory.experiment import EpochDone, steps

    settle()
    for event in steps(config):
        if isinstance(event, EpochDone):
            if options.json:
                put(event.to_json())
        elif event is not None:
            put({"event": "done", **event.to_json()}) if options.json else print_experiment(event)
    return 0


def _download(options: argparse.Namespace) -> int:
    from core.cli.printing import DownloadReport, print_downloads
    from core.corpus.catalogue import DOWNLOADS, download_named
    from core.corpus.download import download

    settle()
    if options.name is None:
        print_downloads(DOWNLOADS, options.json)
        return 0
    entry = download_named(options.name)
    tolerate()
    report = DownloadReport(entry, options.json)
    report.begin()
    try:
        path = download(entry, data_dir=options.data, progress=report.progress)
    finally:
        report.clear()
    report.end(path)
    return 0


def _engine(options: argparse.Namespace) -> int:
    import signal

    from core.engine.protocol import runtime_folder
    from core.runs.store import find_run

    # The terminal that started the playground may go; the run must not.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runtime_folder()
    run = find_run(options.saves, options.run) if options.run else None

    from core.engine.engine import Engine, write_log_to
    from core.engine.session import Session
    from core.models.recurrence.cpu import bindings
    from core.training.optimisation import load_optimisers

    settle()
    session = Session.open(run) if run is not None else None
    engine = Engine(session)
    engine.stop_on_signals(signal.SIGTERM)
    path = engine.start()
    put({"event": "listening", "socket": str(path), "pid": os.getpid()})
    write_log_to(session.open_log() if session is not None else os.open(os.devnull, os.O_WRONLY))
    if session is None:
        load_optimisers()
        bindings.why_not()  # which compiles them where that has not been done yet
    engine.run()
    return 0
