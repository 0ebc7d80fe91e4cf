"""Saves the screen as an SVG file.

Textual's own command fails silently if there is no Downloads folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from textual.app import App

from core.errors import UserError
from core.files import open_new
from tui.text.safe import shown_text

SOON = 0.1  # seconds, after which the command palette has closed


def screenshot_soon(app: App[Any]) -> None:
    """Save the screen without the command palette, and show the path."""
    app.set_timer(SOON, partial(_take, app))


async def _take(app: App[Any]) -> None:
    name = f"playground-{datetime.datetime.now():%Y-%m-%d-%H%M%S-%f}.svg"
    app.run_worker(_save(app, app.export_screenshot(), name), exit_on_error=False)


async def _save(app: App[Any], svg: str, name: str) -> None:
    try:
        path = await asyncio.to_thread(lambda: save_picture(svg, name, places()))
    except UserError as error:
        app.notify(shown_text(str(error)), title="Screenshot", severity="error", markup=False)
    else:
        app.notify(shown_text(f"it is in {path}"), title="Screenshot", markup=False)


def places() -> Iterator[Path]:
    """Folders for the file, best first: downloads, the working directory, home, the temporary folder."""
    from platformdirs import user_downloads_path

    for place in (user_downloads_path, Path.cwd, Path.home, lambda: Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError, RuntimeError):  # a folder that was deleted, a user without a home
            yield place()


def save_picture(svg: str, name: str, folders: Iterable[Path]) -> Path:
    """Write the file into the first folder that is writable, and return its path.

    Raises UserError with the reasons if none is.
    """
    reasons = []
    for folder in folders:
        path = folder / name
        try:
            with open_new(path) as file:
                file.write(svg.encode("utf-8", "replace"))
            return path
        except OSError as error:
            reasons.append(f"{folder} ({error.strerror or error})")
            if not isinstance(error, FileExistsError):
                with contextlib.suppress(OSError):  # a partial file
                    os.unlink(path)
    raise UserError("the screenshot could not be saved in " + ", ".join(reasons))
