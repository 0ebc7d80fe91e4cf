"""Commands of ``python -m core`` that the screen runs in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.errors import UserError
from core.process import program_environment


@asynccontextmanager
async def core_process(arguments: list[str], error: type[UserError] = UserError) -> AsyncIterator[Process]:
    """``python -m core`` with its output in pipes; killed where it still runs at the end.

    Raises ``error`` if it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "core", *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=program_environment(),
        )  # fmt: skip
    except (OSError, ValueError) as reason:
        raise error(f"python -m core {arguments[0]} could not be started: {reason}") from None
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def sentence_of(words: str, otherwise: str) -> str:
    """The sentence with which a command ended on stderr."""
    last = words.strip().splitlines()[-1:] or [otherwise]
    return last[0].removeprefix("error: ")
