"""Quantities as people read them."""

from __future__ import annotations

import re
from pathlib import Path

from core.units import counted, epochs_text, perplexity_text, rate_text

ROOT = Path(__file__).resolve().parents[2]


def test_one_is_not_many() -> None:
    for count, words, expected in (
        (0, ("token",), "0 tokens"),
        (1, ("token",), "1 token"),
        (1027, ("token",), "1,027 tokens"),
        (1, ("batch", "batches"), "1 batch"),
        (2, ("batch", "batches"), "2 batches"),
        (1, ("epoch is", "epochs are"), "1 epoch is"),
    ):
        assert counted(count, *words) == expected


def test_perplexities_and_rates_have_commas_where_digits_are_many() -> None:
    perplexities = [1.1634, 56.31, 999.96, 1027.4, 9999.4, 9999.6, 30570.2, 999_999, 1e6, float("inf")]
    assert [perplexity_text(value) for value in perplexities] == [
        "1.163", "56.3", "1,000", "1,027", "9,999", "10,000", "30,570", "999,999", "1.0e+06", ">1e308",
    ]  # fmt: skip
    assert [rate_text(value) for value in (1e-5, 0.001, 156.25, 999.9, 999.96, 12_207.03, 1e6)] == [
        "1e-05", "0.001", "156.2", "999.9", "1,000", "12,207", "1e+06",
    ]  # fmt: skip
    assert [epochs_text(value) for value in (0.35, 9.42, 999.96, 12_345.6, 2.5e6)] == [
        "0.35", "9.42", "1,000", "12,346", "2,500,000",
    ]  # fmt: skip


# What is always many, or a length of which a unit is told as "in characters".
MANY = re.compile(
    r"LONGEST|LARGEST|MAXIMUM|MOST|DAYS_KEPT|PATIENCE|\bmost\b|\blimit\b|count_text|_size|\bsize\b|reserved"
)


def test_counts_are_put_into_words_in_one_place() -> None:
    nouns = "characters?|tokens?|epochs?|lines?|batche?s?|texts?|poems?|bytes|samples?|runs?|cores|points|days?"
    told = re.compile(rf"\{{([^{{}}]*):,\}} ({nouns})\b|shown\([^()]*(?:\([^()]*\))?[^()]*\)\}} ({nouns})\b")
    found = []
    for path in (*(ROOT / "core").rglob("*.py"), *(ROOT / "tui").rglob("*.py")):
        if "benchmark" in path.parts:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            found += [f"{path.name}:{number}: {match[0]}" for match in told.finditer(line) if not MANY.search(match[0])]
    assert not found, "\n".join(found)
