"""The cases of growth give figures and powers, and their goals are about rows that are there."""

from __future__ import annotations

import pytest

from tests.benchmarks.growth import AXES, growth, power
from tests.benchmarks.outcome import Effort


def test_a_power_is_read_from_two_sizes() -> None:
    assert power(10, 100, 3.0, 300.0) == pytest.approx(2)
    assert power(10, 1000, 5.0, 5.0) == 0


def test_a_case_has_every_size_and_the_powers_of_the_last_two() -> None:
    outcome = growth("runs", Effort(largest=100))
    rates = [row.name for row in outcome.rows if row.name.endswith("runs/s")]
    assert rates == ["1: runs/s", "100: runs/s"]
    assert all(value > 0 for row in outcome.rows if row.name in rates for value in row.values)
    assert [goal.row for goal in outcome.goals] == ["power of the time", "power of the memory"]
    assert all(outcome.measured(goal) == outcome.measured(goal) for goal in outcome.goals)


def test_the_products_of_a_model_grow_between_its_vocabulary_and_its_square() -> None:
    assert AXES["num_hiddens"].time(1, 2) < 1.1
    assert AXES["num_hiddens"].time(5_000, 10_000) > 1.8
    assert AXES["vocabulary"].time(10_000, 50_000) == pytest.approx(1, abs=0.02)
    assert AXES["batch_size"].time(1, 2) == AXES["num_steps"].time(1, 2) == pytest.approx(1)
