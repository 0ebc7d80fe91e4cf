"""The journal: whole lines, torn lines, damaged lines, and lines that a resume has undone."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.events import EpochFinished, Event, Note, RunResumed, SampleWritten, SettingChanged, StateChanged
from core.runs import journal as module
from core.runs.held_folder import HeldFolder
from core.runs.journal import JournalReader, JournalWriter, last_lines
from tests.core.processes import started
from tests.run_folders import epochs, journal_at, read_journal


def epoch(number: int, perplexity: float = 5.0) -> EpochFinished:
    return EpochFinished(
        number,
        number * 9,
        perplexity,
        None,
        1.6,
        0.4,
        100.0,
        69_000.0,
        0.13,
        clipped=0.5,
        clip_factor=0.25 if number % 2 else None,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def folder(path: Path) -> Iterator[HeldFolder]:
    with HeldFolder(path.parent) as held:
        yield held


def write(path: Path, *events: Event) -> None:
    with journal_at(path) as journal:
        for event in events:
            journal.append(event)


def test_what_is_written_is_read(path: Path) -> None:
    events = [StateChanged("training", 0), epoch(1), SampleWritten(1, "分开", "a\nb\x1b[31m\ud800"), Note("x")]
    write(path, *events)
    assert read_journal(path) == events
    lines = path.read_bytes().splitlines()
    assert len(lines) == len(events) and all(json.loads(line)["time"] > 1e9 for line in lines)
    assert path.stat().st_mode & 0o022 == 0, "nobody else may write it"
    write(path, epoch(2))
    assert epochs(read_journal(path)) == [epoch(1), epoch(2)]


def test_every_epoch_is_read_as_it_was_written(path: Path) -> None:
    """Held out or not, beyond floating point or not, and as earlier versions wrote it, without the held-out loss."""
    events = [
        epoch(1),
        dataclasses.replace(epoch(2), validation_perplexity=7.5, validation_loss=2.014903),
        dataclasses.replace(epoch(3), validation_perplexity=math.inf, validation_loss=2e7),
        dataclasses.replace(epoch(4), perplexity=math.inf, loss=1e6, validation_perplexity=7.5, validation_loss=2.0149),
        dataclasses.replace(epoch(5), perplexity=math.inf, loss=1e6),
    ]
    write(path, *events)
    older = {key: value for key, value in epoch(6, 7.0).to_json().items() if key != "validation_loss"}
    with path.open("a") as file:
        file.write(json.dumps({**older, "time": 1.5}) + "\n")
    assert read_journal(path) == [*events, epoch(6, 7.0)]


def test_a_missing_or_unreadable_journal_has_no_events_yet(path: Path) -> None:
    assert read_journal(path) == [] and JournalReader(path).poll() == [] and last_lines(path) == ([], True)
    path.mkdir()
    assert read_journal(path) == []
    with pytest.raises(IsADirectoryError):
        last_lines(path)
    assert read_journal(path / "below") == []


def test_a_torn_last_line_means_not_yet(path: Path) -> None:
    write(path, epoch(1), epoch(2))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        reader = JournalReader(path)
        assert [event for event, _ in reader.poll()] == [epoch(1)]
        path.write_bytes(whole)
        assert [event for event, _ in reader.poll()] == [epoch(2)]
        assert reader.damaged_lines == 0 and reader.poll() == []


def test_a_torn_last_line_is_closed_by_the_next_writer(path: Path) -> None:
    write(path, epoch(1), epoch(2))
    path.write_bytes(path.read_bytes()[:-30])
    write(path, RunResumed(1, 0), epoch(2, 4.0))
    assert epochs(read_journal(path)) == [epoch(1), epoch(2, 4.0)]


def test_damaged_lines_are_passed_over_and_counted(path: Path) -> None:
    write(path, *(epoch(number) for number in range(1, 6)))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b"\xff\xfe{garbage\n"
    lines[2] = b"[" * 100_000 + b"\n"
    lines[3] = b'{"event": "epoch", "epoch": "3"}\n\n'
    path.write_bytes(b"".join(lines))
    reader = JournalReader(path)
    assert [event for event, _ in reader.poll()] == [epoch(1), epoch(5)]
    assert reader.damaged_lines == 3
    assert epochs(read_journal(path)) == [epoch(1), epoch(5)]


@pytest.mark.parametrize("moment", ["1e999", "-1", '"now"', "1" + "0" * 400, "null", "true"])
def test_a_strange_time_is_no_time(path: Path, moment: str) -> None:
    path.write_text('{"event": "note", "text": "x", "time": ' + moment + "}\n")
    ((event, seconds),) = JournalReader(path).poll()
    assert event == Note("x") and seconds in (0.0, 1.0)


HOSTILE = [
    b'{"event": "epoch", "epoch": -1', b'{"event": "epoch", "epoch": 1.0', b'{"event": "epoch", "epoch": true',
    b'{"event": "epoch", "epoch": 9223372036854775808', b'{"event": "epoch", "epoch": null',
    b'{"event": "epoch", "epoch": 1' + b"0" * 400, b'{"event": "epoch", "epoch": 1, "epoch": 2',
    b'{"event": "epoch", "key": "\\ud800", "epoch": 3', b'{"event": "epoch", "key": "\xff", "epoch": 3',
    b'{"event": "epoch", "key": NaN, "epoch": 3', b'{"event": "epoch", "key": ' + b"[" * 9999 + b', "epoch": 3',
    b'{"event": "note", "text": "x", "epoch": 3', b'{"event": "epoch", "event": "note", "text": "x", "epoch": 4',
    b'{"event": "note", "text": "x", "event": "epoch", "epoch": 5', b' {"event": "epoch", "epoch": 6',
    b'{"event":"epoch","epoch":7', b'{"event": "\\u0065poch", "epoch": 8',
]  # fmt: skip
FIGURES = ["1e999", "1e-999", "-0", "0.1e400", "null", '"3"', "[3]", "true", "NaN", "01", "1.", "1" + "0" * 400, "710"]


def test_lines_that_a_faster_decoder_takes_are_those_that_json_gives(
    path: Path, monkeypatch: pytest.MonkeyPatch, trials: int
) -> None:
    """Epochs of every kind and age, samples between them, hostile lines, and lines with bytes changed at random."""
    rest = json.dumps({**epoch(9).to_json(), "time": 1.7e9}).encode().partition(b'"epoch": 9')[2] + b"\n"
    lines = [start + rest for start in HOSTILE]
    for name in [*(item.name for item in dataclasses.fields(EpochFinished)), "time", "unknown"]:
        for figure in FIGURES:
            value = {**epoch(7).to_json(), "time": 1.7e9, name: "FIGURE"}
            lines.append(json.dumps(value).replace('"FIGURE"', figure).encode() + b"\n")
        if name not in ("unknown", "time"):
            value.pop(name)
            lines.append(json.dumps(value).replace('"FIGURE"', "3").encode() + b"\n")
    draw = random.Random(3)
    for number in range(300 * trials):
        damaged = bytearray(json.dumps({**epoch(number).to_json(), "time": 1.7e9}).encode())
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        lines.append(bytes(damaged) + b"\n")
    journals = [[line] for line in lines] + [draw.sample(lines, 20) for _ in range(20)]
    write(path, *(epoch(number) for number in range(1, 20)), SampleWritten(19, "", "x"), epoch(20))
    good = path.read_bytes().splitlines(keepends=True)
    journals += [[*good, line, *good[:3]] for line in lines[:: len(lines) // 20]]
    for journal in journals:
        path.write_bytes(b"".join(journal))
        found = []
        for least in (0, 1 << 62):
            monkeypatch.setattr(module, "LEAST_FOR_MSGSPEC", least)
            reader, rows = JournalReader(path), JournalReader(path)
            found.append(repr((reader.poll(), reader.damaged_lines, [*rows.pieces()], rows.damaged_lines)))
        assert found[0] == found[1], journal


@pytest.mark.parametrize("seed", range(5))
def test_random_damage_never_does_harm(path: Path, seed: int) -> None:
    draw = random.Random(seed)
    write(path, *(epoch(number) for number in range(1, 20)))
    whole = path.read_bytes()
    for _ in range(200):
        data = bytearray(whole[: draw.randrange(len(whole))] if draw.random() < 0.3 else whole)
        for _ in range(draw.randrange(1, 20)):
            if data:
                data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data)
        assert all(isinstance(event, Event) for event in read_journal(path))
        assert all(isinstance(line, dict) for line in last_lines(path)[0])


def test_a_huge_line_is_dropped_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 1000)
    write(path, epoch(1))
    inner = path.read_bytes()
    path.write_bytes(inner + b"x" * 2500 + inner * 3 + b"y" * 2500 + b"\n" + inner)
    for at_most in (1, 7, 100, 1000, 1 << 24):
        reader, found = JournalReader(path), []
        for _ in range(path.stat().st_size // at_most + 2):
            found += reader.poll(at_most)
            assert len(reader.rest) <= 1000
        # Two of the three copies inside the huge line are whole lines of their own.
        assert [event for event, _ in found] == [epoch(1)] * 4, at_most
        assert reader.damaged_lines == 2


def test_garbage_longer_than_one_reading_hides_nothing(path: Path) -> None:
    path.write_bytes(b"\0" * (module.LONGEST_LINE * 5) + b"\n")
    write(path, epoch(7))
    assert epochs(read_journal(path)) == [epoch(7)]


def test_a_resume_undoes_what_no_checkpoint_kept(path: Path) -> None:
    write(
        path, RunResumed(0, 0), epoch(1), SampleWritten(1, "a", "b"), epoch(2), SettingChanged(2, "learning_rate", 1.0),
        epoch(3, 3.0), SampleWritten(3, "a", "c"), StateChanged("training", 3),
        RunResumed(2, 4), epoch(3, 2.5), epoch(4), RunResumed(1, 0), epoch(2, 9.0),
    )  # fmt: skip
    events = read_journal(path)
    assert epochs(events) == [epoch(1), epoch(2, 9.0)]
    assert [event for event in events if isinstance(event, SampleWritten)] == [SampleWritten(1, "a", "b")]
    assert [event for event in events if isinstance(event, RunResumed)] == [
        RunResumed(0, 0), RunResumed(2, 4), RunResumed(1, 0),
    ]  # fmt: skip


def test_following_another_process_as_it_writes(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.run_folders import journal_at\n"
        "from core.events import SampleWritten\n"
        "with journal_at(Path(sys.argv[1])) as journal:\n"
        "    for number in range(3000): journal.append(SampleWritten(number, '', 'x' * (number % 300)))\n"
    )
    reader, found = JournalReader(path), []
    with started("-c", program, path) as process:
        deadline = time.monotonic() + 60
        while len(found) < 3000 and time.monotonic() < deadline:
            found += reader.poll(at_most=5000)
        assert process.wait(30) == 0
    assert [event.epoch for event, _ in found if isinstance(event, SampleWritten)] == list(range(3000))
    assert reader.damaged_lines == 0


def test_a_replaced_journal_is_read_from_its_beginning(path: Path) -> None:
    write(path, epoch(1), epoch(2))
    reader = JournalReader(path)
    assert len(reader.poll()) == 2
    path.unlink()
    write(path, epoch(1, 7.0))
    assert [event for event, _ in reader.poll()] == [epoch(1, 7.0)]


def test_half_a_line_taken_back_brings_nothing_twice(path: Path) -> None:
    write(path, epoch(1))
    size = path.stat().st_size
    reader = JournalReader(path)
    with path.open("ab") as file:
        file.write(b'{"event": "epo')
    assert [event for event, _ in reader.poll()] == [epoch(1)]
    os.truncate(path, size)
    assert reader.poll() == []
    write(path, epoch(2))
    assert [event for event, _ in reader.poll()] == [epoch(2)]


class FullDisk:
    """Lets ``room`` bytes through to the real write, and then none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room, self._write = room, os.write
        monkeypatch.setattr(module.os, "write", self)

    def __call__(self, file: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self._write(file, data[: self.room])
        self.room -= taken
        return taken


def test_a_full_disk_loses_no_line(path: Path, folder: HeldFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = JournalWriter(folder)
    journal.append(epoch(1))
    disk = FullDisk(monkeypatch, room=300)
    for number in range(2, 10):
        journal.append(epoch(number))
    with pytest.raises(OSError, match="No space left"):
        journal.flush()
    assert path.read_bytes().endswith(b"\n"), "half a line does not stay"
    assert epochs(read_journal(path)) == [epoch(1), epoch(2)]
    disk.room = 10**6
    journal.append(epoch(10))
    journal.close()
    journal.close()
    assert epochs(read_journal(path)) == [epoch(number) for number in range(1, 11)]


def test_what_is_pending_is_written_at_the_end(path: Path, folder: HeldFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = JournalWriter(folder)
    disk = FullDisk(monkeypatch, room=0)
    journal.append(epoch(1))
    disk.room = 10**6
    journal.close()
    assert epochs(read_journal(path)) == [epoch(1)]


def test_a_full_disk_is_no_reason_not_to_open(path: Path, folder: HeldFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b'{"torn')
    disk = FullDisk(monkeypatch, room=0)
    journal = JournalWriter(folder)
    disk.room = 10**6
    journal.append(epoch(1))
    assert epochs(read_journal(path)) == [epoch(1)]
    journal.close()


def test_a_long_journal_is_read_quickly(path: Path) -> None:
    line = json.dumps({**epoch(1).to_json(), "time": 1.5})
    path.write_text("".join(line.replace('"epoch": 1', f'"epoch": {number}') + "\n" for number in range(100_000)))
    began = time.process_time()
    assert len(read_journal(path)) == 100_000
    assert time.process_time() - began < 4, "1 s on an idle machine"
    began = time.process_time()
    lines, are_all = last_lines(path)
    assert lines[-1]["epoch"] == 99_999 and not are_all and len(lines) < 1000
    assert time.process_time() - began < 0.2


def test_the_end_reaches_back_to_an_epoch(path: Path) -> None:
    write(path, StateChanged("training", 0), epoch(1), *(SampleWritten(1, "", "x" * 1000) for _ in range(200)))
    lines, are_all = last_lines(path)
    assert are_all and lines[1]["event"] == "epoch"
