"""Files that hold no curve: each is refused in one sentence, at once."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from core.errors import UserError
from core.export.event_file import Scalars, event_file
from core.export.reading import LARGEST, read_curves

EVENTS = event_file([Scalars(1, 1.0, {"loss": 2.0})], 1.0)
FIRST = len(event_file([], 1.0))
BAD = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n", "is empty"),
    "zeros": (bytes(100), "is neither an event file of TensorBoard nor a CSV file"),
    "events.out.tfevents.1.x": (b"step,loss\n1,2\n", "is neither an event file of TensorBoard"),
    "cut in its first record": (EVENTS[:20], "ends within its first record"),
    "cut before its first scalar": (EVENTS[: FIRST + 5], f"is damaged: its record at byte {FIRST} is cut"),
    "damaged": (EVENTS[:-1] + b"\0", f"is damaged: its record at byte {FIRST} is damaged"),
    "without scalars": (EVENTS[:FIRST], "has no scalars"),
    "latin": ("epoch,café\n1,2\n".encode("latin-1"), "is neither an event file nor a CSV in UTF-8"),
    "no names": (b"1,2\n3,4\n", "has no row of names above its figures"),
    "only names": (b"epoch,loss\n", "has a row of names and no rows of figures"),
    "one word": (b"hello", "has a row of names and no rows of figures"),
    "a letter": (b"Dear reader,\nno figures\nhere,at all\n", "is not a readable CSV file: row 2 has 1 field"),
    "texts": (b"run,state\na,done\nb,failed\n", "has no column of numbers"),
    "blanks": (b"epoch,loss\n,\n,\n", "has no column of numbers"),
    "ragged": (b"epoch,loss\n1,2\n3\n4,5\n", "row 3 has 1 field, and the first has 2"),
    "twice": (b"loss,epoch,loss\n1,2,3\n", "has two columns named 'loss'"),
    "quoted": (b'epoch,loss\n1,"' + b"2" * 200_000, "field larger than field limit"),
    "wide": (b",".join(b"c%d" % number for number in range(1001)), "has 1,001 columns, more than the 1,000"),
}  # fmt: skip


def test_a_file_without_a_curve_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for name, (data, words) in BAD.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UserError, match=re.escape(words)) as refused:
            read_curves(path)
        assert str(path) in str(refused.value) and "\n" not in str(refused.value), name


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LARGEST + 1)
    cases = {
        tmp_path / "pipe": "cannot be read: it is a pipe, no file",
        Path("/dev/zero"): "cannot be read: it is a device, no file",
        tmp_path / "missing": "cannot be read: No such file or directory",
        tmp_path / "folder": "contains neither a run nor an event file",
        tmp_path / "large": "has 134 MB: curves are read from up to 134 MB",
        tmp_path / "a\0b": "cannot be read: ",
        tmp_path / ("x" * 300): "cannot be read: File name too long",
    }
    for path, words in cases.items():
        with pytest.raises(UserError, match=re.escape(words)):
            read_curves(path)


def test_a_broken_link_takes_no_other_curve_away(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    links = tmp_path / "a" / "tfevents.2", tmp_path / "b" / "tfevents.1"
    for link in links:
        link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=re.escape(f"{links[0]} is a broken link")):
        read_curves(tmp_path)
    (tmp_path / "a" / "tfevents.1").write_bytes(event_file([Scalars(1, 1.0, {"loss": 2.0})], 1.0))
    remarks: list[str] = []
    assert [curve.name for curve in read_curves(tmp_path, remarks)] == ["a"]
    assert remarks == [f"{link} is a broken link: it is left out" for link in links]


def test_a_file_that_is_being_written_shows_what_is_there(tmp_path: Path) -> None:
    whole = event_file([Scalars(step, 1.0, {"loss": 2.0}) for step in (1, 2)], 1.0)
    (tmp_path / "events.out.tfevents.1").write_bytes(whole[:-3])
    (tmp_path / "other.txt").write_text("no event file")
    (curve,) = read_curves(tmp_path)
    assert curve.name == tmp_path.name and curve.column("step").tolist() == [1]
