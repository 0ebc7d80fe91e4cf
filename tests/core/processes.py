"""Programs that a test starts beside itself, and that do not outlive it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.engine.client import EngineClient
from core.runs.run import Run
from tests.waiting import wait_for

REPOSITORY = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def started(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Python with ``arguments``, such as ``"-m", "core", "runs"``, until the block ends.

    A block that fails kills it: ``Popen`` alone would wait for a training that nobody ends, and hang the suite.
    """
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(command, **{"cwd": REPOSITORY, "text": True, **options}) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def training_process(run: Run) -> int:
    """The process that has the run open: a program that is forked is not the one that was started."""

    async def process() -> int:
        client = await EngineClient.attach(run.path)
        found = client.process
        await client.close()
        return found

    return asyncio.run(process())


def kill_training(run: Run) -> None:
    """SIGKILL the process that has the run open, and wait until it is gone."""
    os.kill(training_process(run), signal.SIGKILL)
    wait_for(lambda: not run.is_held(), "the training to be gone")
