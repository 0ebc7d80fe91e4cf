"""The benchmark as a program: what it prints and how it measures. No figure is asserted, only that there are some."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from core import devices
from core.benchmark.cases import cases
from core.benchmark.cuda import cuda_cases
from core.benchmark.machine import MatrixRate, Product, training_products
from core.benchmark.measuring import QUICK, Bout, Case, Contestant, Effort, Result, measure
from core.benchmark.shares import share_cases
from core.cli.main import main
from core.errors import CorpusError

CONTESTANT_KEYS = {"name", "min", "median", "max", "ratio", "ratio_min", "ratio_max", "figures"}
CASE_KEYS = {
    "event", "case", "title", "unit", "rounds", "ours", "references", "limit", "goal_ratio", "goal_share", "goal_rate",
    "goal_most", "way", "met",
}  # fmt: skip


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def quickest(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """``--quick`` with a single batch an epoch, on one core, a small product for the limit: no figure is asserted."""
    effort = replace(QUICK, tokens=1_200, characters=30, corpus_bytes=500_000, product_seconds=0.0001)
    monkeypatch.setattr("core.cli.bench.QUICK", effort)
    monkeypatch.setattr("core.benchmark.cases.training_products", lambda *shape: [Product(4, 8, 16)])
    monkeypatch.setattr(devices, "cores", lambda: 1)


@pytest.mark.parametrize("name", ["rnn", "rnn-bf16", "small", "nn-rnn", "gru", "lstm", "generate", "corpus"])
def test_every_case_runs_and_its_json_has_the_documented_keys(
    name: str, quickest: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--quick", "--rounds", "1", "--json", "--case", name]) == 0
    machine, case = lines_of(capsys.readouterr().out)
    assert set(machine) == {"event", "processor", "cores", "threads", "torch", "cuda", "load", "environment"}
    assert machine["event"] == "machine"
    assert set(case) == CASE_KEYS
    assert case["case"] == name
    assert case["rounds"] == 1
    assert case["references"]
    for contestant in (case["ours"], *case["references"], case["limit"]):
        assert set(contestant) == CONTESTANT_KEYS
        assert 0 < contestant["min"] <= contestant["median"] <= contestant["max"]
        assert contestant["ratio_min"] <= contestant["ratio"] <= contestant["ratio_max"]
    perplexities = [told["figures"].get("perplexity") for told in (case["ours"], case["references"][-1])]
    if name in ("rnn", "rnn-bf16", "small", "nn-rnn"):
        assert perplexities[0] == pytest.approx(perplexities[1], rel=0.05)
    if name == "corpus":
        assert all(told["figures"]["peak_bytes"] > 1e6 for told in (case["ours"], *case["references"]))


def test_the_share_of_the_products_is_measured_by_cell_and_size(
    quickest: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(share_cases()) == 18
    assert main(["bench", "--quick", "--rounds", "1", "--json", "--case", "rnn-256-fp32"]) == 0
    case = lines_of(capsys.readouterr().out)[1]
    assert set(case) == CASE_KEYS
    assert (case["goal_share"], case["references"]) == (0.85, [])
    assert case["met"] == (case["limit"]["ratio"] >= 0.85)


def test_without_a_cuda_device_its_cases_are_skipped_with_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    names = list(cuda_cases())
    assert all(case.needs_cuda for case in cuda_cases().values())
    assert not any(case.needs_cuda for case in cases().values())
    flags = [word for name in names for word in ("--case", name)]
    reason = "there is no CUDA device here, since this torch is built without CUDA"
    assert main(["bench", "--json", *flags]) == 0
    told = lines_of(capsys.readouterr().out)[1:]
    assert [case["case"] for case in told] == names
    assert {case["skipped"] for case in told} == {reason}
    assert main(["bench", *flags]) == 0
    assert capsys.readouterr().out.count(reason) == len(names)


@pytest.mark.parametrize(
    ("version", "words"), [(None, "is built without CUDA"), ("13.0", "no NVIDIA driver shows one")]
)
def test_the_table_of_a_gpu_needs_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, version: str | None, words: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", version)
    assert main(["bench", "--cuda"]) == 2
    told = capsys.readouterr()
    assert (
        told.err.startswith("error: there is no CUDA device here, since ")
        and words in told.err
        and told.err.count("\n") == 1
    )
    assert told.out == ""


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none here")
@pytest.mark.parametrize("name", [name for name in cuda_cases() if name != "cuda-shakespeare"])
def test_every_case_of_a_gpu_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", "--rounds", "1", "--json", "--case", name]) == 0
    _, case = lines_of(capsys.readouterr().out)
    assert case.get("skipped") or set(case) == CASE_KEYS


@pytest.mark.parametrize("name", ["cuda-rnn", "cuda-lstm", "cuda-lyrics"])
def test_the_cases_of_a_gpu_are_sound(name: str, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """Their machinery on the CPU, as far as that goes: everybody trains, and comes to about the same."""
    case = cuda_cases()[name]
    assert case.prepare.args[0].device == "cuda"
    config = case.prepare.args[0].replace(device="cpu", num_hiddens=16, precision="fp32", threads=1)
    monkeypatch.setattr("core.benchmark.cuda.EPOCHS_A_ROUND", {"ours": 1, "textbook": 1})
    small = replace(case, prepare=partial(case.prepare.func, config))
    result = measure(small, Effort(rounds=1, tokens=1_200, epochs=2, product_seconds=0.0001))
    assert result.ours is not None and result.way.startswith("computed in fp32 with 1 thread; the recurrence: ")
    perplexities = [rates.figures["perplexity"] for rates in (result.ours, *result.references)]
    same_weights = perplexities if name != "cuda-lstm" else [perplexities[0], *perplexities[2:]]
    assert same_weights == pytest.approx([same_weights[0]] * len(same_weights), rel=0.02)
    assert len(perplexities) == (2 if name == "cuda-lyrics" else 5)


def test_a_training_against_the_clock_tells_its_best_loss(
    monkeypatch: pytest.MonkeyPatch, one_thread: None, text_path: Path
) -> None:
    case = cuda_cases()["cuda-shakespeare"]
    config = case.prepare.args[0].replace(
        device="cpu", corpus=str(text_path), num_hiddens=8, embedding_size=4, batch_size=2, num_steps=8, threads=1
    )
    result = measure(replace(case, prepare=partial(case.prepare.func, config)), Effort(epochs=2))
    assert result.ours is not None and len(result.ours.rates) == 1 and result.references == ()
    assert 0 < result.ours.figures["nats"] < 5 and result.ours.figures["seconds"] > 0
    assert result.met is (result.ours.figures["nats"] <= 1.38)
    monkeypatch.setattr("core.benchmark.cuda.SECONDS", 0.0)  # over after a batch: nothing was measured
    assert measure(replace(case, prepare=partial(case.prepare.func, config)), Effort(epochs=2)).met is False


def test_a_text_that_is_not_there_is_a_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def missing(case: Case, effort: Effort) -> Result:
        raise CorpusError("there is no text tiny-shakespeare")

    monkeypatch.setattr("core.cli.bench.measure", missing)
    assert main(["bench", "--json", "--case", "cuda-shakespeare"]) == 0
    assert lines_of(capsys.readouterr().out)[1]["skipped"] == "there is no text tiny-shakespeare"


def test_the_table_names_contestants_ratios_and_goals(quickest: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", "--rounds", "1", "--case", "generate"]) == 0
    table = capsys.readouterr().out
    for words in ("characters/s", "the textbook's loop", "its matrix products alone", "4 x", "median", "%"):
        assert words in table


@pytest.mark.parametrize(
    ("flags", "words"),
    [(["--case", "nothing"], "choose one of rnn"), (["--rounds", "0"], "--rounds must be between 1 and 10,000, got 0")],
)
def test_what_the_user_can_mend_is_one_sentence(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *flags]) == 2
    assert words in capsys.readouterr().err


def measured(rates: dict[str, list[float]], case: dict[str, Any]) -> tuple[Result, list[str]]:
    """A case whose contestants have these rates, one after the other, after one for warming up."""
    ran: list[str] = []

    def contestant(name: str) -> Contestant:
        pieces = iter(rates[name])

        def run() -> float:
            ran.append(name)
            return next(pieces)

        return Contestant(name, run)

    def prepare(effort: Effort, stack: ExitStack) -> Bout:
        ours, reference, limit = (contestant(name) for name in rates)
        return Bout(ours, (reference,), limit)

    return measure(Case("case", "a case", "1/s", prepare, **case), Effort(rounds=3)), ran


def test_contestants_take_turns_and_ratios_are_of_the_same_round() -> None:
    rates = {"ours": [1.0, 40.0, 20.0, 4.0], "reference": [1.0, 10.0, 5.0, 1.0], "limit": [1.0, 80.0, 40.0, 5.0]}
    result, ran = measured(rates, {"goal_ratio": 4.0})
    order = ["ours", "reference", "limit"]
    assert ran == order + order + order[::-1] + order
    assert result.ours is not None and result.limit is not None
    assert result.ours.median == 20.0
    assert result.references[0].ratios == (4.0, 4.0, 4.0)  # steady although the machine was not
    assert result.limit.ratio == 0.5
    assert result.met is True


@pytest.mark.parametrize(
    ("goal", "met"),
    [({"goal_ratio": 4.1}, False), ({"goal_rate": 20.0}, True), ({"goal_rate": 21.0}, False), ({}, None)],
)
def test_a_goal_is_met_or_missed_or_there_is_none(goal: dict[str, Any], met: bool | None) -> None:
    rates = {"ours": [1.0, 40.0, 20.0, 4.0], "reference": [1.0, 10.0, 5.0, 1.0], "limit": [1.0, 80.0, 40.0, 5.0]}
    assert measured(rates, goal)[0].met is met


def test_the_products_of_a_batch_are_three_times_those_of_its_forward_pass() -> None:
    products = training_products(gates=4, hidden=8, vocabulary=20, batch=3, steps=5)
    forward = 2 * (3 * 5) * (8 * 4 * 8 + 8 * 20)
    assert sum(product.flops for product in products) == 3 * forward


def test_a_matrix_rate_is_measured() -> None:
    rate = MatrixRate([Product(4, 8, 16, times=2), Product(1, 8, 8)], torch.float32, torch.device("cpu"))
    assert rate.flops == 2 * (2 * 4 * 8 * 16 + 8 * 8)
    assert rate.seconds() > 0


def test_the_text_that_is_opened_is_removed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ExitStack() as stack:
        cases()["corpus"].prepare(Effort(corpus_bytes=50_000), stack)
        assert list(tmp_path.glob("*/text.txt"))
    assert not list(tmp_path.iterdir())


def test_several_workers_against_one_process(
    quickest: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, forked_programs: None
) -> None:
    monkeypatch.setattr("core.benchmark.workers.cores", lambda: 2)
    assert main(["bench", "--quick", "--rounds", "1", "--json", "--workers", "2", "--case", "workers"]) == 0
    _, case = lines_of(capsys.readouterr().out)
    assert set(case) == CASE_KEYS and case["way"].endswith("MB of gradients a step")
    perplexities = [found["figures"]["perplexity"] for found in (case["ours"], *case["references"])]
    assert perplexities[0] == pytest.approx(perplexities[1], rel=1e-4)
    assert main(["bench", "--workers", "3"]) == 2
    assert "--workers must be from 2 to the number of cores, 2 here, got 3" in capsys.readouterr().err
