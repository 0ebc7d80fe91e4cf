"""``python -m core runs`` and its acts: what the Runs pane can do with whole runs, from the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import main
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
    code, out, err = act("delete 月亮 two")
    assert (code, err) == (0, "") and names(saves) == set()
    back = f"python -m core runs restore 月亮 --saves {saves}"
    assert out.startswith(
        f"月亮 is in the trash for 30 days: {back.replace('月亮', shlex.quote('月亮'))} brings it back\n"
    )
    assert "30 days left" in act("trash")[1] and "月亮" in act("trash")[1]
    assert [json.loads(line)["name"] for line in act("trash --json")[1].splitlines()] == ["two", "月亮"]
    make("two")
    code, out, _ = act("restore 月亮 two")
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


def test_what_cannot_be_done_is_a_sentence(act: Act, make: Any, saves: Path) -> None:
    run = make("one")
    make("two")
    for words, sentence in (
        ("delete one three", "there is no run 'three'"),
        ("rename one two", "there is already a run 'two'"),
        ("duplicate one ../x", "cannot be the name of a run"),
        ("restore one", "there is no run 'one' in the trash"),
        ("empty one", "there is no run 'one' in the trash"),
        ("bury one", "invalid choice: 'bury'"),
    ):
        code, out, err = act(words)
        assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1, (words, err)
    with run.lock():
        for words in ("delete one", "rename one three"):
            code, out, err = act(words)
            assert (code, out) == (2, "") and "is open in another engine" in err, words
    assert names(saves) == {"one", "two"}
