"""``python -m core stats``: a text in numbers."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from core.cli.printing import print_table, printable, put
from core.corpus.reader import load_corpus
from core.corpus.statistics import describe
from core.errors import UserError
from core.settings.run_config import PADDING, RunConfig, shown
from core.units import bytes_text, counted


def stats(options: argparse.Namespace) -> int:
    if options.batch_size < 1 or options.num_steps < 1 or options.top < 0:
        raise UserError("--batch-size and --num-steps must be at least 1, and --top at least 0")
    text = RunConfig(
        normalise=options.normalise,
        tokens=options.tokens,
        documents=options.documents,
        validation_fraction=options.validation_fraction,
    )
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
        validation_fraction=options.validation_fraction,
        known=options.vocabulary,
    )
    put(facts) if options.json else _print_statistics(facts)
    if corpus.problem:
        print(f"warning: {printable(corpus.problem)}", file=sys.stderr)
    return 0


def _print_statistics(facts: dict[str, Any]) -> None:
    print(
        f"{printable(str(facts['name']))}: {counted(facts['bytes'], 'byte')}, {facts['encoding']}, "
        f"sha256 {facts['sha256']}"
    )
    print(
        f"{counted(facts['lines'], 'line')} in the whole text; counted: {counted(facts['tokens'], 'token')}, "
        f"vocabulary {shown(facts['vocabulary'])} with the unknown token"
    )
    if "poems" in facts:
        poems = facts["poems"]
        print(
            f"{counted(poems['lines'], 'poem')}, the longest of {counted(poems['longest'], 'token')}; "
            f"{counted(facts['examples']['batches'], 'batch', 'batches')} an epoch, "
            f"{counted(poems['cut'], 'poem is', 'poems are')} cut to num_steps"
        )
    for file in facts["files"]:
        size = counted(file["bytes"], "byte")
        print(f"  {printable(file['name'])}: {size}, {file['encoding']}, sha256 {file['sha256']}")
    if facts["gram_disk_bytes"]:
        print(f"the n-grams were counted exactly, on the disk: {bytes_text(facts['gram_disk_bytes'])} at most")
    one_hot = facts["one_hot"]
    print(
        f"a one-hot batch is {tuple(one_hot['shape'])}: {bytes_text(one_hot['bytes'])}, {one_hot['density']:.4%} of "
        f"it not zero; the ids are {bytes_text(one_hot['ids_bytes'])}"
    )
    for order, heading in (("1", "tokens"), ("2", "bigrams"), ("3", "trigrams")) if facts["top"] else ():
        print(f"\nmost frequent {heading}")
        rows = []
        for gram, count in facts["top"].get(order, []):
            name = gram if isinstance(gram, str) else " ".join(gram)
            rows.append([f"  {printable(name) if name.strip() else repr(name)}", shown(count)])
        if rows:
            print_table(rows, right=frozenset({1}))
    _print_examples(facts)


def _print_examples(facts: dict[str, Any]) -> None:
    """The first row of the first batch of each sampling: the inputs X and the targets Y."""
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
