"""A small run and the results of a command, for the tests of all commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = (
    "--set=normalise=none", "--set=max_tokens=0", "--set=num_hiddens=8", "--set=batch_size=4", "--set=num_steps=15",
    "--set=learning_rate=1", "--set=clip=1", "--set=threads=1", "--device=cpu", "--set=sample_length=5",
)  # fmt: skip


@dataclass(frozen=True)
class Printed:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> list[dict[str, Any]]:
        """Its output as lines of strict JSON."""
        return [json.loads(line, parse_constant=lambda word: pytest.fail(word)) for line in self.out.splitlines()]


def refused(printed: Printed, *words: str) -> None:
    """Exit code 2, nothing on stdout, and one sentence on stderr that has ``words`` in it."""
    assert printed.code == 2 and printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1 and printed.err.endswith("\n")
    assert "\x1b" not in printed.err
    for word in words:
        assert word in printed.err
