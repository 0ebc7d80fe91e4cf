"""The filter and the order of a list of runs."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from core.errors import UserError
from core.runs.filter import QUANTITIES, SORT_KEYS, TEXTS, parse_filter, sorted_runs
from core.runs.summary import RunSummary


def run(name: str, ppl: float | None = 4.0, **values: object) -> RunSummary:
    facts: dict[str, object] = {
        "state": "finished", "epoch": 100, "num_epochs": 250, "perplexity": ppl, "validation_perplexity": None,
        "model": "scratch rnn 256", "corpus": "lyrics-zh", "parameters": 590_000, "bytes": 2_000_000,
        "created": "2026-05-01T12:00:00+00:00", "cell": "rnn", "num_hiddens": 256, "num_layers": 1,
    }  # fmt: skip
    return RunSummary(name, Path(name), **facts | values)  # type: ignore[arg-type]


RUNS = (
    run("moon"),
    run("月亮 two", 2.5, cell="lstm", model="torch lstm 512", num_hiddens=512, epoch=250, tags=("Best", "paper")),
    run("sun", math.inf, state="diverged", note="First try: rate too high", created="2026-06-01T00:00:00+00:00"),
    run("new", None, state="idle", epoch=0, corpus="tale-en", parameters=1_500_000, validation_perplexity=9.0),
    run("bad", None, problem="run.json is damaged", model="?", corpus="?", created="", cell="", bytes=10),
)


def test_what_a_filter_shows() -> None:
    for text, names in (
        ("", "moon 月亮 two sun new bad"), ("   ", "moon 月亮 two sun new bad"), ("MOON", "moon"), ("月亮", "月亮 two"),
        ("lstm", "月亮 two"), ("cell:lstm ppl<3", "月亮 two"), ("cell:rnn ppl<3", ""), ("ppl < 5", "moon 月亮 two"),
        ("ppl<=4", "moon 月亮 two"), ("ppl>3", "moon sun"), ("ppl=4", "moon"), ("ppl!=4", "月亮 two sun"),
        ("!ppl<3", "moon sun new bad"), ("epochs>=100", "moon 月亮 two sun bad"), ("epochs:250", "月亮 two"),
        ("held<10", "new"), ("hidden>256", "月亮 two"), ("layers=1", "moon 月亮 two sun new bad"),
        ("weights>1M", "new"), ("weights<600k name:moon", "moon"), ("size<1kB", "bad"),
        ("size>=2MB corpus:tale", "new"),
        ("state:div", "sun"), ("state:damaged", "bad"), ("state!=finished", "sun new bad"), ("tag:best", "月亮 two"),
        ("tags:BEST", "月亮 two"), ("tag=bes", ""), ("tag=best", "月亮 two"), ("!tag=best", "moon sun new bad"),
        ("tag:", None), ("note:try", "sun"), ('note:"first try"', "sun"), ('"first try', "sun"), ("first high", "sun"),
        ("corpus:tale", "new"), ("created>=2026-05-15", "sun"), ("created<2026-05-15", "moon 月亮 two new"),
        ("age>1min", "moon 月亮 two sun new"), ("cell：lstm ppl＜３", "月亮 two"),
        ("!", "moon 月亮 two sun new bad"),
    ):  # fmt: skip
        if names is None:
            with pytest.raises(UserError):
                parse_filter(text)
        else:
            shown = parse_filter(text)
            assert " ".join(run.name for run in RUNS if shown(run)) == names, text


def test_a_wrong_filter_says_what_would_be_right() -> None:
    for text, sentence in (
        ("colour:red", "there is no 'colour' to filter by: a text of name, corpus, cell"),
        ("ppl<", "ppl needs a number, as in ppl<3, got ''"),
        ("ppl<three", "ppl needs a number, as in ppl<3, got 'three'"),
        ("cell<3", "cell is a text: write cell:lstm, or cell=lstm for the whole text"),
        ("size>1XB", "size needs a number (units: b, kb, mb, gb, tb), as in size>10MB, got '1XB'"),
        ("created>may", "created needs a date, as in created>=2026-05-01, got 'may'"),
        ("name:", "name: needs a text, as in name:moon"),
    ):
        with pytest.raises(UserError) as refused:
            parse_filter(text)
        assert sentence in str(refused.value), text
    for example in [item.example for item in (*TEXTS.values(), *QUANTITIES.values())]:
        parse_filter(example)


def test_anything_typed_is_a_filter_or_refused_in_a_sentence(trials: int) -> None:
    chance = random.Random(1)
    pieces = ["ppl", "cell", *'<>=!:"\t 3,-.月：', "1e9", "1e999", "\x1c", "\u3000"]
    for _ in range(5000 * trials):
        text = "".join(chance.choices(pieces, k=chance.randrange(12)))
        try:
            shown = parse_filter(text)
        except UserError as error:
            assert str(error)
        else:
            assert all(isinstance(shown(run), bool) for run in RUNS), text


def test_the_order_of_each_column() -> None:
    for key, reverse, names in (
        ("name", False, "bad moon new sun 月亮 two"), ("name", True, "月亮 two sun new moon bad"),
        ("ppl", False, "月亮 two moon sun new bad"), ("ppl", True, "sun moon 月亮 two new bad"),
        ("epochs", False, "月亮 two moon sun bad new"), ("weights", False, "new moon 月亮 two sun bad"),
        ("created", False, "sun moon 月亮 two new bad"), ("tag", False, "月亮 two moon sun new bad"),
        ("tag", True, "月亮 two moon sun new bad"), ("size", True, "bad moon 月亮 two sun new"),
        ("state", False, "bad sun moon 月亮 two new"),
    ):  # fmt: skip
        found = " ".join(run.name for run in sorted_runs(RUNS, key, reverse))
        assert found == names, (key, reverse)
    for key in SORT_KEYS:
        assert {run.name for run in sorted_runs(RUNS, key)} == {run.name for run in RUNS}, key
    with pytest.raises(UserError, match="no column 'colour' to sort by, only name, corpus"):
        sorted_runs(RUNS, "colour")
