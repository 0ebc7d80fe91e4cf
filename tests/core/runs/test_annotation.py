"""Tags and a note of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import RunError
from core.runs.annotation import annotate, check_note, parse_tags, write_annotated
from core.runs.held_folder import Disk
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.run import Run
from core.runs.store import duplicate_run
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from tests.run_folders import create_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    corpus = CorpusIdentity("tale", "0" * 64, 100, 12, "/tale.txt")
    facts = RunMetadata(RunConfig(), corpus, 7, "2026-01-01T00:00:00+00:00", {"torch": "2"}, {"device": "cpu"})
    return create_run(tmp_path, "one", facts, {"format": 1})


def test_tags_and_note_are_kept_with_the_run(run: Run) -> None:
    before = run.metadata_path.read_bytes()
    annotate(run, ("best", "论文"), "the first that rhymes")
    summary = run_summary(run)
    assert (summary.tags, summary.note) == (("best", "论文"), "the first that rhymes")
    assert run.metadata().backend == {"device": "cpu"} and run.metadata().config == RunConfig()
    annotate(run, note="")
    assert run.metadata().tags == ("best", "论文") and run.metadata().note == ""
    copy = duplicate_run(run, "two")
    assert copy.metadata().tags == ("best", "论文")
    annotate(run, ())
    assert run.metadata_path.read_bytes() == before, "without them, the file is as it was before there were any"
    assert {path.name for path in run.path.iterdir()} == {"run.json", "vocabulary.json", "corpus.txt", "engine.lock"}


def test_what_is_typed() -> None:
    assert parse_tags(" best, #paper，论文 best BEST ") == ("best", "paper", "论文")
    assert parse_tags("") == () and check_note("  a b ") == "a b"
    for wrong, words in (("x" * 41, "up to 40"), ('a"b', "quotation marks"), ("a\x1bb", "cannot be a tag"),
                         (" ".join(map(str, range(21))), "20 tags, not 21")):  # fmt: skip
        with pytest.raises(RunError, match=words):
            parse_tags(wrong)
    for wrong, words in (("x" * 501, "may have 500"), ("a\nb", "one line"), ("a\u202eb", "cannot be seen")):
        with pytest.raises(RunError, match=words):
            check_note(wrong)


def test_a_held_run_and_a_full_disk_leave_the_file(run: Run) -> None:
    before = run.metadata_path.read_bytes()
    with run.lock() as folder:
        with pytest.raises(RunError, match="open in another engine"):
            annotate(run, ("best",))

        class Full(Disk):
            def fsync(self, file: Any) -> None:
                raise OSError(28, "No space left on device")

        folder.disk = Full()
        with pytest.raises(RunError, match="tags and note of 'one' cannot be saved: No space left"):
            write_annotated(folder, run.metadata())
    assert run.metadata_path.read_bytes() == before


def test_foreign_tags_are_refused_like_other_foreign_values(run: Run) -> None:
    facts = json.loads(run.metadata_path.read_text("utf-8"))
    for tags, note in ((5, ""), (["a", 5], ""), (["x"] * 1001, ""), (["x" * 10_001], ""), ([], 5), ([], "x" * 10_001)):
        run.metadata_path.write_text(json.dumps({**facts, "tags": tags, "note": note}), "utf-8")
        with pytest.raises(RunError, match="damaged or foreign"):
            run.metadata()
