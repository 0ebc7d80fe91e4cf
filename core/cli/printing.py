"""What the command line shows a person: a progress bar, tables and words; and its JSON twin."""

from __future__ import annotations

import math
import shlex
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import output
from core.cli.parser import SAVES, printable, put
from core.corpus.catalogue import Download
from core.events import EpochFinished, Event, Note, SampleWritten, SettingChanged, State, StateChanged, StepFinished
from core.generation.options import GenerationRequest
from core.runs.summary import RunSummary
from core.settings.presets import Preset
from core.settings.run_config import PADDING, shown
from core.units import counted, loss_words, perplexity_text

if TYPE_CHECKING:
    from core.engine.client import EngineClient
    from core.engine.session import Session


def cells(text: str) -> int:
    """Columns that ``text`` takes in a terminal: wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def print_table(rows: list[list[str]], right: frozenset[int] = frozenset()) -> None:
    """Columns side by side, the first row a heading; ``right`` names the columns that are set flush right."""
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        parts = []
        for column, text in enumerate(row):
            blanks = " " * (widths[column] - cells(text))
            parts.append(blanks + text if column in right else text + blanks)
        print("  ".join(parts).rstrip())


def bytes_text(size: float) -> str:
    """1,234,567 as 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def duration_text(seconds: float) -> str:
    """4321 as 1:12:01."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class TrainingReport:
    """Shows a training as it goes: JSON lines, a bar redrawn on a terminal, or now and then a line in a file."""

    def __init__(self, session: Session, as_json: bool) -> None:
        self._session = session
        self._as_json = as_json
        self._is_terminal = sys.stdout.isatty() and not as_json
        self._drawn = 0.0
        self._last: EpochFinished | None = None
        self._milestone = 0
        self._is_heard = True

    def begin(self) -> None:
        """Say what is about to be trained, what that takes, and what speaks against it."""
        self._introduce()
        self._check_output()

    def _introduce(self) -> None:
        from core.cli.preflight_report import preflight_words
        from core.training.backend import words as way_words

        facts = self._session.describe()
        if self._as_json:
            told = ("name", "run", "parameters", "vocabulary", "device", "ways")
            put({"event": "run", **{key: facts[key] for key in told}})
            return
        config, corpus = facts["config"], facts["corpus"]
        print(
            f"{printable(facts['name'])}: {config['implementation']} {config['cell']}, {config['num_hiddens']} hidden, "
            f"{counted(facts['parameters'], 'parameter')}, on {facts['device']}; {printable(corpus['name'])}: "
            f"{counted(corpus['tokens'], 'token')}, vocabulary {shown(corpus['vocabulary'])}, "
            f"{counted(facts['batches_per_epoch'], 'batch', 'batches')} an epoch"
        )
        if facts["ways"]:
            print(printable(way_words(facts["ways"])))
        words, warnings = preflight_words(self._session)
        if words:
            print(printable(words))
        for warning in warnings:
            print(f"warning: {printable(warning)}", file=sys.stderr)

    def show(self, event: Event) -> None:
        """Show one event. Where standard output takes no more, that is said once, and training goes on."""
        self._show(event)
        self._check_output()

    def _check_output(self) -> None:
        if self._is_heard and (reason := output.failure()):
            self._is_heard = False
            words = f"standard output takes no more ({reason}): training goes on, and the journal has all of it"
            self._session.note(words)
            print(words, file=sys.stderr)

    def _show(self, event: Event) -> None:
        if self._as_json:
            put(event.to_json())
        elif isinstance(event, EpochFinished):
            self._last = event
            self._show_epoch(event)
        elif isinstance(event, StepFinished):
            self._draw(
                f"epoch {event.epoch} · batch {event.batch}/{event.num_batches} · perplexity "
                f"{_perplexity(event.perplexity, event.loss).strip()}"
            )
        elif isinstance(event, SampleWritten):
            self._line(f"  epoch {event.epoch:>5}  {printable(event.prefix + event.text)}")
        elif isinstance(event, (Note, SettingChanged)):
            words = event.text if isinstance(event, Note) else f"{event.name} is {shown(event.value)} from now on"
            self._line(printable(words))
        elif isinstance(event, StateChanged) and event.message and event.state not in (State.FAILED, State.DIVERGED):
            self._line(printable(event.message))

    def _show_epoch(self, event: EpochFinished) -> None:
        total = self._num_epochs()
        if self._is_terminal:
            if time.monotonic() - self._drawn > 0.1 or event.epoch == total:
                left = (total - event.epoch) * event.seconds
                filled = min(20, 20 * event.epoch // total)
                bar = "━" * filled + "─" * (20 - filled)
                self._draw(f"epoch {event.epoch:>5}/{total} {bar} {_figures(event)} · {duration_text(left)} left")
        elif event.epoch * 10 // total > self._milestone or event.epoch == total:
            self._milestone = event.epoch * 10 // total
            print(f"epoch {event.epoch:>5}/{total}  {_figures(event)}", flush=True)

    def _num_epochs(self) -> int:
        trainer = self._session.trainer
        return trainer.num_epochs if trainer is not None else 1

    def _draw(self, text: str) -> None:
        if self._is_terminal:
            self._drawn = time.monotonic()
            print("\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1], end="", flush=True)

    def _line(self, text: str) -> None:
        print(("\r\x1b[K" if self._is_terminal else "") + text, flush=True)

    def end(self) -> None:
        """Say how it ended, and what can be done next."""
        if self._as_json:
            return
        run, state = self._session.run, self._session.state
        if self._last is not None:
            self._line(f"epoch {self._last.epoch}: {_figures(self._last)}")
        if self._session.folder.lost:
            return  # there is nothing to go on with
        place = saves_flag(run.path.parent)
        name = shlex.quote(run.name)
        if not self._session.save_problem:
            self._line(printable(f"{run.name} is {state} and saved in {run.path}"))
        if state in (State.STOPPED, State.FAILED, State.DIVERGED):
            print(printable(f"python -m core resume {name}{place} goes on"))
        else:
            print(printable(f"python -m core generate {name}{place} --prefix TEXT lets it write"))


def saves_flag(saves: Path) -> str:
    """What a command needs to find the runs there: nothing where it looks by itself."""
    return f" --saves {shlex.quote(str(saves))}" if saves.resolve() != SAVES.resolve() else ""


def _figures(event: EpochFinished) -> str:
    held_out = event.validation_perplexity
    beside = f" · held out {_perplexity(held_out, event.validation_loss).strip()}" if held_out is not None else ""
    training = _perplexity(event.perplexity, event.loss)
    return f"training perplexity {training}{beside} · {event.tokens_per_second:,.0f} tokens/s"


def _perplexity(perplexity: float, loss: float | None) -> str:
    """With two decimals; an exploded one in few figures, or as its loss where it is beyond floating point."""
    if perplexity < 1e6:
        return f"{perplexity:8.2f}"
    beyond = math.isinf(perplexity) and loss is not None
    return perplexity_text(perplexity) + (f" ({loss_words(loss)})" if beyond and loss is not None else "")


class GenerationReport:
    """Shows a text as it is written: piece by piece, or as JSON events. Several texts are shown when all are done."""

    def __init__(self, request: GenerationRequest, as_json: bool) -> None:
        self._request = request
        self._as_json = as_json
        self._streams = not as_json and request.count == 1 and request.sampling.strategy != "beam"
        self._surprises: list[float] = []
        self._continuation = ""
        self._has_begun = False

    def unknown(self, tokens: list[str]) -> None:
        """Name what of the prefix is outside the vocabulary."""
        if tokens and not self._as_json:
            names = ", ".join(printable(token) for token in tokens[:10])
            print(f"not in the vocabulary, read as <unk>: {names}", file=sys.stderr)

    def show(self, event: dict[str, Any]) -> None:
        """Show one event of ``core.generation.response``; with the first of them the prefix: nothing was refused."""
        if self._streams and not self._has_begun:
            self._has_begun = True
            print(safe_text(self._request.prefix), end="", flush=True)
        if event["event"] == "text":
            self._continuation += event["text"] if event["sample"] == 0 else ""
            self._surprises += [token["surprise"] for token in event.get("tokens", ())]
        elif event["text"] is None:  # too long for one message of an engine
            event = {**event, "text": self._request.prefix + self._continuation}
        if self._as_json:
            put({key: value for key, value in event.items() if key != "id"})
        elif event["event"] == "done":
            self._end(event)
        elif self._streams:
            print(safe_text(event["text"]), end="", flush=True)

    def _end(self, done: dict[str, Any]) -> None:
        if self._streams:
            print()
        else:
            self._print_samples(done["samples"])
        self.unknown(done["unknown"])
        if self._surprises:
            print(f"surprise: {sum(self._surprises) / len(self._surprises):.2f} bits a token", file=sys.stderr)
        for sample in done["samples"] if self._request.copy else ():
            print(_copy_words(sample) or done["copy_problem"], file=sys.stderr)

    def _print_samples(self, samples: list[dict[str, Any]]) -> None:
        for number, sample in enumerate(samples, 1):
            score = sample["score"]
            words = "" if score is None else f" · {score:.3f} nats a token · perplexity {math.exp(-score):.2f}"
            print(f"-- {number}{words}")
            print(safe_text(self._request.prefix + (sample["continuation"] or "")))


def print_waiting(name: str, client: EngineClient) -> None:
    """Say what is waited for where the engine of a run does not answer."""
    process = client.process
    if client.is_suspended:
        why = f"is suspended: fg where it was started, or kill -CONT {process}, lets it go on"
    else:
        why = "does not answer yet: it is busy with something long"
    where = f" (process {process})" if process else ""
    print(f"waiting for the engine of {printable(name)}{where}, which {why}; ctrl+c gives up", file=sys.stderr)


def _copy_words(sample: dict[str, Any]) -> str:
    copy = sample["copy"]
    if copy is None:
        return ""
    if not copy["length"]:
        return "copied: nothing of it stands in the training text"
    return (
        f"copied: {copy['length']:,} of {counted(sample['tokens'], 'token stands', 'tokens stand')} literally in the "
        f"training text, at token {copy['text_start']:,}: {printable(copy['text'])}"
    )


def safe_text(text: str) -> str:
    """Text from outside with its line ends, but without the control characters that a terminal obeys."""
    return "".join(character if character == "\n" else printable(character) for character in text)


def print_statistics(facts: dict[str, Any]) -> None:
    """The dictionary of ``core.corpus.statistics.describe``, in words."""
    print(
        f"{printable(str(facts['name']))}: {counted(facts['bytes'], 'byte')}, {facts['encoding']}, "
        f"sha256 {facts['sha256']}"
    )
    print(
        f"{counted(facts['lines'], 'line')}, {counted(facts['tokens'], 'token')}, "
        f"vocabulary {shown(facts['vocabulary'])} with the unknown token"
    )
    if "poems" in facts:
        poems = facts["poems"]
        print(
            f"{counted(poems['lines'], 'poem')}, the longest of {counted(poems['longest'], 'token')}; "
            f"{counted(facts['examples']['batches'], 'batch', 'batches')} an epoch, "
            f"{counted(poems['cut'], 'poem is', 'poems are')} cut to num_steps"
        )
    one_hot = facts["one_hot"]
    print(
        f"a one-hot batch is {tuple(one_hot['shape'])}: {bytes_text(one_hot['bytes'])} of which a share of "
        f"{one_hot['density']:.4%} is not zero; the ids are {bytes_text(one_hot['ids_bytes'])}"
    )
    for order, heading in (("1", "tokens"), ("2", "bigrams"), ("3", "trigrams")):
        print(f"\nmost frequent {heading}")
        rows = []
        for gram, count in facts["top"].get(order, []):
            name = gram if isinstance(gram, str) else " ".join(gram)
            rows.append([f"  {printable(name) if name.strip() else repr(name)}", shown(count)])
        if rows:
            print_table(rows, right=frozenset({1}))
    _print_examples(facts)


def _print_examples(facts: dict[str, Any]) -> None:
    """The first row of each sampling's first batch, or of the poems': X as the model reads it, Y as it is asked for."""
    examples = facts["examples"]
    if examples["reason"]:
        print(f"\nno batch: {printable(examples['reason'])}")
        return
    between = "" if facts["token_kind"] == "char" else " "
    for sampling in (name for name in ("sequential", "random", "lines") if name in examples):
        print(f"\nexample batch, {sampling}, first row; {counted(examples['batches'], 'batch', 'batches')} an epoch")
        for name in ("X", "Y"):
            row = examples[sampling][0][name][0]
            padding = len(row) - row.index(PADDING) if sampling == "lines" and PADDING in row else 0
            words = between.join(row[: len(row) - padding])
            print(f"  {name}  {printable(words)}" + (f" and {PADDING} {counted(padding, 'time')}" if padding else ""))


def print_runs(summaries: Iterable[RunSummary], saves: Path) -> None:
    """The list of runs as a table."""
    rows = [["name", "state", "epoch", "perplexity", "model", "corpus", "parameters", "size", "created"]]
    for run in summaries:
        if run.problem:
            rows.append([printable(run.name), "damaged", "", "", "", "", "", bytes_text(run.bytes), ""])
            continue
        figure = "" if run.perplexity is None else _perplexity(run.perplexity, None).strip()
        if run.validation_perplexity is not None:
            figure += f" (held out {_perplexity(run.validation_perplexity, None).strip()})"
        rows.append(
            [
                printable(run.name), run.state, f"{run.epoch}/{run.num_epochs}", figure, run.model,
                printable(run.corpus), shown(run.parameters), bytes_text(run.bytes),
                printable(run.created[:16].replace("T", " ")),
            ]
        )  # fmt: skip
    if len(rows) == 1:
        print(f"no runs in {printable(str(saves))} yet: python -m core train makes one")
        return
    print_table(rows, right=frozenset({2, 3, 6, 7}))
    for run in summaries:
        if run.problem or run.remark:
            print(f"{printable(run.name)}: {printable(run.problem or run.remark)}")


def print_downloads(entries: Iterable[Download], as_json: bool) -> None:
    """The texts that can be fetched."""
    for entry in entries:
        if as_json:
            put(_download_facts(entry))
        else:
            print(f"{entry.name}: {entry.title}; {bytes_text(entry.bytes)}, {entry.licence}")
            print(f"  from {entry.url} ({entry.source})")


class DownloadReport:
    """Says what is fetched from where before the first byte comes, and how far it is."""

    def __init__(self, entry: Download, as_json: bool) -> None:
        self._entry = entry
        self._as_json = as_json
        self._is_terminal = sys.stdout.isatty() and not as_json
        self._drawn = 0.0

    def begin(self) -> None:
        """Size, licence and source."""
        print_downloads([self._entry], self._as_json)
        sys.stdout.flush()

    def progress(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes are here."""
        if not (self._is_terminal or self._as_json) or (done < total and time.monotonic() - self._drawn < 0.1):
            return
        self._drawn = time.monotonic()
        if self._as_json:
            put({"event": "progress", "bytes": done, "total": total})
        else:
            filled = 20 * done // total
            bar = "━" * filled + "─" * (20 - filled)
            print(f"\r\x1b[K{bar} {bytes_text(done)} of {bytes_text(total)}", end="", flush=True)

    def clear(self) -> None:
        """Take the bar away: what comes now stands on a line of its own."""
        if self._is_terminal:
            print("\r\x1b[K", end="", flush=True)

    def end(self, path: Path) -> None:
        """Say where it is, and how to use it."""
        if self._as_json:
            put({"event": "done", "name": self._entry.name, "path": str(path)})
            return
        print(printable(f"it is in {path}"))
        print(f"python -m core train --corpus {self._entry.name} trains on it")


def _download_facts(entry: Download) -> dict[str, Any]:
    return {
        "event": "download", "name": entry.name, "title": entry.title, "bytes": entry.bytes,
        "licence": entry.licence, "source": entry.source, "url": entry.url,
    }  # fmt: skip


def print_presets(presets: Iterable[Preset]) -> None:
    """The presets with source, figures and notes."""
    for preset in presets:
        print(f"{preset.name}: {preset.title}")
        if preset.published:
            figures = ", ".join(f"{value:g} at {epoch}" for epoch, value in preset.published.items())
            print(f"  published training perplexity ({preset.source}): {figures}")
        if preset.note:
            print(f"  {preset.note}")
