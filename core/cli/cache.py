"""``python -m core cache``: what the token store holds, and its removal."""

from __future__ import annotations

import argparse
import datetime

from core.cli.printing import print_table, printable, put, tell
from core.corpus.token_store import VARIABLE, default_store
from core.errors import UserError, refusing
from core.units import bytes_text, counted


def cache(options: argparse.Namespace) -> int:
    """List the texts whose tokens are kept, the most recently used first."""
    store = default_store()
    entries = store.entries()
    if options.json:
        texts = [{"name": entry.name, "tokens": entry.tokens, "bytes": entry.bytes} for entry in entries]
        put({"folder": str(store.folder), "bytes": store.bytes, "bound": store.bound, "texts": texts})
        return 0
    held = f"{counted(len(entries), 'text')}, {bytes_text(store.bytes)} of {bytes_text(store.bound)} ({VARIABLE})"
    print(printable(f"{store.folder} holds {held}"))
    rows = []
    for entry in entries:
        used = datetime.datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        rows.append([f"  {printable(entry.name)}", counted(entry.tokens, "token"), bytes_text(entry.bytes), used])
    if rows:
        print_table(rows, right=frozenset({1, 2}))
        print("python -m core cache clear removes them: the next start reads the texts again")
    return 0


def clear(options: argparse.Namespace) -> int:
    store = default_store()
    with refusing(f"{store.folder} cannot be cleared", UserError):
        freed = store.clear()
    tell(options.json, {"freed": freed}, f"freed {bytes_text(freed)}")
    return 0
