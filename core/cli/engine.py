"""``python -m core engine``: serve a run to the playground, or wait for one."""

from __future__ import annotations

import argparse
import os
import signal

from core.cli.printing import put
from core.engine.protocol import runtime_folder
from core.process import resume_collection
from core.runs.store import find_run


def engine(options: argparse.Namespace) -> int:
    """Serve a run until a client or a signal ends it."""
    # The run outlives the terminal that started the playground.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runtime_folder()
    run = find_run(options.saves, options.run) if options.run is not None else None

    from core.engine.engine import Engine, open_log, write_log_to
    from core.engine.session import Session
    from core.models.recurrence.cpu import bindings

    resume_collection()
    session = Session.open(run) if run is not None else None
    engine = Engine(session)
    engine.stop_on_signals(signal.SIGTERM)
    path = engine.start()
    put({"event": "listening", "socket": str(path), "pid": os.getpid()})
    write_log_to(open_log(session) if session is not None else os.open(os.devnull, os.O_WRONLY))
    if session is None:
        bindings.unavailable_reason()  # compiles the kernels where that has not been done yet
    engine.run()
    return 0
