"""One sentence for everything that is wrong: texts, settings, names, folders, memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.engine.session import Session
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tests.core.cli.commands import SMALL, Printed, refused
from tests.run_folders import epochs, read_journal

PICTURES = Path(__file__).resolve().parents[3] / "tui" / "pictures"

pytestmark = pytest.mark.usefixtures("as_it_was")


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
    run: Callable[..., Printed], saves: Path, tmp_path: Path, command: str, content: bytes, words: list[str] | None
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    more = ["--saves", saves] if command == "train" else []
    printed = run(command, "--corpus", path, *more)
    if words is None and command == "stats":
        assert printed.code == 0
        return
    refused(printed, *(words or ["the text has", "choose a smaller batch_size, fewer num_steps or more text"]))
    assert not saves.exists()


def test_good_encodings(train: Callable[..., Printed], text_path: Path) -> None:
    text = text_path.read_text()
    printed = []
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
        text_path.write_bytes((text + "分开").encode(encoding))
        events = train("--epochs=1", "--json").json()
        printed.append([event["perplexity"] for event in events if event["event"] == "epoch"])
    assert printed[0] == printed[1] == printed[2] == printed[3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--corpus=/nowhere/at/all.txt"], ["there is no file '/nowhere/at/all.txt'"]),
        (["--corpus=lyric-zh"], ["did you mean lyrics-zh"]),
        (["--corpus=time-machine", "--data=/nowhere"], ["python -m core download time-machine"]),
        ([f"--corpus={PICTURES}"], ["generate.png' is a binary file"]),
        (["--corpus=/dev/null"], ["is a device: choose a regular text file"]),
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
        (["--preset="], ["there is no preset '': choose one of lyrics-scratch-sequential"]),
        (["--name="], ["'' cannot be the name of a run: use up to 100 letters, digits, blanks or -_."]),
        (["--name=../x"], ["'../x' cannot be the name of a run"]),
        (["--name=\x1b[31m"], ["cannot be the name of a run"]),
        (["--saves=/dev/null/x"], ["no run can be made in /dev/null/x (/dev/null: Not a directory)"]),
        (["--unknown"], ["unrecognized arguments: --unknown: see python -m core train --help"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)  # fmt: skip
def test_trainings_that_cannot_be(
    run: Callable[..., Printed], saves: Path, text_path: Path, arguments: list[str], words: list[str]
) -> None:
    refused(run("train", f"--corpus={text_path}", f"--saves={saves}", *SMALL, *arguments), *words)
    assert not saves.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--help"]),
        (["fly"], ["invalid choice: 'fly'"]),
        (["stats", "--batch-size=x"], ["invalid int value: 'x'"]),
        (["stats", "--batch-size=0"], ["--batch-size and --num-steps must be at least 1, and --top at least 0"]),
        (["stats", "--max-tokens=-1"], ["max_tokens and min_freq must be at least 0"]),
        (["stats", "--tokens=sentence"], ["invalid choice: 'sentence'"]),
        (["resume"], ["the following arguments are required: RUN"]),
        (["resume", "nobody"], ["there is no run 'nobody' in"]),
        (["resume", "x" * 5000], ["there is no run"]),
        (["resume", "nobody", "--epochs=0"], ["num_epochs must be between 1"]),
        (["generate", "nobody", "--prefix=a"], ["there is no run 'nobody' in"]),
        (["engine", "nobody"], ["there is no run 'nobody' in"]),
        (["engine", ""], ["there is no run '' in"]),
        (["runs", "--saves="], ["argument --saves: name a folder, got ''"]),
        (["presets", "save", "own", "--preset="], ["there is no preset ''"]),
        (["sweep", "s", "--question="], ["there is no question ''"]),
        (["sweep", "", "--question=sampling"], ["'' cannot be"]),
        (["export", "nobody", "--out="], ["argument --out: name a file or a folder, or - for standard output, got ''"]),
        (["download", "nothing"], ["there is no text 'nothing' to download; there are time-machine"]),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_commands_that_cannot_be(
    run: Callable[..., Printed], saves: Path, arguments: list[str], words: list[str]
) -> None:
    more = ["--saves", saves] if arguments and arguments[0] in ("resume", "generate", "engine") else []
    refused(run(*arguments, *more), *words)


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
    run: Callable[..., Printed], trained: Run, saves: Path, arguments: list[str], words: list[str]
) -> None:
    refused(run("generate", "one", "--saves", saves, "--prefix=a", *arguments), *words)


@pytest.mark.parametrize("name", ["run.json", "vocabulary.json", "latest.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_damaged_folders(run: Callable[..., Printed], trained: Run, saves: Path, name: str, damage: str) -> None:
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
        printed = run(*arguments, "--saves", saves)
        refused(replace(printed, out=""), name.split(".")[0])
    printed = run("runs", "--saves", saves)
    assert printed.code == 0 and ("damaged " in printed.out) is (name == "run.json")
    assert run("runs", "--saves", saves, "--json").json()[0]["problem"].count(name) == (name == "run.json")


def test_a_second_engine_on_a_run(run: Callable[..., Printed], tiny: Callable[..., RunConfig], saves: Path) -> None:
    session = Session.create(tiny(), saves, "one")
    refused(run("resume", "one", "--saves", saves), "run 'one' is open in another engine: attach to that one, or stop")
    printed = run("generate", "one", "--saves", saves, "--prefix", "a", "--length", 5)
    assert printed.code == 0 and printed.out.startswith("a"), "its last checkpoint writes all the same"
    session.close()


def test_a_runtime_folder_that_others_can_enter(
    run: Callable[..., Printed], train: Callable[..., Printed], saves: Path, runtime: Path
) -> None:
    runtime.chmod(0o777)
    refused(train(), "must be a folder of yours that only you can enter (mode 0700)")
    assert not saves.exists(), "it is said before there is a run"
    runtime.chmod(0o700)


def test_a_checkpoint_that_cannot_be_written(
    train: Callable[..., Printed], saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.runs.held_folder import Disk

    whole = Disk.fsync

    def full(disk: Disk, file: Any) -> None:
        if (saves / "one").exists():  # with its first checkpoint, without which it would not begin
            raise OSError(28, "No space left on device")
        whole(disk, file)

    monkeypatch.setattr(Disk, "fsync", full)
    printed = train("--epochs=2", "--name=one")
    assert printed.code == 2 and "is finished and saved" not in printed.out
    assert printed.err == (
        "error: the checkpoint could not be saved (No space left on device): make room or permit writing in "
        f"{saves / 'one'}\n"
    )
    assert printed.out.count("could not be saved") <= 1
    assert len(epochs(read_journal(saves / "one/metrics.jsonl"))) == 2, "it went on in memory, and the curve is there"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(train: Callable[..., Printed], saves: Path) -> None:
    saves.mkdir(mode=0o500)
    refused(train(), "no run can be made in", "Permission denied")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 TB")])
def test_a_model_larger_than_the_memory(
    train: Callable[..., Printed], saves: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def none_left(*_: object) -> None:
        raise error

    monkeypatch.setattr("core.training.parts.build_model", none_left)
    printed = train()
    assert (printed.code, printed.out) == (1, "") and not saves.exists()
    assert printed.err == "error: out of memory: make batch, steps or hidden smaller, or use another device\n"
