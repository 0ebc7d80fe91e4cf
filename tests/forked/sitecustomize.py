"""In the place of ``python -m core ...`` in tests that put this folder into PYTHONPATH: ask the fork server for it.

Also of ``-m core.module``. This process stays until the program ends, passes signals on, and ends as it did; where it
is killed, so is the program.
"""

import os
import sys

_SERVER = os.environ.get("RNN_PLAYGROUND_FORK_SERVER")


def _stand_in_for_the_program(server: str, streams: list[int]) -> None:
    import json
    import signal
    import socket

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(server)
    facts = {"arguments": sys.orig_argv[2:], "environment": dict(os.environ), "folder": os.getcwd(), "streams": streams}
    socket.send_fds(connection, [b" "], streams)
    connection.sendall(json.dumps(facts).encode() + b"\n")
    for stream in streams:  # the program's alone: whoever reads from it must see its end
        os.close(stream)
    answers = connection.makefile()
    pid = int(answers.readline())
    with open(f"{server}.{os.getpid()}", "w") as file:  # for tests that look at the program itself
        file.write(str(pid))
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    code = int(answers.readline() or 1)
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _is_open(stream: int) -> bool:
    try:
        return bool(os.fstat(stream))
    except OSError:
        return False


if _SERVER and sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2].split(".")[0] == "core":
    _stand_in_for_the_program(_SERVER, [stream for stream in range(3) if _is_open(stream)])
