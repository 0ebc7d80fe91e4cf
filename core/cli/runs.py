"""``python -m core runs``: list the runs; rename, copy, tag, delete and restore them."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from core.cli.printing import perplexity_figure, print_table, printable, put, saves_flag, tell
from core.errors import UserError
from core.runs.annotation import annotate, check_note, check_tags
from core.runs.filter import parse_filter, shown_state, sorted_runs
from core.runs.run import Run
from core.runs.saves import check_saves
from core.runs.store import check_name, duplicate_run, find_run, list_runs, refuse_taken, rename_run
from core.runs.summary import RunSummary, weights_of
from core.runs.trash import (
    DAYS_KEPT,
    delete_run,
    deleted_runs,
    find_deleted,
    kept_words,
    remove_deleted,
    restore_run,
    restored_words,
)
from core.settings.setting import shown
from core.units import bytes_text, counted, date_text


def list_all(options: argparse.Namespace) -> int:
    is_shown = parse_filter(options.filter)
    check_saves(options.saves)
    every = list_runs(options.saves)
    summaries = sorted_runs([run for run in every if is_shown(run)], options.sort, options.reverse)
    if options.json:
        for summary in summaries:
            put(summary.to_json())
    else:
        _print_runs(summaries, options, len(every))
    return 0


def _print_runs(summaries: list[RunSummary], options: argparse.Namespace, count: int) -> None:
    has_words = any(run.tags or run.note for run in summaries)
    rows = [["name", "state", "epoch", "perplexity", "model", "corpus", "parameters", "size", "created"]]
    for run in summaries:
        if run.problem:
            rows.append([printable(run.name), shown_state(run), "", "", "", "", "", bytes_text(run.bytes), ""])
            continue
        figure = "" if run.perplexity is None else perplexity_figure(run.perplexity)
        if run.validation_perplexity is not None:
            figure += f" (held out {perplexity_figure(run.validation_perplexity)})"
        rows.append([
            printable(run.name), _state(run), f"{run.epoch:,}/{run.num_epochs:,}", figure, run.model,
            printable(run.corpus), shown(run.parameters), bytes_text(run.bytes), date_text(run.created),
        ])  # fmt: skip
    if not summaries:
        print(printable(
            f"none of {counted(count, 'run')} in {options.saves} matches {options.filter!r}" if count else
            f"no runs in {options.saves} yet: python -m core train makes one"
        ))  # fmt: skip
        return
    if has_words:
        words = [run.annotation for run in summaries]
        rows = [[*row, text] for row, text in zip(rows, ["tags, note", *map(printable, words)], strict=True)]
    print_table(rows, right=frozenset({2, 3, 6, 7}))
    for run in summaries:
        if run.problem or run.remark:
            print(f"{printable(run.name)}: {printable(run.problem or run.remark)}")


def _state(run: RunSummary) -> str:
    """The state of a run, and which weights it has if it diverged."""
    return run.state if run.restored is None else f"{run.state}, {weights_of(run.restored)}"


def rename(options: argparse.Namespace) -> int:
    run = find_run(options.saves, options.run)
    renamed = rename_run(run, options.name)
    return _done(options, "renamed", renamed.path, f"{run.name} is now {renamed.name}")


def duplicate(options: argparse.Namespace) -> int:
    run = find_run(options.saves, options.run)
    copy = run.path.with_name(check_name(options.name))
    refuse_taken(copy)
    if run.is_held():
        _ask_engine(run.path, "save", name=options.name)  # only its engine can copy a run that it may be writing
    else:
        duplicate_run(run, options.name)
    return _done(options, "duplicated", copy, f"{copy.name} is a copy of {run.name}")


def tag(options: argparse.Namespace) -> int:
    added, removed = check_tags(options.add), {tag.casefold() for tag in check_tags(options.remove)}
    if not added and not removed:
        raise UserError("say which tag: --add TAG or --remove TAG")
    for run in _named(options):
        tags = check_tags([*(tag for tag in run.metadata().tags if tag.casefold() not in removed), *added])
        _annotate(run, tags=tags)
        words = f"has the tags {', '.join(tags)}" if tags else "has no tags"
        _done(options, "tagged", run.path, f"{run.name} {words}", tags=tags)
    return 0


def _named(options: argparse.Namespace) -> list[Run]:
    """The runs that are named, each once; a wrong name is refused before anything is done."""
    return list({run.path: run for run in (find_run(options.saves, name) for name in options.runs)}.values())


def note(options: argparse.Namespace) -> int:
    run, text = find_run(options.saves, options.run), check_note(options.text)
    _annotate(run, note=text)
    return _done(options, "noted", run.path, f"{run.name}: {text}" if text else f"{run.name} has no note", note=text)


def _annotate(run: Run, **words: Any) -> None:
    if run.is_held():
        _ask_engine(run.path, "annotate", **words)
    else:
        annotate(run, **words)


def _ask_engine(run: Path, request: str, **fields: Any) -> None:
    """Let the engine that holds ``run`` do something."""
    import asyncio  # here, because it would slow the list down

    from core.engine.client import EngineClient

    async def ask() -> None:
        client = await EngineClient.attach(run)
        try:
            await client.request(request, **fields)
        finally:
            await client.close()

    asyncio.run(ask())


def delete(options: argparse.Namespace) -> int:
    for run in _named(options):
        back = f"python -m core runs restore {shlex.quote(run.name)}{saves_flag(run.path.parent)} brings it back"
        _done(options, "deleted", delete_run(run), f"{run.name} is in the trash for {DAYS_KEPT} days: {back}")
    return 0


def trash(options: argparse.Namespace) -> int:
    deleted = deleted_runs(options.saves)
    if options.json:
        for run in deleted:
            put(run.to_json())
    elif not deleted:
        print(printable(f"the trash of {options.saves} is empty"))
    else:
        rows = [["name", "epoch", "model", "corpus", "size", "deleted", ""]]
        for run in deleted:
            facts = run.summary
            rows.append([
                printable(run.name), f"{facts.epoch:,}/{facts.num_epochs:,}", facts.model, printable(facts.corpus),
                bytes_text(facts.bytes), date_text(run.deleted), kept_words(run.deleted),
            ])  # fmt: skip
        print_table(rows, right=frozenset({1, 4}))
    return 0


def restore(options: argparse.Namespace) -> int:
    for path in dict.fromkeys(find_deleted(options.saves, name) for name in options.runs):
        run = restore_run(path)
        _done(options, "restored", run.path, restored_words(path.name, run.name))
    return 0


def empty(options: argparse.Namespace) -> int:
    deleted = deleted_runs(options.saves)
    paths = {find_deleted(options.saves, name) for name in options.runs} or {run.path for run in deleted}
    size = bytes_text(sum(run.summary.bytes for run in deleted if run.path in paths))
    if paths and not options.yes:
        raise UserError(
            f"{counted(len(paths), 'run')} in the trash, {size}, would be deleted permanently: add --yes to do so"
        )
    for path in sorted(paths):
        remove_deleted(path)
        _done(options, "removed", path, f"{path.name} is deleted permanently")
    if not paths and not options.json:
        print("the trash is empty")
    return 0


def _done(options: argparse.Namespace, event: str, path: Path, sentence: str, **facts: Any) -> int:
    """Report what was done with the run at ``path``."""
    tell(options.json, {"event": event, "name": path.name, "path": str(path), **facts}, sentence)
    return 0
