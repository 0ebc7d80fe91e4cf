"""Writing: prefixes, ends, acrostics, moods, samples, details, and a model that learns meanwhile."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.corpus.vocabulary import Vocabulary
from core.engine.requests import Generate
from core.errors import UserError
from core.generation.acrostic import line_end, stop_ids, verse_ends
from core.generation.events import Copied, Piece, Written
from core.generation.options import STRATEGIES, GenerationRequest, Sampling
from core.generation.response import response, training_part
from core.generation.writer import Writing, write
from core.settings.run_config import END, PADDING, START
from tests.core.generation.conftest import chain, characters, small_model, text_of, texts_of

DRAWING = [strategy.name for strategy in STRATEGIES if strategy.name != "beam"]


@pytest.mark.parametrize("strategy", DRAWING)
def test_the_same_seed_writes_the_same_text(letters: Vocabulary, strategy: str) -> None:
    model = small_model(letters)
    first = text_of(model, letters, prefix="ab", length=60, strategy=strategy, seed=7)
    assert len(first) == 60
    assert first == text_of(model, letters, prefix="ab", length=60, strategy=strategy, seed=7)
    other = text_of(model, letters, prefix="ab", length=60, strategy=strategy, seed=8)
    assert (other == first) == (strategy == "greedy")


def test_how_it_is_cut_into_pieces_and_told_changes_no_text(letters: Vocabulary) -> None:
    model = small_model(letters)
    whole = "".join(write(model, letters, "ab", 50, Sampling(seed=7)))
    assert whole == text_of(model, letters, prefix="ab", length=50, seed=7, details=True)
    writing = Writing(model, letters, GenerationRequest("ab", 50, Sampling(seed=7)))
    pieces = []
    while not writing.finished:
        pieces += [piece.text for piece in writing.advance(0)]
    assert len(pieces) == 50 and "".join(pieces) == whole


def test_training_and_its_random_numbers_are_left_alone(letters: Vocabulary) -> None:
    model = small_model(letters, dropout=0.5)
    assert model.training
    torch.manual_seed(1)
    before = torch.get_rng_state()
    writing = Writing(model, letters, GenerationRequest("ab", 20, Sampling(seed=7), count=2))
    while not writing.finished:
        writing.advance(0)
        assert torch.is_grad_enabled() and model.training
        ids = torch.tensor([[1, 2]])
        loss, _ = model.loss(ids, ids, model.begin_state(1))
        assert loss.requires_grad
        torch.set_rng_state(before)  # the loss drew a dropout, writing must draw nothing
    assert torch.equal(torch.get_rng_state(), before)


def test_a_new_seed_each_time_is_told(letters: Vocabulary) -> None:
    model = small_model(letters)
    writing = Writing(model, letters, GenerationRequest("a", 30))
    writing.advance(10)
    assert writing.samples[0].text == text_of(model, letters, prefix="a", length=30, seed=writing.seed)


def test_unknown_characters_are_named_and_the_unknown_token_is_never_written() -> None:
    vocabulary = characters("ab")
    model = chain([[0.9, 0.05, 0.05]] * 3)
    writing = Writing(model, vocabulary, GenerationRequest("xay", 200, Sampling(seed=1), mood="z"))
    writing.advance(10)
    assert writing.unknown == ["x", "y", "z"]
    assert set(writing.samples[0].text) == {"a", "b"}
    alone = Vocabulary("char", ["<unk>"], [3])
    assert text_of(chain([[1.0]]), alone, prefix="q", length=2) == "<unk><unk>"


def test_a_bidirectional_model_refuses(letters: Vocabulary) -> None:
    with pytest.raises(UserError, match="a bidirectional model cannot write"):
        list(write(small_model(letters, bidirectional=True), letters, "a", 5, Sampling()))


def test_weights_that_are_no_numbers(letters: Vocabulary) -> None:
    model = small_model(letters)
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    for fields in ({}, {"count": 2}, {"strategy": "beam"}, {"strategy": "greedy"}):
        with pytest.raises(UserError, match="scores became non-finite"):
            text_of(model, letters, prefix="a", length=5, **fields)


def test_words_stand_apart() -> None:
    vocabulary = Vocabulary("word", ["<unk>", "sea", "the"], [0, 1, 1])
    model = chain([[0, 0, 1], [0, 0, 1], [0, 1, 0]])
    assert text_of(model, vocabulary, prefix="the", length=3) == " sea the sea"
    assert text_of(model, vocabulary, length=3, mood="the") == "sea the sea"


# --------------------------------------------------------------------------------------------------- ends


def test_a_stop_is_written_unless_it_is_white_space() -> None:
    vocabulary = characters("ab。\n")
    model = chain([[0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]])
    for stop, expected, ended in (
        ("", "b。\nab", "length"), ("。", "b。", "stop"), ("\n", "b。", "stop"), ("line", "b。", "stop"),
        ("b。", "b", "stop"),
    ):  # fmt: skip
        writing = Writing(model, vocabulary, GenerationRequest("a", 5, Sampling(seed=1), stop=stop))
        writing.advance(10)
        assert (writing.samples[0].text, writing.samples[0].ended) == (expected, ended)


def test_an_end_token_ends_the_text_and_reserved_tokens_are_not_written() -> None:
    vocabulary = characters("ab", (START, END, PADDING))
    model = chain([[0.1, 0.2, 0.1, 0.2, 0.2, 0.2]] * 6)
    for seed in range(5):
        writing = Writing(model, vocabulary, GenerationRequest("", 100, Sampling(seed=seed)))
        writing.advance(10)
        assert set(writing.samples[0].text) <= {"a", "b"}
        assert writing.samples[0].ended == "end"
    assert stop_ids(vocabulary, "line") == frozenset()


def test_line_ends() -> None:
    assert line_end(characters("ab\n")) == "\n"
    assert line_end(characters("春夏 ")) == " "  # blanks stand where line ends were
    assert line_end(characters("ab ")) is None  # here they stand between words
    assert line_end(Vocabulary("word", ["<unk>", "春"], [0, 1])) is None
    assert verse_ends(characters("春夏 。")) == {3, 4}
    with pytest.raises(UserError, match="has no line ends"):
        stop_ids(characters("ab "), "line")
    with pytest.raises(UserError, match="stop must be line or tokens of the model's vocabulary, got 'x'"):
        stop_ids(characters("ab "), "ax")


# --------------------------------------------------------------------------------------------------- acrostics


def verses(text: str, heads: str) -> list[str]:
    lines = text.rstrip("\n").split("\n")
    assert [line[0] for line in lines] == list(heads)
    return lines


@pytest.mark.parametrize("strategy", DRAWING)
@pytest.mark.parametrize("body", ["abcdefgh\n", "abcdefgh。", "abcdefgh", "春夏秋冬东西南北 "])
def test_each_head_begins_one_verse_in_order(strategy: str, body: str) -> None:
    vocabulary = characters(body)
    heads = body[3] + body[0] + body[0] + body[5]
    for seed in range(4):
        model = small_model(vocabulary, seed)
        text = text_of(model, vocabulary, heads=heads, length=60, verse_length=9, strategy=strategy, seed=seed)
        for line in verses(text, heads):
            assert len(line.rstrip(" 。")) >= 2
            assert len(line) <= 9


@pytest.mark.parametrize("length", [4, 5, 8, 11, 13])
def test_all_heads_have_a_place_however_short_the_text(length: int) -> None:
    for body in ("abcdefgh\n", "abcdefgh。", "abcdefgh"):
        vocabulary = characters(body)
        text = text_of(small_model(vocabulary), vocabulary, heads="hgfe", length=length, seed=1)
        verses(text, "hgfe")


def test_heads_and_prefixes() -> None:
    vocabulary = characters("abcdefgh\n")
    model = small_model(vocabulary)
    text = text_of(model, vocabulary, prefix="abc", heads="d龘", length=30, verse_length=5, seed=1)
    assert text.startswith("\nd") and "\n龘" in text
    texts = texts_of(model, vocabulary, heads="abc", length=30, verse_length=5, seed=1, count=3)
    assert all(verses(text, "abc") for text in texts)
    with pytest.raises(UserError, match="length must be at least 3, one token for each initial, got 2"):
        text_of(model, vocabulary, heads="abc", length=2)


def test_an_acrostic_of_a_model_of_poems_goes_on_to_its_last_verse() -> None:
    vocabulary = characters("ab。", (START, END, PADDING))
    model = chain([[0.0, 0.0, 0.4, 0.0, 0.2, 0.2, 0.2]] * 7)
    for seed in range(5):
        verses(text_of(model, vocabulary, heads="abba", length=100, seed=seed), "abba")


def test_words_head_verses_too() -> None:
    vocabulary = Vocabulary("word", ["<unk>", "sea", "the", "end."], [0, 1, 1, 1])
    model = small_model(vocabulary)
    text = text_of(model, vocabulary, heads="the sea the", length=40, verse_length=6, seed=2)
    assert [line.split()[0] for line in text.split("\n")] == ["the", "sea", "the"]


# --------------------------------------------------------------------------------------------------- moods, samples


def test_a_mood_is_read_and_not_shown(letters: Vocabulary) -> None:
    model = small_model(letters)
    plain = text_of(model, letters, prefix="ab", length=40, seed=1)
    merry = text_of(model, letters, prefix="ab", length=40, seed=1, mood="hhgghhgg")
    assert plain != merry
    assert merry == text_of(model, letters, prefix="hhgghhgg\nab", length=40, seed=1)


def test_samples_side_by_side_are_those_of_one_by_one(letters: Vocabulary) -> None:
    model = small_model(letters, cell="gru")
    texts = texts_of(model, letters, prefix="ab", length=40, seed=5, count=4)
    assert len(set(texts)) == 4
    assert texts == texts_of(model, letters, prefix="ab", length=40, seed=5, count=4)
    assert texts[:2] == texts_of(model, letters, prefix="ab", length=40, seed=5, count=2)
    assert texts[0] == text_of(model, letters, prefix="ab", length=40, seed=5)
    stopped = texts_of(model, letters, prefix="ab", length=40, seed=5, count=4, stop="h")
    for text, short in zip(texts, stopped, strict=True):
        assert short == text[: text.index("h") + 1] if "h" in text else text


# --------------------------------------------------------------------------------------------------- what is told


def test_details(letters: Vocabulary) -> None:
    model = small_model(letters)
    fields = {"prefix": "ab", "length": 6, "strategy": "top-k", "top_k": 3, "seed": 4, "details": True}
    ((piece,), (done,)) = list(response(Writing(model, letters, GenerationRequest.from_message(fields)), None, 10.0))
    assert isinstance(piece, Piece) and isinstance(done, Written)
    assert "".join(token.text for token in piece.tokens) == piece.text
    state, ids = model.begin_state(1), letters.encode("ab" + piece.text).tolist()
    for place, token in enumerate(ids[:-1]):
        logits, state = model.step(torch.tensor([token]), state)
        if place == 0:
            continue
        told = piece.tokens[place - 1]
        probabilities = torch.softmax(logits[0].double(), -1)
        assert told.id == ids[place + 1]
        assert told.surprise == pytest.approx(-math.log2(float(probabilities[told.id])), abs=1e-3)
        assert len(told.top) == 3 and sum(p for _, p in told.top) == pytest.approx(1, abs=1e-5)
        assert told.text in [name for name, _ in told.top]
        likeliest = int(probabilities.argmax())
        assert told.model[0] == (letters.tokens[likeliest], pytest.approx(float(probabilities[likeliest]), abs=1e-5))
    assert done.text == "ab" + piece.text and done.seed == 4
    read = Generate(GenerationRequest()).read_event(piece.to_json())
    assert isinstance(read, Piece) and read.text == piece.text and read.to_json() == piece.to_json()


def test_the_last_event_tells_all(letters: Vocabulary) -> None:
    model = chain([[0, 0, 1, 0, 0, 0, 0, 0, 0, 0], *np.roll(np.eye(10), 1, axis=1)[1:9].tolist(), [0.1] * 10])
    text = letters.encode("bcde" + "abcdx" + "hgfe")
    request = GenerationRequest("xa", 6, Sampling("greedy"), copy=True)
    events = [event.to_json() for events in response(Writing(model, letters, request), text) for event in events]
    assert events[0] == {"event": "text", "text": "bcdefg", "sample": 0}
    assert events[-1] == {
        "event": "done", "text": "xabcdefg", "unknown": ["x"], "seed": events[-1]["seed"],
        "samples": [{
            "continuation": "bcdefg", "tokens": 6, "ended": "length", "score": None,
            "copy": {"length": 4, "start": 0, "text_start": 0, "span": [0, 4], "text": "bcde"},
        }],
    }  # fmt: skip
    *_, (done,) = response(Writing(model, letters, request), None)
    assert isinstance(done, Written) and done.samples[0].copy is None
    assert "nothing can be compared" in done.copy_problem


def test_spans_of_words_leave_the_blanks_out() -> None:
    vocabulary = Vocabulary("word", ["<unk>", "sea", "the"], [0, 1, 1])
    model = chain([[0, 0, 1], [0, 0, 1], [0, 1, 0]])
    request = GenerationRequest("the", 3, Sampling("greedy"), copy=True)
    *_, (done,) = response(Writing(model, vocabulary, request), np.array([2, 2, 1, 1]))
    assert isinstance(done, Written) and done.samples[0].copy == Copied(2, 1, 1, (5, 12), "the sea")


def test_the_held_out_tail_is_no_training_text() -> None:
    assert training_part(np.arange(10), 0.25).tolist() == list(range(8))
    assert len(training_part(np.arange(10), 0.0)) == 10
