"""One opening of a text in a process of its own, so that its time and its peak memory are its own.

``python -m core.benchmark.opening ours|numpy|passes PATH`` prints one JSON object: ``seconds``, ``peak_bytes``
(resident, with the interpreter), ``tokens``, ``vocabulary``. No torch here.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Sizes = tuple[int, int]

_BLOCK = 1 << 20
DIFFERENT = 5_451


def write_text(path: Path, size: int) -> None:
    """A UTF-8 text of about ``size`` bytes with 5,451 different characters: 59 % ASCII, the rest Chinese, as Zipf says.

    The size is rounded to whole blocks, of which there is at least one.
    """
    generator = np.random.default_rng(1)
    ascii_points = np.array([10, 32, *range(33, 127)], dtype=np.uint32)
    chinese = np.arange(0x4E00, 0x4E00 + DIFFERENT - len(ascii_points), dtype=np.uint32)
    block_size = min(_BLOCK, max(size // 2, 4 * DIFFERENT))
    is_ascii = generator.random(block_size) < 0.59
    points = np.where(
        is_ascii,
        generator.choice(ascii_points, block_size, p=_zipf(len(ascii_points))),
        generator.choice(chinese, block_size, p=_zipf(len(chinese))),
    )
    points[:DIFFERENT] = np.concatenate((ascii_points, chinese))
    with path.open("wb") as file:
        for number in range(10**9):
            turned = np.roll(points, number * 4_099)
            file.write(turned.astype("<u4").tobytes().decode("utf-32-le").encode())
            if file.tell() >= size:
                break


def _zipf(size: int) -> np.ndarray:
    weights = 1.0 / np.arange(2, size + 2)
    return np.asarray(weights / weights.sum())


def ours(path: Path) -> Sizes:
    """The reader of this project, the writing of the ids included; nothing is kept of it for the next round."""
    from core.corpus.reader import load_corpus
    from core.corpus.token_store import TokenStore

    corpus = load_corpus(str(path), normalise="spaces", store=TokenStore(path.parent, 0))
    return len(corpus), len(corpus.vocabulary)


def whole_array(path: Path) -> Sizes:
    """Plain numpy on the whole text at once: decode, count, look up."""
    text = path.read_bytes().decode().replace("\n", " ")
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    counts = np.bincount(points)
    distinct = np.flatnonzero(counts)
    order = distinct[np.argsort(-counts[distinct], kind="stable")]
    table = np.zeros(len(counts), dtype=np.int32)
    table[order] = np.arange(1, len(order) + 1)
    ids = table[points]
    return len(ids), len(order) + 1


def passes(path: Path) -> Sizes:
    """The necessary work: read the bytes, compute their checksum, decode them."""
    digest, decoder, tokens = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while piece := file.read(1 << 19):
            digest.update(piece)
            tokens += len(decoder.decode(piece))
    return tokens, 0


WAYS: dict[str, Callable[[Path], Sizes]] = {"ours": ours, "numpy": whole_array, "passes": passes}


def peak_bytes() -> int:
    """The peak resident memory of this process."""
    try:
        # Not getrusage: a process inherits the maximum of its parent, and a benchmark has loaded torch.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(way: str, path: str) -> None:
    """Open once and print the figures."""
    import core.corpus.reader  # noqa: F401  its import is not part of the opening

    began = time.perf_counter()
    tokens, vocabulary = WAYS[way](Path(path))
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(), "tokens": tokens, "vocabulary": vocabulary}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
