"""The tail of a journal: reads the events of a run as its engine writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from core.events import EpochFinished, Event
from core.runs.journal import JournalReader
from core.runs.run import Run

QUICK_POLL = 0.04  # seconds between two reads while a run trains, until its first epoch
CALM_POLL = 0.5  # seconds after that, when each read takes some processor time from training, and while none runs
CHUNK = 1 << 20  # bytes read at a time: a long curve appears piece by piece instead of all at once
MANY = 1000  # events; after so many the next chunk is read at once
CHECK_SECONDS = 2.0


async def tail_journal(
    run: Path,
    publish: Callable[[tuple[Event, ...]], None],
    is_training: Callable[[], bool],
    check: Callable[[], Awaitable[None]],
) -> None:
    """Read the journal of ``run`` from its beginning, until cancelled.

    Args:
        publish: takes the events, oldest first.
        is_training: whether new events are to be expected soon.
        check: called when nothing is new, at most once in ``CHECK_SECONDS``.
    """
    reader = JournalReader(Run(run).journal_path)
    loop = asyncio.get_running_loop()
    next_check, pause = 0.0, QUICK_POLL
    while True:
        events = tuple(event for event, _ in await asyncio.to_thread(reader.poll, CHUNK))
        if events:
            publish(events)
            if any(isinstance(event, EpochFinished) for event in events):
                pause = CALM_POLL
            if len(events) < MANY:
                await asyncio.sleep(pause)
            continue
        if loop.time() >= next_check:
            await check()
            next_check = loop.time() + CHECK_SECONDS
        await asyncio.sleep(pause if is_training() else CALM_POLL)
