"""Statistics of a text, against known answers and against slow and plain counting."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.corpus import ngrams
from core.corpus.gram_counts import GramCounts
from core.corpus.ngrams import NGrams
from core.corpus.reader import load_corpus
from core.corpus.statistics import describe, entropy_bits, one_hot, zipf
from core.settings.run_config import END, PADDING, START, RunConfig
from core.training.validation import divided

Write = Callable[..., str]


def slices(ids: list[int], order: int) -> list[tuple[int, ...]]:
    return [tuple(ids[place : place + order]) for place in range(len(ids) - order + 1)]


def test_time_machine_words(time_machine: str) -> None:
    told = describe(load_corpus(time_machine, normalise="letters", tokens="word"))
    json.dumps(told)
    assert (told["lines"], told["tokens"], told["vocabulary"]) == (3_221, 32_775, 4_580)
    assert told["distinct"]["1"] == 4_579
    assert told["top"]["1"][:5] == [["the", 2261], ["i", 1267], ["and", 1245], ["of", 1155], ["a", 816]]
    assert told["top"]["2"][:3] == [[["of", "the"], 309], [["in", "the"], 169], [["i", "had"], 130]]
    assert told["top"]["3"][0] == [["the", "time", "traveller"], 59]
    assert [["the", "time", "machine"], 30] in told["top"]["3"]
    slopes = [told["zipf"][order]["slope"] for order in "123"]
    assert -1.3 < slopes[0] < -0.9
    assert slopes == sorted(slopes)  # longer n-grams are spread more evenly
    assert told["entropy_bits"]["bigram_conditional"] < told["entropy_bits"]["unigram"]


def test_time_machine_characters(time_machine: str) -> None:
    told = describe(load_corpus(time_machine, normalise="letters"), known=True)
    assert (told["lines"], told["tokens"], told["vocabulary"]) == (3_221, 170_580, 28)
    assert told["one_hot"]["shape"] == [35, 32, 28]
    assert told["known_tokens"][:3] == ["<unk>", " ", "e"] and len(told["known_tokens"]) == 28
    assert told["unknown_share"] == 0
    assert told["top"]["1"][0][0] == " "


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 4), st.sampled_from([2**63 - 1, 100, 10]))
@settings(max_examples=200, deadline=None)
def test_ngrams_against_plain_counting(ids: list[int], order: int, largest_key: int) -> None:
    array = np.array(ids, dtype=np.uint16)
    for widest in (ngrams.WIDEST_TABLE, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ngrams, "WIDEST_TABLE", widest)
            check_counts(NGrams(array, order, 7, largest_key), array)


def check_counts(grams: NGrams, ids: np.ndarray) -> None:
    """The n-grams of a text are found where it has them, with their counts."""
    plain = slices(ids.tolist(), grams.order)
    expected = Counter(plain)
    assert grams.total == len(plain) and len(grams.keys) == len(expected)
    assert (np.diff(grams.keys) > 0).all()
    places = grams.find(grams.pack(ids))
    assert (places >= 0).all()
    assert grams.counts[places].tolist() == [expected[gram] for gram in plain]


@pytest.mark.parametrize("largest_key", [2**63 - 1, 10**7])
def test_ngrams_in_pieces(monkeypatch: pytest.MonkeyPatch, largest_key: int) -> None:
    monkeypatch.setattr(ngrams, "_STEP", 100)
    ids = np.random.default_rng(1).integers(0, 300, 5_000) ** 2 % 300
    for order in (1, 2, 3):
        check_counts(NGrams(ids, order, 300, largest_key), ids)


def test_ngrams_of_a_vocabulary_whose_cube_needs_more_than_63_bits() -> None:
    size = 2**22
    ids = np.array([size - 1, size - 2, size - 1, size - 2, size - 1, 0], dtype=np.int32)
    check_counts(NGrams(ids, 3, size), ids)


def counted(*counts: int) -> GramCounts:
    """n-grams that occur so often."""
    values, times = np.unique(np.array(counts, dtype=np.int64), return_counts=True)
    return GramCounts(1, len(counts), values[::-1], times[::-1], [])


def test_entropy_against_the_definition() -> None:
    counts = counted(5, 3, 2)
    plain = -sum(share * math.log2(share) for share in (0.5, 0.3, 0.2))
    assert entropy_bits(counts, counts)["unigram"] == pytest.approx(plain)
    even = entropy_bits(counted(*[3] * 8), counted(*[1] * 64))
    assert even == pytest.approx({"unigram": 3, "bigram_joint": 6, "bigram_conditional": 3})
    assert entropy_bits(counted(4), counted())["unigram"] == 0


def test_zipf_of_zipf() -> None:
    told = zipf(counted(*np.round(1e9 / np.arange(1, 20_001)).astype(np.int64).tolist()))
    assert told["slope"] == pytest.approx(-1, abs=1e-3)
    assert len(told["ranks"]) == len(told["frequencies"]) <= 60
    assert told["ranks"][0] == 1 and told["ranks"][-1] == 20_000
    assert zipf(counted(7)) == {"ranks": [1], "frequencies": [7], "slope": None}
    assert zipf(counted()) == {"ranks": [], "frequencies": [], "slope": None}
    assert zipf(counted(1, 1, 1))["slope"] == 0


def test_one_hot_sizes() -> None:
    assert one_hot(1027, 32, 35, 2) == {
        "shape": [35, 32, 1027],
        "bytes": 35 * 32 * 1027 * 4,
        "ids_bytes": 35 * 32 * 2,
        "ones": 1120,
        "density": 1 / 1027,
    }


def test_examples_are_shifted_by_one(text_file: Write) -> None:
    text = "".join(chr(0x4E00 + number) for number in range(35))
    told = describe(load_corpus(text_file(text)), batch_size=2, num_steps=5)["examples"]
    assert told["batches"] == 3
    assert told["reason"] is None
    assert [batch["starts"] for batch in told["sequential"]] == [[0, 17], [5, 22]]
    assert told["sequential"][0]["X"] == [list(text[0:5]), list(text[17:22])]
    assert told["sequential"][0]["Y"] == [list(text[1:6]), list(text[18:23])]
    for batch in told["random"]:
        for start, x, y in zip(batch["starts"], batch["X"], batch["Y"], strict=True):
            assert (x, y) == (list(text[start : start + 5]), list(text[start + 1 : start + 6]))


@pytest.mark.parametrize("documents", ["stream", "lines"])
def test_examples_are_of_what_is_trained_on(text_file: Write, documents: str) -> None:
    config = RunConfig(documents=documents, normalise="none", batch_size=2, num_steps=5, validation_fraction=0.4)
    corpus = load_corpus(text_file("abcd\n" * 6 + "wxyz\n" * 4), reserved=config.reserved_tokens)
    wanted = {"batch_size": 2, "num_steps": 5, "documents": documents}
    told = describe(corpus, **wanted, validation_fraction=0.4)["examples"]
    batches, _ = divided(corpus, config, torch.device("cpu"))
    assert told["batches"] == batches.per_epoch < describe(corpus, **wanted)["examples"]["batches"]
    assert not any(set("wxyz") & set(row) for name in ("random", "lines") for batch in told.get(name, ())
                   for row in batch["Y"])  # fmt: skip
    short = load_corpus(text_file("ab\n"), reserved=config.reserved_tokens)
    assert "holds out nothing" in describe(short, **wanted, validation_fraction=0.4)["examples"]["reason"]


def test_a_short_text_has_statistics_and_a_reason(text_file: Write) -> None:
    told = describe(load_corpus(text_file("a")))
    json.dumps(told)
    assert told["examples"]["sequential"] == []
    assert told["examples"]["reason"].startswith("the text has 1 token; batch_size 32 with num_steps 35 needs at least")
    assert told["top"] == {"1": [["a", 1]], "2": [], "3": []}


def test_unknown_tokens_are_counted(text_file: Write) -> None:
    told = describe(load_corpus(text_file("aaab"), min_freq=2))
    assert told["unknown_share"] == 0.25
    assert told["top"]["1"] == [["a", 3], ["<unk>", 1]]


def test_bundled_texts_are_described() -> None:
    for path in sorted((Path(__file__).resolve().parents[3] / "data").glob("*.txt")):
        told = describe(load_corpus(path.stem, normalise="spaces"))
        assert told["examples"]["reason"] is None
        assert told["entropy_bits"]["unigram"] > told["entropy_bits"]["bigram_conditional"] > 0


def test_poems_are_rows_with_start_end_and_padding(text_file: Write) -> None:
    reserved = RunConfig(normalise="none", documents="lines").reserved_tokens
    corpus = load_corpus(text_file("abcdef\n\nab\nabc\n"), reserved=reserved)
    told = describe(corpus, batch_size=2, num_steps=5, documents="lines")
    json.dumps(told)
    assert told["poems"] == {"lines": 3, "longest": 6, "cut": 1}
    examples = told["examples"]
    assert (examples["batches"], examples["reason"], len(examples["lines"])) == (2, None, 2)
    rows = {"".join(x[1:]): (x, y) for batch in examples["lines"] for x, y in zip(batch["X"], batch["Y"], strict=True)}
    assert rows["abcd"] == ([START, *"abcd"], [*"abcd", END])
    assert rows[f"ab{END}{PADDING}"] == ([START, *"ab", END, PADDING], [*"ab", END, PADDING, PADDING])


def test_a_text_of_empty_lines_has_no_poems(text_file: Write) -> None:
    corpus = load_corpus(text_file("\n\n\n"), reserved=RunConfig(normalise="none", documents="lines").reserved_tokens)
    told = describe(corpus, documents="lines")
    assert told["poems"]["lines"] == 0 and told["examples"]["lines"] == []
    assert "no lines" in told["examples"]["reason"]


def test_without_ngrams_the_rest_is_the_same(text_file: Callable[..., str]) -> None:
    corpus = load_corpus(text_file("abc abd\n" * 300))
    whole, brief = describe(corpus), describe(corpus, top=0)
    about = ("distinct", "top", "zipf", "entropy_bits")
    assert all(brief[name] == {} for name in about)
    assert {**brief, **{name: whole[name] for name in about}} == whole
