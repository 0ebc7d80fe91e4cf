"""``python -m core generate``: a text by the engine that holds the run, or else by the run's last checkpoint."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from core.cli.live import stream_live
from core.cli.printing import print_remarks, printable, put, safe_text
from core.engine.requests import Generate
from core.generation.events import Piece, Written, WrittenSample
from core.generation.options import OPTIONS, GenerationRequest
from core.process import resume_collection
from core.runs.run import Run
from core.runs.store import find_run
from core.runs.summary import run_summary, weights_of
from core.units import counted

if TYPE_CHECKING:
    import numpy as np


def generate(options: argparse.Namespace) -> int:
    run = find_run(options.saves, options.run)
    request = GenerationRequest.from_texts({name: getattr(options, name) for name in OPTIONS})
    report = GenerationReport(request, as_json=options.json)
    try:
        return _generate(run, request, report)
    finally:
        report.end_line()


def _generate(run: Run, request: GenerationRequest, report: GenerationReport) -> int:
    restored = run_summary(run).restored
    if restored is not None:
        print_remarks(f"{run.name} diverged: it writes with its {weights_of(restored)}")
    if run.is_held() and asyncio.run(stream_live(run.path, Generate(request), report.show)):
        return 0

    from core.engine.loading import load_model
    from core.generation.response import response
    from core.generation.writer import Writing

    resume_collection()
    stored = load_model(run)
    print_remarks(stored.remark)
    writing = Writing(stored.model, stored.vocabulary, request)
    for events in response(writing, _training_text(run) if request.copy else None):
        for event in events:
            report.show(event)
    return 0


def _training_text(run: Run) -> np.ndarray | None:
    """The token ids that a run was trained on; None where its text is missing or has changed."""
    from core.engine.loading import own_ids
    from core.generation.response import training_part

    ids = own_ids(run)
    return None if ids is None else training_part(ids, run.metadata().config.validation_fraction)


class GenerationReport:
    """Shows one text token by token, several when all are finished, or JSON events."""

    def __init__(self, request: GenerationRequest, as_json: bool) -> None:
        self._request = request
        self._as_json = as_json
        self._streams = not as_json and request.count == 1 and not request.sampling.is_search
        self._surprises: list[float] = []
        self._continuation = ""
        self._has_begun = self._has_ended = False

    def show(self, event: Piece | Written) -> None:
        """Show one event; the prefix comes with the first, when nothing was refused."""
        if self._streams and not self._has_begun:
            self._has_begun = True
            print(safe_text(self._request.prefix), end="", flush=True)
        if isinstance(event, Piece):
            self._continuation += event.text if event.sample == 0 else ""
            self._surprises += [token.surprise for token in event.tokens]
        elif event.text is None:  # too long for one message of an engine
            event = replace(event, text=self._request.prefix + self._continuation)
        if self._as_json:
            put(event.to_json())
        elif isinstance(event, Written):
            self._end(event)
        elif self._streams:
            print(safe_text(event.text), end="", flush=True)

    def end_line(self) -> None:
        """End the line of a streamed text, whole or interrupted, before something else is said."""
        if self._has_begun and not self._has_ended:
            self._has_ended = True
            print(flush=True)

    def _end(self, done: Written) -> None:
        if self._streams:
            self.end_line()
        else:
            self._print_samples(done.samples)
            sys.stdout.flush()
        if done.unknown:
            names = ", ".join(printable(token) for token in done.unknown[:10])
            print(f"not in the vocabulary, read as <unk>: {names}", file=sys.stderr)
        if self._surprises:
            print(f"surprise: {sum(self._surprises) / len(self._surprises):.2f} bits a token", file=sys.stderr)
        for sample in done.samples if self._request.copy else ():
            print(_copy_words(sample) or done.copy_problem, file=sys.stderr)

    def _print_samples(self, samples: Sequence[WrittenSample]) -> None:
        for number, sample in enumerate(samples, 1):
            score = sample.score
            words = "" if score is None else f" · {score:.3f} nats a token · perplexity {math.exp(-score):.2f}"
            print(f"-- {number}{words}")
            print(safe_text(self._request.prefix + (sample.continuation or "")))


def _copy_words(sample: WrittenSample) -> str:
    copy = sample.copy
    if copy is None:
        return ""
    if not copy.length:
        return "copied: nothing of it occurs in the training text"
    return (
        f"copied: {copy.length:,} of {counted(sample.tokens, 'token occurs', 'tokens occur')} literally in the "
        f"training text, at token {copy.text_start:,}: {printable(copy.text)}"
    )
