"""A run that is asked to write: by the command line, and by an engine's client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from core.cli.main import main
from core.engine.engine import Engine
from core.engine.server import Received
from core.engine.session import Session
from core.settings.run_config import RunConfig

TEXT = "the sea is blue\nthe sky is blue\nand so am i\n" * 8


@pytest.fixture(scope="module")
def saves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("writing")
    (folder / "blue.txt").write_text(TEXT)
    config = RunConfig(
        corpus=str(folder / "blue.txt"), normalise="none", num_hiddens=16, batch_size=4, num_steps=8, num_epochs=1,
        device="cpu", threads=1,
    )  # fmt: skip
    Session.create(config, folder / "saves", "blue").close()
    return folder / "saves"


def events(capsys: pytest.CaptureFixture[str], saves: Path, *flags: str) -> list[dict[str, Any]]:
    assert main(["generate", "blue", "--saves", str(saves), "--json", *flags]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_last_line_holds_prefix_and_continuation(saves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    *told, done = events(capsys, saves, "--prefix", "the ", "--length", "30", "--seed", "1", "--details", "--copy")
    assert done["event"] == "done" and done["text"] == "the " + "".join(event["text"] for event in told)
    assert sum(len(event["tokens"]) for event in told) == 30
    copied = done["samples"][0]["copy"]
    assert TEXT[copied["text_start"] :].startswith(copied["text"]) and copied["length"] >= 1


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        (["--strategy", "top-p", "--top-p", "0.5"], 1),
        (["--top-k", "3", "--min-p", "0.1", "--repetition-penalty", "1.5"], 1),
        (["--beam", "3"], 3),
        (["--count", "4", "--temperature", "0.5"], 4),
        (["--heads", "tea", "--mood", "blue", "--verse-length", "5"], 1),
        (["--stop", "line"], 1),
    ],
)
def test_flags(saves: Path, capsys: pytest.CaptureFixture[str], flags: list[str], count: int) -> None:
    done = events(capsys, saves, "--prefix", "s", "--length", "20", *flags)[-1]
    assert len(done["samples"]) == count
    assert done["text"] == "s" + done["samples"][0]["continuation"]


def test_for_a_person(saves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--prefix", "Zs", "--length", "9", "--seed", "1", "--copy"]
    assert main(["generate", "blue", "--saves", str(saves), *flags]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Zs")
    assert "not in the vocabulary, read as <unk>: Z\n" in shown.err and "copied:" in shown.err
    assert main(["generate", "blue", "--saves", str(saves), *flags, "--count", "2"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("-- 1\nZs") and "\n-- 2\nZs" in shown.out


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--top-k", "0"], "top_k must be between 1 and 1,000,000, got 0"),
        (["--top-p", "lots"], "top_p must be a number above 0 and at most 1, got 'lots'"),
        (["--temperature", "nan"], "temperature must be between 0.01 and 100, got nan"),
        (["--heads", "abc", "--length", "2"], "length must be at least 3, one token for each initial, got 2"),
        (["--stop", "Z"], "stop must be line or tokens of the model's vocabulary, got 'Z'"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    saves: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    assert main(["generate", "blue", "--saves", str(saves), *flags]) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"


@pytest.fixture
def engine(saves: Path) -> Engine:
    from core.runs.store import find_run

    return Engine(Session.open(find_run(saves, "blue")))


def asked(engine: Engine, **fields: Any) -> list[dict[str, Any]]:
    """What an engine sends that gets this one request and ends."""
    sent: list[dict[str, Any]] = []

    def send(client: int, message: dict[str, Any]) -> None:
        sent.append(json.loads(json.dumps(message, allow_nan=False)))

    with (
        mock.patch.object(engine.server, "send", send),
        mock.patch.object(engine.server, "is_connected", lambda client: True),
        mock.patch("core.engine.engine.LONELY_SECONDS", 0.0),
    ):
        engine.server.inbox.put(Received(1, {"id": 7, "request": "generate", **fields}))
        engine.run()
    return sent


def test_an_engine_answers(engine: Engine) -> None:
    *told, done = asked(engine, prefix="the ", length=25, strategy="temperature", temperature=1.0, seed=3, copy=True)
    assert all(event["event"] == "text" and event["id"] == 7 for event in told)
    assert done["event"] == "done" and done["text"] == "the " + "".join(event["text"] for event in told)
    assert done["unknown"] == [] and done["seed"] == 3 and done["samples"][0]["copy"]["length"] >= 1


@pytest.mark.parametrize(
    "fields",
    [{"length": "9"}, {"prefix": None, "length": 0}, {"top_k": [1]}, {"heads": 5}, {"stop": "☂"}, {"count": 10**30}],
)
def test_an_engine_refuses_in_a_sentence(engine: Engine, fields: dict[str, Any]) -> None:
    (error,) = asked(engine, **fields)
    assert error["event"] == "error" and error["mendable"] and len(error["message"]) < 200
