"""Statistics of a text: counts, n-grams, Zipf's law, entropy, and example batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.corpus.batching_plan import (
    LineRows,
    RandomStarts,
    SequentialStarts,
    line_sizes,
    num_batches,
    order_of,
    require_one_batch,
    trained_on,
)
from core.corpus.gram_counts import GramCounts, count_grams
from core.corpus.reader import Corpus
from core.corpus.token_store import default_store
from core.errors import CorpusError
from core.record import record_as_json

_ORDERS = (1, 2, 3)
_ZIPF_POINTS = 60
_ROWS_SHOWN = 2
_BATCHES_SHOWN = 2
_STEPS_SHOWN = 200
_FLOAT32_BYTES = 4
_POEMS = ("lines", "longest", "cut")
_MOST_KNOWN = 50_000


def describe(
    corpus: Corpus,
    *,
    batch_size: int = 32,
    num_steps: int = 35,
    top: int = 10,
    seed: int = 1,
    documents: str = "stream",
    validation_fraction: float = 0.0,
    known: bool = False,
) -> dict[str, Any]:
    """All statistics of a text, JSON-able.

    Keys: ``name, path, sha256, bytes, encoding, normalise, token_kind, lines, files, problem`` as in ``Corpus``; the
    number of ``tokens``; the size of the ``vocabulary`` with the unknown token; if ``known``, its ``known_tokens``,
    None for more than 50,000; ``unknown_share`` of the tokens, 0 to 1; ``distinct`` and ``top`` n-grams, by n;
    ``gram_disk_bytes``: what counting them took on the disk, 0 where memory was enough; ``zipf``, ``entropy_bits``,
    ``one_hot`` and ``examples``: see the functions of these names; the examples are of what is trained on, without the
    ``validation_fraction`` that is held out. ``seed`` is that of the random example. With ``top`` 0 no n-grams are
    counted, which takes minutes for a text of gigabytes, and the tables about them are empty.

    With ``documents="lines"``, for a text that was read with the reserved tokens of ``RunConfig``, ``examples`` are
    those of ``example_lines``, and ``poems`` has the number of non-empty ``lines``, the tokens of the ``longest``, and
    how many are too long for a row (``cut``).
    """
    vocabulary = corpus.vocabulary
    folder = default_store().folder
    orders = _ORDERS if top else ()
    grams = {order: count_grams(corpus.ids, order, len(vocabulary), top, folder) for order in orders}
    lines = documents == "lines"
    sizes = line_sizes(corpus.ids, vocabulary, num_steps - 1) if lines else ()
    examples = example_lines if lines else example_batches
    return {
        "name": corpus.name,
        "path": str(corpus.path),
        "sha256": corpus.sha256,
        "bytes": corpus.bytes,
        "encoding": corpus.encoding,
        "normalise": corpus.normalise,
        "token_kind": corpus.tokens,
        "lines": corpus.lines,
        "files": [record_as_json(file) for file in corpus.files],
        "problem": corpus.problem,
        "tokens": len(corpus),
        "vocabulary": len(vocabulary),
        **({"known_tokens": list(vocabulary.tokens) if len(vocabulary) <= _MOST_KNOWN else None} if known else {}),
        "unknown_share": int(vocabulary.frequencies[0]) / len(corpus),
        "distinct": {str(order): grams[order].distinct for order in orders},
        "gram_disk_bytes": max((grams[order].disk_bytes for order in orders), default=0),
        "top": {str(order): _top(corpus, grams[order]) for order in orders},
        "zipf": {str(order): zipf(grams[order]) for order in orders},
        "entropy_bits": entropy_bits(grams[1], grams[2]) if top else {},
        "one_hot": one_hot(len(vocabulary), batch_size, num_steps, corpus.ids.itemsize),
        "examples": examples(corpus, batch_size, num_steps, seed, validation_fraction),
        **({"poems": dict(zip(_POEMS, sizes, strict=True))} if lines else {}),
    }


def zipf(grams: GramCounts) -> dict[str, Any]:
    """Frequency by rank: ``ranks`` and ``frequencies`` of at most 60 of the n-grams, and ``slope``.

    The ranks are evenly spaced in their logarithm, and the slope is that of the least-squares line through these points
    in log-log: over all ranks the many rare tokens would outweigh the rest. None for fewer than two points.
    """
    ranks = np.unique(np.geomspace(1, max(grams.distinct, 1), _ZIPF_POINTS).round().astype(np.int64))
    frequencies = grams.counts[np.searchsorted(np.cumsum(grams.times), ranks)] if grams.distinct else grams.counts
    slope = None
    if len(frequencies) > 1:
        across = np.log(ranks) - np.log(ranks).mean()
        slope = float(across @ np.log(frequencies) / (across @ across))
    return {"ranks": ranks[: len(frequencies)].tolist(), "frequencies": frequencies.tolist(), "slope": slope}


def entropy_bits(unigrams: GramCounts, bigrams: GramCounts) -> dict[str, float]:
    """Entropies of the text's own frequencies, in bits.

    ``unigram``: of a token; ``bigram_joint``: of two neighbours together; ``bigram_conditional``: of a token given the
    one before it, the difference of the two. 2 to their power is a perplexity on the text itself.
    """
    unigram, joint = _entropy_bits(unigrams), _entropy_bits(bigrams)
    return {"unigram": unigram, "bigram_joint": joint, "bigram_conditional": max(joint - unigram, 0.0)}


def one_hot(vocabulary_size: int, batch_size: int, num_steps: int, id_bytes: int) -> dict[str, Any]:
    """The size of one batch as one-hot vectors in float32, and as ids.

    ``shape``: (num_steps, batch_size, vocabulary_size); ``bytes``; ``ids_bytes``; ``ones``; ``density``: share of ones.
    """
    tokens = num_steps * batch_size
    return {
        "shape": [num_steps, batch_size, vocabulary_size],
        "bytes": tokens * vocabulary_size * _FLOAT32_BYTES,
        "ids_bytes": tokens * id_bytes,
        "ones": tokens,
        "density": 1 / vocabulary_size,
    }


def example_batches(
    corpus: Corpus, batch_size: int, num_steps: int, seed: int = 1, validation_fraction: float = 0.0
) -> dict[str, Any]:
    """The first two batches of both samplings, decoded.

    ``sequential`` and ``random``: a list of batches, each with ``starts`` (rows,), ``X`` and ``Y`` (rows, steps) as
    tokens: the first two rows, at most 200 steps. ``batches`` is the number in an epoch. For a text too short both are
    empty, and ``reason`` is a sentence, else None.
    """
    try:
        tokens = trained_on(len(corpus), validation_fraction, "tokens")
        require_one_batch(tokens, batch_size, num_steps)
    except CorpusError as error:
        return {"batches": 0, "reason": str(error), "sequential": [], "random": []}
    batches = num_batches(tokens, batch_size, num_steps)
    starts: dict[str, SequentialStarts | RandomStarts] = {
        "sequential": SequentialStarts(tokens, batch_size, num_steps),
        "random": RandomStarts(tokens, batch_size, num_steps, 0, np.random.default_rng(seed)),
    }
    shown = {
        name: [_of_stream(corpus, cut[batch][:_ROWS_SHOWN], num_steps) for batch in range(min(batches, _BATCHES_SHOWN))]
        for name, cut in starts.items()
    }
    return {"batches": batches, "reason": None, **shown}


def example_lines(
    corpus: Corpus, batch_size: int, num_steps: int, seed: int = 1, validation_fraction: float = 0.0
) -> dict[str, Any]:
    """The first two batches of poems of a first epoch with ``seed``, decoded.

    ``lines``: a list of batches as in ``example_batches``, with start, end and padding; ``batches`` and ``reason`` too.
    """
    rows = LineRows(corpus.ids, corpus.vocabulary, num_steps)
    if not len(rows):
        return {"batches": 0, "reason": "the text has no lines that are not empty", "lines": []}
    try:
        count = trained_on(len(rows), validation_fraction, "lines")
    except CorpusError as error:
        return {"batches": 0, "reason": str(error), "lines": []}
    order = order_of(count, np.random.default_rng([seed, 0]))
    firsts = range(0, min(count, _BATCHES_SHOWN * batch_size), batch_size)
    numbers = [np.arange(first, min(first + batch_size, count))[:_ROWS_SHOWN] for first in firsts]
    shown = [rows.at(order(places))[:, : _STEPS_SHOWN + 1] for places in numbers]
    return {
        "batches": -(-count // batch_size),
        "reason": None,
        "lines": [_decoded(corpus, batch) for batch in shown],
    }


def _of_stream(corpus: Corpus, starts: npt.NDArray[np.int64], num_steps: int) -> dict[str, Any]:
    rows = corpus.ids[starts[:, None] + np.arange(min(num_steps, _STEPS_SHOWN) + 1)]
    return {"starts": starts.tolist(), **_decoded(corpus, rows)}


def _decoded(corpus: Corpus, rows: npt.NDArray[Any]) -> dict[str, Any]:
    """The inputs X and the targets Y of some rows, (rows, steps + 1), as tokens."""
    tokens = [[corpus.vocabulary.id_to_token(index) for index in row] for row in rows.tolist()]
    return {"X": [row[:-1] for row in tokens], "Y": [row[1:] for row in tokens]}


def _top(corpus: Corpus, grams: GramCounts) -> list[list[Any]]:
    """``[token, count]`` for single tokens, ``[[token, token], count]`` for more."""
    name = corpus.vocabulary.id_to_token
    if grams.order == 1:
        return [[name(ids[0]), count] for ids, count in grams.top]
    return [[[name(index) for index in ids], count] for ids, count in grams.top]


def _entropy_bits(grams: GramCounts) -> float:
    if not grams.distinct:
        return 0.0
    weighted = grams.counts * grams.times
    total = float(weighted.sum())
    return float(np.log2(total) - (weighted * np.log2(grams.counts)).sum() / total)
