"""Jobs of the engine that holds a run, for commands that use its live weights."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from core.cli.printing import printable
from core.engine.client import EngineClient
from core.engine.requests import EventT, JobRequest
from core.errors import EngineError, UserError

# Seconds after which an engine that has not answered is suspended or busy.
LATE_SECONDS = 3.0


async def stream_live(run: Path, request: JobRequest[EventT], show: Callable[[EventT], None]) -> bool:
    """Send ``request`` to the engine that holds ``run``; False if it cannot be reached.

    ``show`` is called with each event that answers it.
    """
    try:
        client = await EngineClient.attach(run)
    except (EngineError, UserError):
        return False
    warning = asyncio.get_running_loop().call_later(LATE_SECONDS, _print_waiting, run.name, client)
    try:
        async for event in client.job(request):
            warning.cancel()
            show(event)
    finally:
        warning.cancel()
        await client.close()
    return True


def _print_waiting(name: str, client: EngineClient) -> None:
    """Print why the engine of the run ``name`` has not answered."""
    process = client.process
    if client.is_suspended:
        why = f"is suspended: fg where it was started, or kill -CONT {process}, lets it continue"
    else:
        why = "does not answer yet: it is busy with something long"
    where = f" (process {process})" if process else ""
    print(f"waiting for the engine of {printable(name)}{where}, which {why}; ctrl+c gives up", file=sys.stderr)
