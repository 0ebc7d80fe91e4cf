"""An exported file is whole or absent, and takes no other file's place unless asked to."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from core.errors import UserError
from core.export import destination
from core.export.destination import check_destination, write_file
from tests.core.export.journalled import MakeRun


def test_a_file_is_replaced_only_when_asked_and_links_are_followed(tmp_path: Path) -> None:
    path, link = tmp_path / "curve.csv", tmp_path / "link.csv"
    write_file(path, b"one")
    link.symlink_to(path)
    for place in (path, link):
        with pytest.raises(UserError, match=r"there is already a file .*csv: name another, or replace it with --force"):
            write_file(place, b"two")
    assert path.read_bytes() == b"one"
    write_file(link, b"three", replace=True)
    assert path.read_bytes() == b"three" and link.is_symlink()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["curve.csv", "link.csv"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hard links and, as on some disks, without them."""

    def no_link(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    for number, link in enumerate((os.link, no_link)):
        path = tmp_path / str(number)
        monkeypatch.setattr(os, "link", link)
        monkeypatch.setattr(os, "fsync", lambda descriptor, path=path: path.write_bytes(b"theirs"))
        with pytest.raises(UserError, match="there is already a file"):
            write_file(path, b"ours")
        assert path.read_bytes() == b"theirs"
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)
        write_file(tmp_path / f"new{number}", b"ours")
        assert (tmp_path / f"new{number}").read_bytes() == b"ours"
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_a_failing_disk_leaves_what_was_there(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "curve.csv"
    if step == "replace":
        path.write_bytes(b"before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(destination.os, step, fail)
    if step == "link":  # the way without links fails too
        monkeypatch.setattr(destination.os, "rename", fail)
    with pytest.raises(UserError, match=r"curve.csv cannot be written: No space left on device"):
        write_file(path, b"after", replace=step == "replace")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == ([b"before"] if step == "replace" else [])


def test_places_that_cannot_be_written_are_refused_before_anything_is_computed(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    cases = {
        tmp_path: "is a folder: name a file",
        tmp_path / "none" / "a.csv": "there is no folder ",
        tmp_path / "file" / "a.csv": "cannot be written: Not a directory",
        tmp_path / "pipe": "is not a regular file: name another, or - for standard output",
        tmp_path / "loop": "cannot be written: ",
        Path("/dev/null"): "is not a regular file",
        run.journal_path: "is in the folder of a run, which keeps only its own files",
        run.path / "new.csv": "is in the folder of a run",
        tmp_path / ("x" * 300): "cannot be written: File name too long",
        tmp_path / "a\0b": "cannot be written: ",
    }
    for path, words in cases.items():
        with pytest.raises(UserError, match=re.escape(words)):
            check_destination(path, replace=True)
    assert run.journal_path.stat().st_size > 0
