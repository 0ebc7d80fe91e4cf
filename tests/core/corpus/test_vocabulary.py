"""Ids and tokens, there and back."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.corpus.vocabulary import Vocabulary
from core.errors import CorpusError


def vocabulary_of(tokens: list[str], kind: str = "char", **options: Any) -> Vocabulary:
    counts = Counter(tokens)
    made, _ = Vocabulary.from_counts(kind, list(counts), np.array(list(counts.values()), dtype=np.int64), **options)
    return made


def test_order_is_frequency_then_first_appearance() -> None:
    vocabulary = vocabulary_of(list("cabbage"))
    assert vocabulary.tokens == ("<unk>", "a", "b", "c", "g", "e")
    assert vocabulary.frequencies.tolist() == [0, 2, 2, 1, 1, 1]


def test_rare_tokens_become_unknown() -> None:
    vocabulary = vocabulary_of(list("aaabbc"), min_freq=2)
    assert vocabulary.tokens == ("<unk>", "a", "b")
    assert vocabulary.frequencies.tolist() == [1, 3, 2]
    assert vocabulary.encode("abcz").tolist() == [1, 2, 0, 0]
    assert vocabulary.unknown_tokens("zcazc") == ["z", "c"]


def test_reserved_tokens_come_first_and_keep_their_count() -> None:
    vocabulary = vocabulary_of(["to", "be", "<eos>", "to", "see", "<unk>"], "word", reserved=("<bos>", "<eos>"))
    assert vocabulary.tokens == ("<unk>", "<bos>", "<eos>", "to", "be", "see")
    assert vocabulary.frequencies.tolist() == [1, 0, 1, 2, 1, 1]
    assert vocabulary.reserved == ("<bos>", "<eos>")
    assert vocabulary.encode("see <bos> no").tolist() == [5, 1, 0]
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_reserved_tokens_are_not_made_from_characters() -> None:
    vocabulary = vocabulary_of(list("ab"), reserved=("<eos>",))
    assert vocabulary.encode("<eos>").tolist() == [0] * 5
    assert [vocabulary.token_to_id(token) for token in ("<eos>", "a")] == [1, 2]


@pytest.mark.parametrize("reserved", [("a", "a"), ("<unk>",), ("",), (3,)])
def test_unfit_reserved_tokens_are_refused(reserved: tuple[Any, ...]) -> None:
    with pytest.raises(CorpusError, match="reserved tokens must be distinct"):
        vocabulary_of(list("ab"), reserved=reserved)


def test_ids_outside_are_refused() -> None:
    vocabulary = vocabulary_of(list("ab"))
    for index in (-1, 3):
        with pytest.raises(IndexError, match="between 0 and 2"):
            vocabulary.id_to_token(index)
        with pytest.raises(IndexError):
            vocabulary.decode([index])


def test_lone_surrogates_in_a_prompt_are_unknown() -> None:
    vocabulary = vocabulary_of(list("ab"))
    assert vocabulary.encode("a\ud800b").tolist() == [1, 0, 2]
    assert vocabulary.unknown_tokens("\udcff") == ["\udcff"]


@given(st.text(min_size=1), st.text())
def test_round_trip_of_characters(text: str, prompt: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    vocabulary = vocabulary_of(list(text))
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert all(vocabulary.id_to_token(vocabulary.token_to_id(token)) == token for token in vocabulary.tokens)
    read_back = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert read_back == vocabulary
    expected = [vocabulary.token_to_id(character) for character in prompt]
    assert vocabulary.encode(prompt).tolist() == read_back.encode(prompt).tolist() == expected
    assert set(vocabulary.unknown_tokens(prompt)) == set(prompt) - set(text)


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=1))
def test_round_trip_of_words(parts: list[str]) -> None:
    words = " ".join(parts).split()
    vocabulary = vocabulary_of(words, "word")
    assert vocabulary.decode(vocabulary.encode(" ".join(words))) == " ".join(words)
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary


GOOD = {"format": 1, "kind": "char", "reserved": 0, "tokens": ["<unk>", "a", "b"], "frequencies": [0, 2, 1]}


def test_the_good_example_is_good() -> None:
    assert len(Vocabulary.from_json(GOOD)) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": True},
        {"kind": "byte"},
        {"kind": ["char"]},
        {"tokens": "abc"},
        {"tokens": ["<unk>", "a", 3]},
        {"tokens": ["<unk>", "a", "a"]},
        {"tokens": ["<unk>", "a", "ab"]},
        {"tokens": ["<unk>", "a", ""]},
        {"tokens": ["<unk>", "a", "\ud800"]},
        {"tokens": ["a", "b", "c"]},
        {"tokens": []},
        {"tokens": ["<unk>"]},
        {"kind": "word", "tokens": ["<unk>", "a", "b c"]},
        {"kind": "word", "tokens": ["<unk>", "a", "b" * 100_001]},
        {"frequencies": [0, 2]},
        {"frequencies": [0, 2, -1]},
        {"frequencies": [0, 2, 2**63]},
        {"frequencies": [0, 2, 1.0]},
        {"frequencies": [0, 2, True]},
        {"frequencies": {}},
        {"reserved": 3},
        {"reserved": -1},
        {"reserved": "1"},
        {"reserved": 2**70},
    ],
)
def test_a_damaged_vocabulary_is_refused_with_a_sentence(change: dict[str, Any]) -> None:
    with pytest.raises(CorpusError, match="the vocabulary is damaged: "):
        Vocabulary.from_json({**GOOD, **change})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner),
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        Vocabulary.from_json(value)
    except CorpusError as error:
        assert len(str(error)) < 200
