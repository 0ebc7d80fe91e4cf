"""Memory that does not grow with the text: measured in a process of its own, by its peak resident size.

The text has 100 MB, with ``--trials 3`` 300 MB. Its n-grams are counted in a twelfth of it; ``--trials 12`` counts all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
# MiB beyond the interpreter, of a text of any length; the ids of the shorter text alone are 65.
READING, LOOKING, COUNTING = 45, 80, 190


@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_memory_does_not_grow_with_the_text(tmp_path: Path, trials: int) -> None:
    megabytes = 100 * min(3, trials)
    path = write(tmp_path / "large.txt", megabytes)
    run = subprocess.run(
        [sys.executable, "-m", "tests.core.corpus.large_text", str(path), str(tmp_path), str(min(1.0, trials / 12))],
        cwd=REPOSITORY, capture_output=True, text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "RNN_PLAYGROUND_CACHE_GB": "9"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    peaks = json.loads(run.stdout)
    assert peaks.pop("tokens") > megabytes * 300_000
    assert peaks.pop("disk") > 0, "the n-grams fit in memory: the test shows nothing"
    assert peaks["second reading"] < READING and peaks["copy meter"] < LOOKING and peaks["n-grams"] < COUNTING, peaks


def write(path: Path, megabytes: int) -> Path:
    """A text of 3,000 Chinese characters and letters: in each million as Zipf's law has them, every time others."""
    generator = np.random.default_rng(1)
    points = np.concatenate([np.arange(97, 123), [10, 32], np.arange(0x4E00, 0x4E00 + 3000)]).astype("<u4")
    generator.shuffle(points)
    shares = 1 / np.arange(1, len(points) + 1)
    drawn = generator.choice(len(points), 1_000_000, p=shares / shares.sum())
    with path.open("wb") as file:
        while file.tell() < megabytes * 1_000_000:
            file.write(np.roll(points, 31 * file.tell() % len(points))[drawn].tobytes().decode("utf-32-le").encode())
    return path
