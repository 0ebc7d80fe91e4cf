"""``python -m core inspect``: the JSON that the contract fixes, the print for a person, and refusals."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.cli.inspection_report import plane_lines, stage_row, strip
from core.cli.main import main
from core.cli.printing import cells
from core.engine.session import Session
from core.inspection.answers import Stage
from core.inspection.options import VIEWS
from core.settings.run_config import RunConfig
from tests.core.outcomes import train_to_end

Tiny = Callable[..., RunConfig]

# What the contract fixes: the keys of each view and the types of their values.
CONTRACT: dict[str, dict[str, type | tuple[type, ...]]] = {
    "step": {
        "text": str, "at": int, "token": str, "id": int, "stages": list, "identity_difference": float, "next": list,
        "surprise_bits": float,
    },
    "gradients": {
        "text": str, "at": int, "lags": list, "norms": list, "factor": float, "spectral_radius": float,
        "cell_norms": list,
    },
    "units": {"layer": int, "units": list, "saturated": float},
    "saliency": {"at": int, "tokens": list, "shares": list},
    "tokens": {"token": str, "neighbours": list, "axes": list, "points": list},
    "parity": {
        "output_difference": float, "gradient_difference": float, "scratch_seconds": float, "torch_seconds": float,
    },
}  # fmt: skip


@pytest.fixture
def trained(tiny: Tiny, saves: Path, one_thread: None) -> Path:
    """The folder of runs with a trained LSTM called one."""
    session = Session.create(tiny(cell="lstm", clip=1e6), saves, "one")
    list(train_to_end(session))
    session.close()
    return saves


def test_the_json_of_every_view_is_as_fixed(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for view, keys in CONTRACT.items():
        given = [] if view in ("tokens", "parity") else ["--text", "abc de\nfgh", "--at", "5"]
        assert main(["inspect", "one", "--saves", str(trained), "--view", view, "--json", *given]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        answer = json.loads(line, parse_constant=pytest.fail)
        assert answer["view"] == view
        for key, kind in keys.items():
            assert isinstance(answer[key], kind), (view, key)
        check(view, answer)


def check(view: str, answer: dict[str, Any]) -> None:
    """The shapes of the values within a view."""
    if view == "step":
        assert (answer["at"], answer["token"], len(answer["next"])) == (5, "e", 10)
        for stage in answer["stages"]:
            assert stage["shape"] == [len(stage["values"])], stage["name"]
            assert stage["norm"] == pytest.approx(math.hypot(*stage["values"]), rel=1e-5, abs=1e-9)
        names = [stage["name"] for stage in answer["stages"]]
        assert names[:2] == ["X_t W_xi", "H_{t-1} W_hi"] and names[-1] == "softmax(Y_t)" and "H_t" in names
        assert sum(answer["stages"][-1]["values"]) == pytest.approx(1, abs=1e-5)
    elif view == "gradients":
        assert answer["lags"] == list(range(6)) and len(answer["norms"]) == len(answer["cell_norms"]) == 6
        assert answer["factor"] == pytest.approx((answer["norms"][5] / answer["norms"][0]) ** (1 / 5))
    elif view == "units":
        strengths = [abs(unit["correlation"]) for unit in answer["units"]]
        assert len(strengths) == 8 and strengths == sorted(strengths, reverse=True)
        assert {"unit", "feature", "correlation", "mean", "saturated"} <= answer["units"][0].keys()
    elif view == "saliency":
        assert answer["tokens"] == list("abc d") and sum(map(abs, answer["shares"])) == pytest.approx(1)
    elif view == "tokens":
        assert len(answer["axes"]) == 2 and len(answer["points"]) == 12 and len(answer["points"][0]) == 3


def test_a_person_gets_rows_strips_and_a_sentence(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {
        "text": "801 tokens, training", "step": "F_t * C_{t-1}", "gradients": "the gradient halves every",
        "units": "saturated:", "saliency": "for it", "tokens": "by output vectors", "parity": "on this machine, now",
    }  # fmt: skip
    for view, expected in words.items():
        extra = ["--unit", "3", "--quantity", "F"] if view == "units" else []
        assert main(["inspect", "one", "--saves", str(trained), "--view", view, *extra]) == 0
        printed = capsys.readouterr().out
        assert expected in printed, view
        assert view != "gradients" or "clipped at norm 1,000,000" in printed
        assert view == "text" or all(cells(line) < 130 for line in printed.splitlines()), view


def test_the_numbers_of_a_shape_have_no_commas() -> None:
    assert stage_row(Stage("Y_t", (1018,), 2.0, 1.0, (1.0, 2.0)))[:2] == ["Y_t", "(1018)"]


def test_wrong_questions_are_refused_in_a_sentence(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, words in (
        (["--view", "step", "--text", ""], "no tokens"),
        (["--view", "step", "--text", "abc", "--at", "3"], "0 to 2"),
        (["--view", "step", "--layer", "2"], "layer must be between 1 and 1"),
        (["--view", "step", "--reverse"], "bidirectional"),
        (["--view", "step", "--at", "-1"], "at least 0"),
        (["--view", "gradients", "--text", "a"], "the text has one token"),
        (["--view", "gradients", "--text", "abc", "--at", "2"], "no token follows"),
        (["--view", "gradients", "--places", "0"], "places must be at least 1"),
        (["--view", "gradients", "--places", "1001"], "places must be between 1 and 1,000, got 1,001"),
        (["--view", "gradients", "--places", "4", "--at", "3"], "at is for one place"),
        (["--view", "gradients", "--places", "4", "--token", "a"], "token is for one place"),
        (["--view", "gradients", "--places", "4", "--text", "abc"], "too short to look back from several places"),
        (["--view", "saliency", "--text", "a"], "no token is before"),
        (["--view", "saliency", "--text", "ab", "--token", "Q"], "no token 'Q'"),
        (["--view", "units", "--unit", "8"], "0 and 7"),
        (["--view", "units", "--quantity", "R"], "H, C, I, F, O, C~"),
        (["--view", "units", "--feature", "rhyme"], "no feature 'rhyme'"),
        (["--view", "tokens", "--token", "Q"], "no token 'Q'"),
        (["--view", "units", "--text", "ab" * 60_000], "at most 100,000 tokens"),
        (["--view", "more"], "invalid choice"),
        *((["--view", view, "--unit", "8"], "0 and 7") for view in VIEWS),
        *((["--view", view, "--at", "801"], "0 to 800") for view in VIEWS),
        *((["--view", view, "--text", ""], "no tokens") for view in VIEWS),
        (["--view", "step", "--checkpoint", "best"], "best.safetensors"),
    ):
        assert main(["inspect", "one", "--saves", str(trained), *flags]) == 2, flags
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ") and words in captured.err and captured.err.count("\n") == 1, flags


def test_one_token_and_unknown_ones_are_read(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "one", "--saves", str(trained), "--view", "step", "--text", "Q", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["id"], answer["token"], answer["surprise_bits"]) == (0, "<unk>", None)
    assert main(["inspect", "one", "--saves", str(trained), "--view", "text", "--text", "aQ"]) == 0
    assert "not in the vocabulary, read as <unk>: 'Q'" in capsys.readouterr().out


def test_the_gradient_of_many_places(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["inspect", "one", "--saves", str(trained), "--view", "gradients", "--places", "5"]
    assert main(flags) == 0
    printed = capsys.readouterr().out
    assert "mean over 5 places between positions" in printed and "over 5 places, the gradient" in printed
    assert main([*flags, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["at"] == answer["places"][-1] and len(answer["places"]) == 5 and answer["target"] == ""
    assert len(answer["lags"]) == len(answer["norms"]) == len(answer["cell_norms"])


def test_strips_and_planes_keep_their_width() -> None:
    assert cells(strip([math.sin(step) for step in range(1000)])) == 40 and strip([-1.0, 0.0, 1.0]) == "▁·█"
    assert strip([math.nan, 1.0]) == "?█"
    lines = plane_lines([("分", -1.0, 1.0), ("a", 1.0, -1.0), ("开", 0.0, 0.0), ("far", 1e9, 0.5)])
    assert lines[0].startswith("分") and lines[-1].endswith("a") and all(cells(line) <= 76 for line in lines)
    assert plane_lines([]) == [""] * 22


def test_the_token_at_a_position_is_the_one_whose_neighbours_are_shown(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["inspect", "one", "--saves", str(trained), "--view", "tokens", "--text", "abc"]
    for extra, token in ((["--at", "2"], "c"), (["--at", "0"], "a"), (["--at", "2", "--token", "b"], "b")):
        assert main([*flags, *extra, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["token"] == token


def test_which_weights_were_looked_at_is_said(
    tiny: Tiny, saves: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Session.create(tiny(), saves, "new").close()
    for run, words in (("one", "weights: latest checkpoint, after 3 epochs"), ("new", "untrained (0 epochs)")):
        for view in ("units", "gradients"):
            assert main(["inspect", run, "--saves", str(trained), "--view", view]) == 0
            assert words in capsys.readouterr().out, (run, view)


def test_few_tokens_show_no_dead_units(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, is_known in (("a", False), ("a" * 49, False), ("ab" * 25, True)):
        assert main(["inspect", "one", "--saves", str(trained), "--view", "units", "--json", "--text", text]) == 0
        view = json.loads(capsys.readouterr().out)
        assert (view["dead"] is not None) == is_known
        assert is_known or not any(unit["is_dead"] for unit in view["units"])
