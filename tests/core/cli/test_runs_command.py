"""``python -m core runs`` and its acts: what the Runs pane can do with whole runs, from the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import main
from core.runs.filter import SORT_KEYS
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.run import Run
from core.runs.store import list_runs, now
from core.runs.trash import deleted_runs
from core.settings.run_config import RunConfig
from tests.run_folders import create_run

Act = Callable[..., tuple[int, str, str]]


@pytest.fixture
def act(saves: Path, capsys: pytest.CaptureFixture[str]) -> Act:
    """Runs ``runs WORDS``; what it returned and said."""

    def acted(words: str) -> tuple[int, str, str]:
        code = main(["runs", "--saves", str(saves), *shlex.split(words)])
        return (code, *capsys.readouterr())

    return acted


@pytest.fixture
def make(saves: Path, text_path: Path) -> Callable[[str], Run]:
    def made(name: str) -> Run:
        facts = RunMetadata(RunConfig(), CorpusIdentity("tale", "0" * 64, 100, 12, "/tale.txt"), 1234, now(), {})
        return create_run(saves, name, facts, {"format": 1}, text_path.read_bytes())

    return made


def names(saves: Path) -> set[str]:
    return {summary.name for summary in list_runs(saves)}


def test_a_run_is_renamed_copied_deleted_and_restored(act: Act, make: Any, saves: Path) -> None:
    make("one")
    assert act("rename one 月亮") == (0, "one is now 月亮\n", "")
    assert act("duplicate 月亮 two") == (0, "two is a copy of 月亮\n", "")
    code, out, err = act("delete 月亮 two 月亮")
    assert (code, err) == (0, "") and names(saves) == set()
    back = f"python -m core runs restore 月亮 --saves {saves}"
    assert out.startswith(
        f"月亮 is in the trash for 30 days: {back.replace('月亮', shlex.quote('月亮'))} brings it back\n"
    )
    assert "30 days left" in act("trash")[1] and "月亮" in act("trash")[1]
    assert [json.loads(line)["name"] for line in act("trash --json")[1].splitlines()] == ["two", "月亮"]
    make("two")
    code, out, _ = act("restore 月亮 two 月亮")
    assert (code, out) == (0, "月亮 is back\ntwo is back as two-2: there is another run two now\n")
    assert names(saves) == {"月亮", "two", "two-2"}
    assert act("trash") == (0, f"the trash of {saves} is empty\n", "")


def test_the_trash_is_emptied_only_with_a_yes(act: Act, make: Any, saves: Path) -> None:
    for name in ("one", "two", "three"):
        make(name)
    act("delete one two three")
    for words, count in (("empty", "3 runs"), ("empty one", "1 run")):
        code, out, err = act(words)
        assert (code, out) == (2, "") and f"error: {count} in the trash, " in err and "add --yes" in err
    assert len(deleted_runs(saves)) == 3
    assert act("empty one --yes") == (0, "one is deleted permanently\n", "")
    code, out, _ = act("empty --yes --json")
    assert code == 0 and [json.loads(line)["event"] for line in out.splitlines()] == ["removed", "removed"]
    assert act("empty --yes") == (0, "the trash is empty\n", "")


def test_the_list_is_filtered_and_sorted(act: Act, make: Any) -> None:
    for name in ("one", "two", "月亮"):
        make(name)

    def listed(words: str) -> list[str]:
        code, out, err = act(f"{words} --json")
        assert (code, err) == (0, "")
        return [json.loads(line)["name"] for line in out.splitlines()]

    assert listed("") == ["月亮", "two", "one"]
    assert listed("--filter 月") == ["月亮"] and listed("--filter '!月 cell:rnn'") == ["two", "one"]
    assert listed("--sort name") == ["one", "two", "月亮"] and listed("--sort name --reverse") == ["月亮", "two", "one"]
    code, out, _ = act("--filter moon")
    assert code == 0 and out.startswith("none of 3 runs in ") and "matches 'moon'" in out
    assert act("--filter 'ppl<'")[2] == "error: ppl needs a number, as in ppl<3, got ''\n"
    assert "no column 'colour' to sort by, only name, corpus" in act("--sort colour")[2]


def test_tags_and_a_note(act: Act, make: Any, saves: Path) -> None:
    for name in ("one", "two"):
        make(name)
    assert act("tag one --add best two --add 论文") == (
        0, "one has the tags best, 论文\ntwo has the tags best, 论文\n", ""
    )  # fmt: skip
    assert act("tag two --remove BEST")[1] == "two has the tags 论文\n"
    assert json.loads(act("note one --json 'the first that rhymes'")[1])["note"] == "the first that rhymes"
    assert "#best #论文 the first that rhymes" in act("--filter tag:best")[1]
    tagged = json.loads(act("tag one --remove best --remove 论文 --json")[1])
    assert (tagged["event"], tagged["tags"]) == ("tagged", [])
    assert act("note one")[1] == "one has no note\n"
    assert "tags" not in (saves / "one" / "run.json").read_text("utf-8")
    for words, sentence in (
        ("tag one", "say which tag: --add TAG or --remove TAG"),
        ("tag one --add 'a b'", "'a b' cannot be a tag"),
        ("tag one three --add a", "there is no run 'three'"),
        ("note one 'a\nb'", "must be one line"),
    ):
        code, out, err = act(words)
        assert (code, out) == (2, "") and sentence in err, words


def test_the_help_names_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    main(["runs", "--help"])
    words = capsys.readouterr().out.translate({ord(sign): " " for sign in ",;"}).split()
    assert set(SORT_KEYS) <= set(words)


def test_what_cannot_be_done_is_a_sentence(act: Act, make: Any, saves: Path) -> None:
    run = make("one")
    make("two")
    for words, sentence in (
        ("delete one three", "there is no run 'three'"),
        ("rename one two", "there is already a run 'two'"),
        ("duplicate one ../x", "cannot be the name of a run"),
        ("rename one ''", "'' cannot be the name of a run"),
        ("restore one", "there is no run 'one' in the trash"),
        ("empty one", "there is no run 'one' in the trash"),
        ("bury one", "invalid choice: 'bury'"),
        ("delete one --json -- -x", "there is no run '-x'"),
        ("--nope", "unrecognized arguments: --nope: see python -m core runs --help"),
        ("rename one --nope two", "unrecognized arguments: --nope: see python -m core runs rename --help"),
    ):
        code, out, err = act(words)
        assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1, (words, err)
    with run.lock():
        for words in ("delete one", "rename one three"):
            code, out, err = act(words)
            assert (code, out) == (2, "") and "is open in another engine" in err, words
        for words, sentence in (("duplicate one ''", "'' cannot be the name"), ("duplicate one one", "already a run")):
            code, out, err = act(words)
            assert (code, out) == (2, "") and sentence in err, "its engine is not asked"
    assert names(saves) == {"one", "two"}
