"""The server that forks programs for the tests outlives those that are killed while they ask it for one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

from tests.core.processes import started


def test_who_is_killed_while_asking_for_a_program_harms_no_other(fork_server: dict[str, str], tmp_path: Path) -> None:
    """As a sweep that is stopped at once kills the training that it has just started."""
    facts = {"arguments": ["core", "presets"], "environment": dict(os.environ), "folder": str(tmp_path),
             "streams": [0, 1, 2]}  # fmt: skip
    whole = json.dumps(facts).encode() + b"\n"
    with open(os.devnull, "r+b") as nothing:
        for said in (None, b"", whole[:9], whole):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
                asking.connect(fork_server["RNN_PLAYGROUND_FORK_SERVER"])
                if said is not None:
                    socket.send_fds(asking, [b" "], [nothing.fileno()] * 3)
                    asking.sendall(said)
    with started("-m", "core", "presets", env={**os.environ, **fork_server}, stdout=subprocess.PIPE) as program:
        assert "lyrics-scratch-random" in program.communicate(timeout=60)[0]
    assert program.returncode == 0
