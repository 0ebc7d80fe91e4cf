"""``python -m core runs``: the list of runs, and what can be done with whole runs: rename, copy, delete, restore."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.collector import settle
from core.errors import UserError

Command = Callable[[argparse.Namespace], int]


def add_runs_commands(runs: argparse.ArgumentParser) -> None:
    """What may stand behind ``runs``; alone it lists."""
    acts = runs.add_subparsers(metavar="ACT")

    def act(name: str, run: Command, help: str) -> argparse.ArgumentParser:
        made = acts.add_parser(name, help=help, description=help)
        made.set_defaults(command=run)
        # Also behind the act; where they are not given there, what stands before it holds.
        made.add_argument("--saves", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="where the runs are")
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object a line")
        return made

    rename = act("rename", _rename, "give a run another name")
    duplicate = act("duplicate", _duplicate, "copy a run under another name")
    for made in (rename, duplicate):
        made.add_argument("run", metavar="RUN")
        made.add_argument("name", metavar="NAME")
    delete = act("delete", _delete, "move runs into the trash, from where they can be restored for 30 days")
    delete.add_argument("runs", nargs="+", metavar="RUN")
    act("trash", _trash, "list the runs in the trash")
    restore = act("restore", _restore, "move runs out of the trash; of several of a name, the one deleted last")
    restore.add_argument("runs", nargs="+", metavar="RUN")
    empty = act("empty", _empty, "remove runs in the trash for good; without a name, all of them")
    empty.add_argument("runs", nargs="*", metavar="RUN")
    empty.add_argument("--yes", action="store_true", help="without it, nothing is removed")


def list_command(options: argparse.Namespace) -> int:
    """List the runs."""
    from core.cli.parser import put
    from core.cli.printing import print_runs
    from core.runs.store import check_saves, list_runs

    settle()
    check_saves(options.saves)
    summaries = list_runs(options.saves)
    if options.json:
        for summary in summaries:
            put(summary.to_json())
    else:
        print_runs(summaries, options.saves)
    return 0


def _rename(options: argparse.Namespace) -> int:
    from core.runs.store import find_run, rename_run

    settle()
    run = find_run(options.saves, options.run)
    renamed = rename_run(run, options.name)
    return _done(options, "renamed", renamed.path, f"{run.name} is now {renamed.name}")


def _duplicate(options: argparse.Namespace) -> int:
    from core.engine.client import EngineClient
    from core.runs.store import duplicate_run, find_run

    settle()
    run = find_run(options.saves, options.run)
    if run.is_held():
        # Its engine may be writing: only it can make a copy that is of one moment.
        import asyncio

        async def save() -> None:
            client = await EngineClient.attach(run.path)
            try:
                await client.request("save", name=options.name)
            finally:
                await client.close()

        asyncio.run(save())
    else:
        duplicate_run(run, options.name)
    copy = run.path.with_name(options.name)
    return _done(options, "duplicated", copy, f"{copy.name} is a copy of {run.name}")


def _delete(options: argparse.Namespace) -> int:
    from core.cli.printing import saves_flag
    from core.runs.store import find_run
    from core.runs.trash import DAYS_KEPT, delete_run

    settle()
    runs = [find_run(options.saves, name) for name in options.runs]  # a wrong name is told before anything is done
    for run in runs:
        back = f"python -m core runs restore {shlex.quote(run.name)}{saves_flag(run.path.parent)} brings it back"
        _done(options, "deleted", delete_run(run), f"{run.name} is in the trash for {DAYS_KEPT} days: {back}")
    return 0


def _trash(options: argparse.Namespace) -> int:
    from core.cli.parser import printable, put
    from core.cli.printing import print_table
    from core.runs.trash import deleted_runs, kept_words
    from core.units import bytes_text

    settle()
    deleted = deleted_runs(options.saves)
    if options.json:
        for run in deleted:
            put(run.to_json())
    elif not deleted:
        print(printable(f"the trash of {options.saves} is empty"))
    else:
        rows = [["name", "epoch", "model", "corpus", "size", "deleted", ""]]
        for run in deleted:
            told = run.summary
            rows.append([
                printable(run.name), f"{told.epoch}/{told.num_epochs}", told.model, printable(told.corpus),
                bytes_text(told.bytes), run.deleted[:16].replace("T", " ") + " UTC", kept_words(run.deleted),
            ])  # fmt: skip
        print_table(rows, right=frozenset({1, 4}))
    return 0


def _restore(options: argparse.Namespace) -> int:
    from core.runs.trash import find_deleted, restore_run, restored_words

    settle()
    for path in [find_deleted(options.saves, name) for name in options.runs]:
        run = restore_run(path)
        _done(options, "restored", run.path, restored_words(path.name, run.name))
    return 0


def _empty(options: argparse.Namespace) -> int:
    from core.runs.trash import deleted_runs, find_deleted, remove_deleted
    from core.units import bytes_text, counted

    settle()
    there = deleted_runs(options.saves)
    paths = {find_deleted(options.saves, name) for name in options.runs} or {run.path for run in there}
    size = bytes_text(sum(run.summary.bytes for run in there if run.path in paths))
    if paths and not options.yes:
        raise UserError(
            f"{counted(len(paths), 'run')} in the trash, {size}, would be gone for good: add --yes for that"
        )
    for path in sorted(paths):
        remove_deleted(path)
        _done(options, "removed", path, f"{path.name} is gone for good")
    if not paths and not options.json:
        print("the trash is empty")
    return 0


def _done(options: argparse.Namespace, event: str, path: Path, sentence: str) -> int:
    """Say what was done with the run at ``path``."""
    from core.cli.parser import printable, put

    told: dict[str, Any] = {"event": event, "name": path.name, "path": str(path)}
    put(told) if options.json else print(printable(sentence))
    return 0
