"""Memory that does not grow with the text: measured in a process of its own, by its peak resident size.

``--trials 12`` makes it a text of 300 MB.
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
MEGABYTES = 25


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_memory_does_not_grow_with_the_text(tmp_path: Path, trials: int) -> None:
    path = write(tmp_path / "large.txt", MEGABYTES * trials)
    run = subprocess.run(
        [sys.executable, "-m", "tests.core.corpus.large_text", str(path), str(tmp_path)],
        cwd=REPOSITORY, capture_output=True, text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "RNN_PLAYGROUND_CACHE_GB": "9"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    peaks = json.loads(run.stdout)
    assert peaks.pop("tokens") > MEGABYTES * trials * 300_000
    assert peaks.pop("disk") > 0, "the n-grams fit in memory: the test shows nothing"
    assert max(peaks.values()) < 190, peaks  # MiB beyond the interpreter, of a text of any length


def write(path: Path, megabytes: int) -> Path:
    """A text of 3,000 Chinese characters and letters, as Zipf's law has them."""
    generator = np.random.default_rng(1)
    points = np.concatenate([np.arange(97, 123), [10, 32], np.arange(0x4E00, 0x4E00 + 3000)])
    generator.shuffle(points)
    shares = 1 / np.arange(1, len(points) + 1)
    with path.open("wb") as file:
        while file.tell() < megabytes * 1_000_000:
            drawn = generator.choice(points, 1_000_000, p=shares / shares.sum())
            file.write("".join(map(chr, drawn.tolist())).encode())
    return path
