"""``python -m core download``: list the texts that can be downloaded, or download one."""

from __future__ import annotations

import argparse

from core.cli.printing import ProgressLine, bar, printable, put
from core.corpus import catalogue
from core.corpus.catalogue import Download
from core.output import tolerate
from core.units import bytes_text


def download(options: argparse.Namespace) -> int:
    if options.name is None:
        for entry in catalogue.DOWNLOADS:
            _print_entry(entry, options.json)
        return 0
    entry = catalogue.download_named(options.name)
    tolerate()

    from core.corpus.download import download as download_entry

    _print_entry(entry, options.json)  # size, licence and source, before the first byte is asked for
    progress = ProgressLine(not options.json)

    def show(done: int, total: int) -> None:
        if done < total and not progress.is_due():
            return
        if options.json:
            put({"event": "progress", "bytes": done, "total": total})
        else:
            progress.draw(f"{bar(done, total)} {bytes_text(done)} of {bytes_text(total)}")

    try:
        path = download_entry(entry, data_dir=options.data, progress=show)
    finally:
        progress.clear()
    if options.json:
        put({"event": "done", "name": entry.name, "path": str(path)})
    else:
        print(printable(f"saved as {path}"))
        print(f"python -m core train --corpus {entry.name} trains on it")
    return 0


def _print_entry(entry: Download, as_json: bool) -> None:
    if as_json:
        names = ("name", "title", "bytes", "licence", "source", "url")
        put({"event": "download", **{name: getattr(entry, name) for name in names}})
    else:
        print(f"{entry.name}: {entry.title}; {bytes_text(entry.bytes)}, {entry.licence}")
        print(f"  from {entry.url} ({entry.source})", flush=True)
