"""The command line: what it prints, for people and for programs, and one sentence for everything that is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import main
from core.corpus import catalogue
from core.engine.client import EngineClient
from core.engine.session import Session
from core.events import State
from core.runs.journal import epochs, read_journal
from core.runs.run import Run
from core.runs.summary import run_summary
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = (
    "--set=normalise=none", "--set=max_tokens=0", "--set=num_hiddens=8", "--set=batch_size=4", "--set=num_steps=15",
    "--set=learning_rate=1", "--set=clip=1", "--set=threads=1", "--device=cpu", "--set=sample_length=5",
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    def json(self) -> list[dict[str, Any]]:
        """Its output as JSON lines, strict ones."""
        return [json.loads(line, parse_constant=lambda word: pytest.fail(word)) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def _as_it_was(one_thread: None, runtime: Path) -> Iterator[None]:
    """A command in this process takes its signals over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    assert list(runtime.iterdir()) == [], "no socket is left behind"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def told(*arguments: object) -> Told:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Told(code, captured.out, captured.err)

    return told


@pytest.fixture
def train(run: Callable[..., Told], saves: Path, text_path: Path) -> Callable[..., Told]:
    def told(*arguments: object) -> Told:
        return run("train", f"--corpus={text_path}", f"--saves={saves}", *SMALL, *arguments)

    return told


def refused(told: Told, *words: str) -> None:
    """Exit code 2, nothing on stdout, and one sentence on stderr that has ``words`` in it."""
    assert told.code == 2 and told.out == ""
    assert told.err.startswith("error: ") and told.err.count("\n") == 1 and told.err.endswith("\n")
    assert "\x1b" not in told.err
    for word in words:
        assert word in told.err


# --- stats ---------------------------------------------------------------------------------------------------------


def test_stats(run: Callable[..., Told], text_path: Path) -> None:
    told = run("stats", "--corpus", text_path, "--batch-size", 4, "--num-steps", 5, "--top", 3)
    assert told.code == 0 and told.err == ""
    for words in ("801 tokens", "vocabulary 12 with the unknown token", "(5, 4, 12)", "most frequent bigrams", "  X  "):
        assert words in told.out


def test_stats_as_json(run: Callable[..., Told], text_path: Path) -> None:
    (facts,) = run("stats", "--corpus", text_path, "--json").json()
    assert (facts["tokens"], facts["vocabulary"]) == (801, 12) and facts["lines"] > 1
    assert set(facts["top"]) == {"1", "2", "3"} and facts["top"]["1"][0][0] == " "
    assert isinstance(facts["top"]["2"][0][0], list) and len(facts["top"]["3"][0][0]) == 3
    (facts,) = run("stats", "--corpus", text_path, "--json", "--tokens", "word", "--normalise", "letters").json()
    assert facts["token_kind"] == "word" and isinstance(facts["top"]["1"][0][1], int)


def test_text_is_text(run: Callable[..., Told], tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mred.txt"
    path.write_text("[bold]\x1b[31m\x07\x9b2J\u202e x" * 20, "utf-8")
    told = run("stats", "--corpus", path, "--batch-size", 2, "--num-steps", 5)
    assert told.code == 0 and "[" in told.out
    assert all(character.isprintable() or character == "\n" for character in told.out)
    told = run("train", "--corpus", path, "--saves", tmp_path / "saves", *SMALL, "--epochs=1", "--set=batch_size=2",
               "--name=one")  # fmt: skip
    assert told.code == 0, told.err
    told = run("generate", "one", "--saves", tmp_path / "saves", "--prefix", "\x1b[31m[bold]", "--length", 100)
    assert told.code == 0 and told.out.startswith("\\x1b[31m[bold]")
    assert all(character.isprintable() or character == "\n" for character in told.out)
    assert "\x1b" not in run("runs", "--saves", tmp_path / "saves").out


# --- train, resume, runs, generate ---------------------------------------------------------------------------------


def test_a_life(run: Callable[..., Told], train: Callable[..., Told], saves: Path) -> None:
    told = train("--epochs", 3, "--set", "validation_fraction=0.2", "--name", "my run")
    assert told.code == 0 and told.err.startswith("warning: only 160 tokens are held out")
    for words in ("my run: scratch rnn, 8 hidden", "801 tokens", "epoch     3/3  training perplexity", "held out"):
        assert words in told.out
    assert f"my run is finished and saved in {saves / 'my run'}" in told.out
    assert f"python -m core generate 'my run' --saves {saves} --prefix TEXT lets it write" in told.out

    refused(run("resume", "my run", "--saves", saves), "3 epochs are done and 3 were asked for: ask for more than 3")
    told = run("resume", "my run", "--saves", saves, "--epochs", 4, "--json")
    events = told.json()
    assert told.code == 0 and [event["epoch"] for event in events if event["event"] == "epoch"] == [4]

    told = run("runs", "--saves", saves)
    assert "my run" in told.out and "4/4" in told.out and "(held out " in told.out
    (summary,) = run("runs", "--saves", saves, "--json").json()
    assert set(summary) >= {
        "name", "state", "epoch", "perplexity", "model", "corpus", "parameters", "bytes", "created",
    }  # fmt: skip
    assert (summary["name"], summary["state"], summary["epoch"]) == ("my run", State.FINISHED, 4)
    assert summary["bytes"] > 1000 and summary["parameters"] > 100

    told = run("generate", "my run", "--saves", saves, "--prefix", "ab", "--length", 20, "--seed", 1)
    assert told.code == 0 and told.out.startswith("ab") and len(told.out) == 23
    told = run("generate", "my run", "--saves", saves, "--prefix", "ab分", "--length", 20, "--seed", 1, "--json")
    done = told.json()[-1]
    assert done["event"] == "done" and done["text"].startswith("ab分") and done["unknown"] == ["分"]
    assert "".join(event["text"] for event in told.json()[:-1]) == done["text"][3:]
    assert run("generate", saves / "my run", "--prefix", "ab", "--length", 5, "--strategy", "greedy").code == 0


def test_train_as_json(train: Callable[..., Told], saves: Path) -> None:
    told = train("--epochs=2", "--seed=7", "--json", "--set=sample_every=1")
    events = told.json()
    assert told.code == 0 and events[0]["event"] == "run" and events[0]["name"] == "nonsense-0001"
    assert [event["event"] for event in events] == [
        "run", "resumed", "state", "epoch", "sample", "epoch", "sample", "state",
    ]  # fmt: skip
    for event in events:
        if event["event"] == "epoch":
            assert set(event) >= {
                "epoch", "perplexity", "validation_perplexity", "tokens_per_second", "seconds", "loss",
                "gradient_norm", "learning_rate",
            }  # fmt: skip
    assert events[-1]["state"] == State.FINISHED
    again = train("--epochs=2", "--seed=7", "--json").json()
    assert again[0]["name"] == "nonsense-0002"
    figures = [[event["perplexity"] for event in told if event["event"] == "epoch"] for told in (events, again)]
    assert figures[0] == figures[1], "the same seed gives the same numbers"


def test_a_preset_with_another_text(run: Callable[..., Told], saves: Path) -> None:
    told = run(
        "train", "--preset=lyrics-scratch-random", "--corpus=verse-zh", "--epochs=1", f"--saves={saves}", "--name=one",
        "--set=max_tokens=3000", "--set=num_hiddens=8", "--set=threads=1", "--device=cpu",
    )  # fmt: skip
    assert told.code == 0
    config = Run(saves / "one").metadata().config
    wanted = PRESETS["lyrics-scratch-random"].config
    assert (config.corpus, config.num_epochs, config.sampling) == ("verse-zh", 1, "random")
    assert (config.learning_rate, config.clip, config.batch_size) == (wanted.learning_rate, wanted.clip, 32)


def test_a_training_that_diverges(run: Callable[..., Told], train: Callable[..., Told], saves: Path) -> None:
    wild = ("--set=learning_rate=1000000", "--set=clipping=none", "--set=activation=relu", "--epochs=50")
    told = train(*wild, "--name=one")
    assert told.code == 1 and told.err.count("\n") == 1
    assert "a lower learning rate or a tighter clip usually helps; the weights are those of epoch" in told.err
    assert "python -m core resume one" in told.out
    told = train(*wild, "--name=two", "--json")
    assert told.code == 1 and told.json()[-1]["state"] == State.DIVERGED
    assert run("runs", "--saves", saves, "--json").json()[0]["state"] == State.DIVERGED


def test_a_loss_beyond_all_perplexities_is_told(
    run: Callable[..., Told], train: Callable[..., Told], saves: Path
) -> None:
    wild = ("--set=learning_rate=1000000", "--set=clipping=none", "--epochs=30", "--set=validation_fraction=0.1")
    told = train(*wild, "--name=one")
    assert told.code == 1 and "the loss exploded in epochs 1 to 3" in told.err
    assert re.search(
        r"training perplexity >1e308 \(loss [\d,.e+]+ nats, [\d,.e+]+ bits/token\) · held out >1e308 \(loss ", told.out
    )
    assert "inf" not in told.out and " nan" not in told.out
    assert "diverged" in (listed := run("runs", "--saves", saves).out) and ">1e308 (held out >1e308)" in listed
    (listed_json,) = run("runs", "--saves", saves, "--json").json()
    assert listed_json["perplexity"] is None and listed_json["loss"] > 710 and listed_json["validation_loss"] > 710
    told = train(*wild, "--name=two", "--json")
    points = [line for line in told.json() if line["event"] == "epoch"]
    assert len(points) == 3 and all(point["perplexity"] is None and point["loss"] > 710 for point in points)


def test_presets(run: Callable[..., Told]) -> None:
    told = run("presets")
    assert told.code == 0 and "published training perplexity" in told.out
    listed = run("presets", "--json").json()
    assert [preset["name"] for preset in listed] == list(PRESETS)
    assert all(RunConfig.from_dict(preset["config"]) for preset in listed)


def test_an_empty_list(run: Callable[..., Told], saves: Path) -> None:
    assert run("runs", "--saves", saves).out == f"no runs in {saves} yet: python -m core train makes one\n"
    assert run("runs", "--saves", saves, "--json") == Told(0, "", "")


# --- what is wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["stats", "train"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty: choose a file with text in it"]),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0" + bytes(range(256)), ["text"]),
        (
            b"caf\xe9 \xff\xfe\xfd broken \xf0\x28\x8c\x28" * 9,
            ["is not text in UTF-8, UTF-16 or GB18030", "save it as"],
        ),
        (b"\r\n \n", None),
    ],
    ids=["empty", "binary", "encoding", "blank"],
)
def test_texts_that_are_none(
    run: Callable[..., Told], saves: Path, tmp_path: Path, command: str, content: bytes, words: list[str] | None
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    more = ["--saves", saves] if command == "train" else []
    told = run(command, "--corpus", path, *more)
    if words is None and command == "stats":
        assert told.code == 0
        return
    refused(told, *(words or ["the text has", "choose a smaller batch_size or fewer num_steps"]))
    assert not saves.exists()


def test_good_encodings(train: Callable[..., Told], text_path: Path) -> None:
    text = text_path.read_text()
    told = []
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
        text_path.write_bytes((text + "分开").encode(encoding))
        events = train("--epochs=1", "--json").json()
        told.append([event["perplexity"] for event in events if event["event"] == "epoch"])
    assert told[0] == told[1] == told[2] == told[3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--corpus=/nowhere/at/all.txt"], ["there is no file '/nowhere/at/all.txt'"]),
        (["--corpus=lyric-zh"], ["did you mean lyrics-zh"]),
        (["--corpus=time-machine", "--data=/nowhere"], ["python -m core download time-machine"]),
        (["--corpus=/tmp"], ["is a folder: choose a text file in it"]),
        (["--corpus=/dev/null"], ["is a pipe or a device"]),
        (["--corpus=\x1b[31m"], ["\\x1b[31m"]),
        (["--set=num_steps=0"], ["num_steps must be between 1 and 10,000, got 0"]),
        (["--set=learning_rate=-1"], ["learning_rate must be above 0 and at most 1,000,000, got -1"]),
        (["--set=learning_rate=fast"], ["learning_rate must be a number above 0", "got 'fast'"]),
        (["--set=batch_size=400"], ["the text has 801 tokens; batch_size 400 with num_steps 15 needs at least 6,001"]),
        (["--set=validation_fraction=0.001"], ["holds out nothing"]),
        (["--set=num_hidden=5"], ["did you mean num_hiddens"]),
        (["--set=num_hiddens"], ["--set takes KEY=VALUE, for example --set num_hiddens=512, got 'num_hiddens'"]),
        (["--set=tied=yes"], ["tied needs embedding_size"]),
        (["--epochs=0"], ["num_epochs must be between 1"]),
        (["--epochs=many"], ["num_epochs must be a whole number", "got 'many'"]),
        (["--seed=-1"], ["seed must be between 0"]),
        (["--device=cuda:42"], ["there is no device 'cuda:42' here: choose auto"]),
        (["--device=gpu"], ["a device is called cpu, cuda, cuda:1 or mps"]),
        (["--set=precision=tf32"], ["cpu has no tf32: choose a precision out of fp32, bf16"]),
        (["--preset=lyrics"], ["there is no preset 'lyrics': choose one of lyrics-scratch-sequential"]),
        (["--name=../x"], ["'../x' cannot be the name of a run"]),
        (["--name=\x1b[31m"], ["cannot be the name of a run"]),
        (["--saves=/dev/null/x"], ["the run cannot be made in /dev/null/x: Not a directory"]),
        (["--unknown"], ["unrecognized arguments: --unknown", "--help"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)  # fmt: skip
def test_trainings_that_cannot_be(
    run: Callable[..., Told], saves: Path, text_path: Path, arguments: list[str], words: list[str]
) -> None:
    refused(run("train", f"--corpus={text_path}", f"--saves={saves}", *SMALL, *arguments), *words)
    assert not saves.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--help"]),
        (["fly"], ["invalid choice: 'fly'"]),
        (["stats", "--batch-size=x"], ["invalid int value: 'x'"]),
        (["stats", "--batch-size=0"], ["--batch-size, --num-steps and --top must be at least 1"]),
        (["stats", "--max-tokens=-1"], ["max_tokens and min_freq must be at least 0"]),
        (["stats", "--tokens=sentence"], ["invalid choice: 'sentence'"]),
        (["resume"], ["the following arguments are required: RUN"]),
        (["resume", "nobody"], ["there is no run 'nobody' in"]),
        (["resume", "x" * 5000], ["there is no run"]),
        (["resume", "nobody", "--epochs=0"], ["num_epochs must be between 1"]),
        (["generate", "nobody", "--prefix=a"], ["there is no run 'nobody' in"]),
        (["engine", "nobody"], ["there is no run 'nobody' in"]),
        (["download", "nothing"], ["there is no text 'nothing' to download; there are time-machine"]),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_commands_that_cannot_be(run: Callable[..., Told], saves: Path, arguments: list[str], words: list[str]) -> None:
    more = ["--saves", saves] if arguments and arguments[0] in ("resume", "generate", "engine") else []
    refused(run(*arguments, *more), *words)


@pytest.fixture
def trained(train: Callable[..., Told], saves: Path) -> Run:
    assert train("--epochs=1", "--name=one").code == 0
    return Run(saves / "one")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--length=0"], ["length must be between 1 and 1,000,000"]),
        (["--length=x"], ["length must be a whole number"]),
        (["--temperature=0"], ["temperature must be between 0.01 and 100"]),
        (["--strategy=magic"], ["strategy must be one of"]),
        (["--seed=-5"], ["seed must be"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_texts_that_cannot_be_written(
    run: Callable[..., Told], trained: Run, saves: Path, arguments: list[str], words: list[str]
) -> None:
    refused(run("generate", "one", "--saves", saves, "--prefix=a", *arguments), *words)


@pytest.mark.parametrize("name", ["run.json", "vocabulary.json", "latest.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_damaged_folders(run: Callable[..., Told], trained: Run, saves: Path, name: str, damage: str) -> None:
    path = trained.path / name
    if damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.unlink()
    if damage == "foreign":
        path.write_text('{"something": "else"}')
    if name == "vocabulary.json":  # it is made again from the text, where there is one
        Path(trained.metadata().corpus.path).unlink()
        trained.corpus_path.unlink()
    for arguments in (["resume", "one", "--epochs=5"], ["generate", "one", "--prefix=a"]):
        told = run(*arguments, "--saves", saves)
        refused(replace(told, out=""), name.split(".")[0])
    told = run("runs", "--saves", saves)
    assert told.code == 0 and ("damaged " in told.out) is (name == "run.json")
    assert run("runs", "--saves", saves, "--json").json()[0]["problem"].count(name) == (name == "run.json")


def test_a_second_engine_on_a_run(run: Callable[..., Told], tiny: Callable[..., RunConfig], saves: Path) -> None:
    session = Session.create(tiny(), saves, "one")
    refused(run("resume", "one", "--saves", saves), "run 'one' is open in another engine: attach to that one, or stop")
    told = run("generate", "one", "--saves", saves, "--prefix", "a", "--length", 5)
    assert told.code == 0 and told.out.startswith("a"), "its last checkpoint writes all the same"
    session.close()


def test_a_runtime_folder_that_others_can_enter(
    run: Callable[..., Told], train: Callable[..., Told], saves: Path, runtime: Path
) -> None:
    runtime.chmod(0o777)
    refused(train(), "must be a folder of yours that only you can enter (mode 0700)")
    assert not saves.exists(), "it is said before there is a run"
    runtime.chmod(0o700)


def test_a_checkpoint_that_cannot_be_written(
    train: Callable[..., Told], saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.runs.atomic_write import Disk

    whole = Disk.fsync

    def full(disk: Disk, file: Any) -> None:
        if (saves / "one").exists():  # with its first checkpoint, without which it would not begin
            raise OSError(28, "No space left on device")
        whole(disk, file)

    monkeypatch.setattr(Disk, "fsync", full)
    told = train("--epochs=2", "--name=one")
    assert told.code == 2 and "is finished and saved" not in told.out
    assert told.err == (
        "error: the checkpoint could not be saved (No space left on device): make room or permit writing in "
        f"{saves / 'one'}\n"
    )
    assert told.out.count("could not be saved") <= 1
    assert len(epochs(read_journal(saves / "one/metrics.jsonl"))) == 2, "it went on in memory, and the curve is there"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(train: Callable[..., Told], saves: Path) -> None:
    saves.mkdir(mode=0o500)
    refused(train(), "the run cannot be made in", "Permission denied")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 TB")])
def test_a_model_larger_than_the_memory(
    train: Callable[..., Told], saves: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def none_left(*_: object) -> None:
        raise error

    monkeypatch.setattr("core.training.trainer.build_model", none_left)
    told = train()
    assert (told.code, told.out) == (1, "") and not saves.exists()
    assert (
        told.err == "error: out of memory: choose a smaller batch_size, num_steps or num_hiddens, or another device\n"
    )


# --- processes: signals, pipes, terminals --------------------------------------------------------------------------


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "core", *(str(argument) for argument in arguments)]
    return subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


async def paused_by_a_screen(run: Run) -> None:
    """A client holds the training still, looks at it for a while, and lets it go on."""
    client = await EngineClient.attach(run.path)
    assert (await client.request("pause"))["state"] == State.PAUSED
    assert (await client.request("hello"))["state"] == State.PAUSED
    assert (await client.request("step"))["state"] == State.PAUSED
    assert (await client.request("resume"))["state"] == State.TRAINING
    await client.close()


def test_interrupted_in_the_midst(saves: Path, text_path: Path) -> None:
    with start(
        "train", f"--corpus={text_path}", f"--saves={saves}", "--name=one", "--epochs=100000", *SMALL
    ) as process:
        run = Run(saves / "one")
        deadline = time.monotonic() + 60
        while len(epochs(read_journal(run.journal_path))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        asyncio.run(paused_by_a_screen(run))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert f"one is stopped and saved in {run.path}" in out
    assert out.splitlines()[-1] == f"python -m core resume one --saves {saves} goes on"
    assert run_summary(run).state == State.STOPPED and not run.is_held()


def test_writing_with_a_suspended_engine(saves: Path, text_path: Path) -> None:
    """What is waited for is said; ctrl+c ends it, and so does the engine's going on."""
    arguments = (f"--corpus={text_path}", f"--saves={saves}", "--name=one", "--epochs=100000", *SMALL)
    with start("train", *arguments) as training:
        run = Run(saves / "one")
        deadline = time.monotonic() + 60
        while not epochs(read_journal(run.journal_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        training.send_signal(signal.SIGSTOP)
        for is_given_up in (True, False):
            with start("generate", "one", f"--saves={saves}", "--prefix=a", "--length=5", "--seed=1") as writing:
                assert writing.stderr is not None and writing.stdout is not None
                words = writing.stderr.readline()
                assert words.startswith("waiting for the engine of one (process ") and "is suspended" in words
                assert f"kill -CONT {training.pid}" in words
                (writing if is_given_up else training).send_signal(signal.SIGINT if is_given_up else signal.SIGCONT)
                out, err = writing.communicate(timeout=60)
                assert writing.returncode == (130 if is_given_up else 0), err
                assert out == "" if is_given_up else out.startswith("a")
                assert err.startswith("error: stopped") if is_given_up else "error" not in err
        training.send_signal(signal.SIGINT)
        training.communicate(timeout=60)
        assert training.returncode == 0


def test_what_cannot_write_is_refused_before_the_prefix(
    train: Callable[..., Told], run: Callable[..., Told], saves: Path
) -> None:
    assert train("--epochs=1", "--name=both", "--set", "bidirectional=yes").code == 0
    told = run("generate", "both", "--saves", saves, "--prefix=abc")
    refused(told, "a bidirectional model cannot write")


def test_a_reader_that_goes_away(saves: Path, text_path: Path) -> None:
    arguments = ("train", f"--corpus={text_path}", f"--saves={saves}", "--name=one", "--epochs=100000", "--json")
    with start(*arguments, *SMALL) as process:
        assert process.stdout is not None and process.stderr is not None
        for _ in range(5):
            assert json.loads(process.stdout.readline())
        process.stdout.close()
        run, before = Run(saves / "one"), time.monotonic()
        done = len(epochs(read_journal(run.journal_path)))
        while len(epochs(read_journal(run.journal_path))) < done + 5 and time.monotonic() < before + 60:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read().startswith("standard output takes no more (Broken pipe): training goes on")
    assert len(epochs(read_journal(run.journal_path))) >= done + 5
    assert run_summary(run).state == State.STOPPED and not run.is_held()
    Session.open(run).close()


def test_a_terminal_that_knows_no_chinese() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with start("stats", "--corpus=lyrics-zh", "--top=3", env=environment) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err == "" and "\\u" in out
    with start("stats", "--corpus=lyrics-zh", "--top=3", "--json", env=environment) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err == "" and len(json.loads(out)["top"]["1"][0][0]) == 1


# --- downloads -----------------------------------------------------------------------------------------------------

TEXT = b"a line of a text\n" * 5000


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Iterator[catalogue.Download]:
    """A text on a server on loopback, which the catalogue lists."""
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(TEXT)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(TEXT)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    entry = catalogue.Download(
        "story", "a story", f"http://127.0.0.1:{server.server_address[1]}/story.txt", len(TEXT),
        hashlib.sha256(TEXT).hexdigest(), "free for all", "the neighbours",
    )  # fmt: skip
    monkeypatch.setattr(catalogue, "DOWNLOADS", (entry,))
    yield entry
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_says_what_it_is_first(run: Callable[..., Told], story: catalogue.Download, tmp_path: Path) -> None:
    told = run("download", "story", "--data", tmp_path)
    assert told.code == 0 and told.err == ""
    lines = told.out.splitlines()
    assert lines[0] == "story: a story; 85.0 kB, free for all"
    assert lines[1] == f"  from {story.url} (the neighbours)"
    assert lines[2] == f"saved as {tmp_path / 'downloads/story.txt'}"
    assert (tmp_path / "downloads/story.txt").read_bytes() == TEXT
    (facts,) = run("stats", "--corpus", "story", "--data", tmp_path, "--json").json()
    assert facts["bytes"] == len(TEXT)


def test_a_download_as_json(run: Callable[..., Told], story: catalogue.Download, tmp_path: Path) -> None:
    first, *between, last = run("download", "story", "--data", tmp_path, "--json").json()
    assert first == {
        "event": "download", "name": "story", "title": "a story", "bytes": len(TEXT), "licence": "free for all",
        "source": "the neighbours", "url": story.url,
    }  # fmt: skip
    assert between[-1] == {"event": "progress", "bytes": len(TEXT), "total": len(TEXT)}
    assert {event["event"] for event in between} == {"progress"}
    assert last == {"event": "done", "name": "story", "path": str(tmp_path / "downloads/story.txt")}
    assert run("download", "--json").json() == [first]
    assert "story: a story; 85.0 kB" in run("download").out


def test_a_download_that_fails(
    run: Callable[..., Told], story: catalogue.Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "DOWNLOADS", (replace(story, sha256="0" * 64),))
    told = run("download", "story", "--data", tmp_path)
    assert told.code == 2 and told.out.startswith("story: a story")
    assert told.err.startswith("error: story from http://127.0.0.1") and "nothing was kept" in told.err
    assert not (tmp_path / "downloads/story.txt").exists()
    (tmp_path / "file").write_text("x")
    told = run("download", "story", "--data", tmp_path / "file")
    assert told.code == 2 and "cannot be written to" in told.err


def test_the_bar_of_a_download(
    run: Callable[..., Told], story: catalogue.Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    told = run("download", "story", "--data", tmp_path)
    assert f"\r\x1b[K{'━' * 20} 85.0 kB of 85.0 kB" in told.out
    assert told.out.index("from http://") < told.out.index("\r")


def test_before_the_first_batch_it_says_what_the_training_takes(train: Callable[..., Told]) -> None:
    told = train("--epochs=2", "--name=one")
    assert told.code == 0 and "memory about " in told.out and "as measured in" not in told.out, (
        "nothing is measured yet"
    )
    assert told.out.index("memory about") < told.out.index("training perplexity") and not told.err
    again = train("--epochs=2", "--name=two")
    assert "s an epoch, as measured in one" in again.out
    small = train("--epochs=1", "--set", "validation_fraction=0.02")
    assert small.err == "warning: only 16 tokens are held out: too few for a reliable perplexity\n"


def test_a_model_that_no_memory_holds_is_refused_before_it_is_made(
    train: Callable[..., Told], saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.devices._main_memory", lambda: (0, 1_000_000))
    assert train("--device=cpu", "--epochs=1").code == 0
    told = train("--device=cpu", "--set", "num_hiddens=16384", "--set", "num_layers=8", "--name=larger")
    refused(told, "num_hiddens 16,384 makes a model of", "GB in training, and cpu has 1.0 MB: make num_hiddens")
    assert not (saves / "larger").exists()
