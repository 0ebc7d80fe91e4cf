"""The values of a setting in a sweep: read, written again, and refused in a sentence."""

from __future__ import annotations

import pytest

from core.errors import ConfigError
from core.sweep.ranges import grid_of, parse_all_varied, parse_varied, short_text, value_text


def test_values_are_read_in_the_type_of_their_setting_and_written_as_they_are_typed() -> None:
    for typed, values, again in (
        ("cell=rnn, gru,lstm", ("rnn", "gru", "lstm"), "cell=rnn,gru,lstm"),
        ("num_hiddens=64,1_024", (64, 1024), "num_hiddens=64,1024"),
        ("learning_rate=1,0.1,1e-3", (1.0, 0.1, 0.001), "learning_rate=1,0.1,0.001"),
        ("random_offset=yes,false", (True, False), "random_offset=yes,no"),
        ("sample_prefix=分开,春", ("分开", "春"), "sample_prefix=分开,春"),
    ):
        varied = parse_varied(typed)
        assert varied.values == values and [type(value) for value in varied.values] == [type(value) for value in values]
        assert varied.text() == again and parse_varied(again) == varied, typed
    for typed, low, high, log in (
        ("learning_rate=0.1..100:log", 0.1, 100.0, True),
        ("dropout=0..0.5", 0.0, 0.5, False),
        ("num_hiddens=16..512", 16, 512, False),
    ):
        varied = parse_varied(typed)
        assert (varied.low, varied.high, varied.log, varied.values) == (low, high, log, ())
        assert varied.text() == typed
    assert short_text(20.173786271782262) == "20.17" and value_text(20.173786271782262) == "20.173786271782262"


def test_a_grid_has_every_combination() -> None:
    varied = parse_all_varied(["cell=rnn,gru", "seed=1..3"])
    assert grid_of(varied) == [{"cell": cell, "seed": seed} for cell in ("rnn", "gru") for seed in (1, 2, 3)]


def test_what_cannot_be_varied_is_refused_in_a_sentence() -> None:
    for texts, words in (
        ((), "name at least one setting"),
        (("cell",), "--vary takes KEY=A,B,C or KEY=LOW..HIGH"),
        (("sel=rnn,gru",), "there is no setting 'sel'; did you mean"),
        (("cell=rnn",), "cell needs two values or more"),
        (("cell=",), "cell needs two values or more"),
        (("cell=rnn,gri",), "cell must be one of rnn, gru, lstm, got 'gri'"),
        (("cell=rnn,rnn",), "cell has the value rnn twice"),
        (("learning_rate=1,1.0",), "learning_rate has the value 1 twice"),
        (("learning_rate=0..1",), "learning_rate must be above 0"),
        (("learning_rate=10..1",), "needs a range that rises"),
        (("learning_rate=1..1",), "needs a range that rises"),
        (("dropout=0..0.5:log",), "needs a range above 0 on a logarithmic scale"),
        (("learning_rate=1..",), "learning_rate must be a number"),
        (("num_hiddens=1..2.5",), "num_hiddens must be a whole number"),
        (("cell=rnn,gru", "cell=gru,lstm"), "--vary names cell twice"),
    ):
        with pytest.raises(ConfigError) as refused:
            parse_all_varied(texts)
        assert words in str(refused.value), texts
    for texts, words in (
        (("learning_rate=0.1..1",), "a grid needs single values of learning_rate"),
        (("seed=1..100",), "at most 16 runs, and seed=1..100 has 100 values"),
        (("num_hiddens=1..8:log",), "a grid needs single values"),
        (("seed=1..9", "cell=rnn,gru"), "this one has 9 x 2 = 18"),
        (("seed=" + ",".join(map(str, range(17))),), "this one has 17: name fewer"),
    ):
        with pytest.raises(ConfigError) as refused:
            grid_of(parse_all_varied(texts))
        assert words in str(refused.value), texts
