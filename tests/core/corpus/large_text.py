"""What is done with a large text, and the peak of the memory after each: run by ``test_large_texts``."""

import json
import sys
from pathlib import Path

import numpy as np

from core.corpus.batching_plan import RandomStarts, SequentialStarts, line_spans
from core.corpus.gram_counts import count_grams
from core.corpus.ids import is_mapped, release
from core.corpus.reader import load_corpus
from core.generation.copy_meter import searching

BATCHES = 300
ROWS_BEFORE_RELEASE = 128  # as in core.training.mapped_batches, which imports torch


def peak() -> float:
    """MiB; getrusage would count the process that started this one too."""
    words = Path("/proc/self/status").read_text()
    return int(words.split("VmHWM:")[1].split()[0]) / 1024


peaks, before = {}, peak()
for name in ("first reading", "second reading"):
    corpus = load_corpus(sys.argv[1], normalise="none")
    assert is_mapped(corpus.ids)
    peaks[name] = peak() - before
sizes = (len(corpus), 32, 35, 3)
for starts in (SequentialStarts(*sizes), RandomStarts(*sizes, np.random.default_rng(1))):
    for batch in range(BATCHES):
        int(corpus.ids[starts[batch][:, None] + np.arange(36)].max())
        if batch % (ROWS_BEFORE_RELEASE // 32) == 0:
            release(corpus.ids)
peaks["batches"] = peak() - before
line_spans(corpus.ids, corpus.vocabulary)
peaks["lines"] = peak() - before
*_, stretch = searching(corpus.ids, np.array(corpus.ids[5000:5200], dtype=np.int64))
assert stretch is not None and stretch.length == 200
peaks["copy meter"] = peak() - before
# Last, since it needs the most: a peak hides all lower ones behind it.
counted = corpus.ids[: int(float(sys.argv[3]) * len(corpus))]
grams = count_grams(counted, 3, len(corpus.vocabulary), 10, Path(sys.argv[2]), most=1 << 18)
peaks["n-grams"] = peak() - before
print(json.dumps({**peaks, "tokens": len(corpus), "disk": grams.disk_bytes}))
