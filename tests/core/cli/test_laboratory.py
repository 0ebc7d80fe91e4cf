"""``python -m core lab``, and the engine's request of the same name."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import main
from core.engine.client import EngineClient
from core.errors import RunError

QUICK = ("points=120", "train_examples=60", "num_epochs=2", "horizons=1 4")
QUICK_SETTINGS = {"points": 120, "train_examples": 60, "num_epochs": 2, "horizons": "1 4"}


def lab(*pairs: str) -> list[str]:
    return ["lab", *(part for pair in pairs for part in ("--set", pair))]


def test_figures_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(lab("seed=7")) == 0
    text = capsys.readouterr().out
    assert "published (Dive into Deep Learning, chapter 8.1)  0.0696  0.0558  0.0533  0.0514  0.0508" in text
    for words in ("MLP 4-10-1", "RNN 1-10-1", "k = 64", "the models read only what they predicted"):
        assert words in text
    assert main(lab(*QUICK)) == 0
    assert "published" not in capsys.readouterr().out


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*lab(*QUICK), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["epoch"] * 4 + ["done"]
    assert lines[0] == {"event": "epoch", "model": "MLP", "epoch": 1, "num_epochs": 2, "loss": lines[0]["loss"]}
    done = lines[-1]
    assert done["settings"]["points"] == 120 and len(done["data"]) == 120
    assert [one["name"] for one in done["models"]] == ["MLP", "RNN"]
    assert set(done["models"][0]["ahead"]) == {"1", "4"} and len(done["models"][0]["errors"]) == 4
    assert main([*lab(*QUICK), "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {**again, "seconds": 0} == {**done, "seconds": 0}


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("tau=0", "tau must be between 1 and 128, got 0"),
        ("tau", "--set takes KEY=VALUE"),
        ("speed=1", "there is no setting 'speed'"),
        ("points=100", "train_examples must be at most points - tau"),
    ],
)
def test_bad_input_is_a_sentence(pair: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(lab(pair)) == 2
    assert words in capsys.readouterr().err


async def test_an_engine_answers_it(runtime: Path, forked_programs: None) -> None:
    client = await EngineClient.standby()
    pid = (await client.request("hello"))["pid"]
    try:
        events: list[dict[str, Any]] = [event async for event in client.stream("lab", settings=QUICK_SETTINGS)]
        assert [event["event"] for event in events] == ["epoch"] * 4 + ["done"]
        assert len(events[-1]["models"]) == 2
        with pytest.raises(RunError, match="tau must be between"):
            await client.request("lab", settings={"tau": 0})
        with pytest.raises(RunError, match=r"^train_examples must be between") as caught:
            await client.request("lab", settings={"train_examples": 0})
        assert caught.value.field == "train_examples"
        assert caught.value.labelled == "examples must be between 1 and 10,000, got 0"
        with pytest.raises(RunError, match="lab needs settings, an object"):
            await client.request("lab", settings=3)
        # a long one that nobody waits for any more does not keep the engine from the next one
        long = {"points": 10_000, "train_examples": 9_000, "batch_size": 1, "num_epochs": 500}
        slow = asyncio.create_task(client.request("lab", settings=long))
        await asyncio.sleep(0.3)
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        done = await asyncio.wait_for(client.request("lab", settings=QUICK_SETTINGS), 20)
        assert done["event"] == "done"
    finally:
        await client.close()
        try:
            await asyncio.sleep(0.5)
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
