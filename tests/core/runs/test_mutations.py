"""Every file of a run folder, cut and changed at random: each time a sentence, or a run that works.

There are 80 mutations of each of six files, times ``--trials``: each day others.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.engine.loading import load_model
from core.engine.session import Session
from core.events import Event
from core.runs.journal import last_lines
from core.runs.run import Run
from core.runs.store import list_runs
from core.settings.run_config import RunConfig
from tests.core.runs.damage import said, train_a_little
from tests.run_folders import read_journal

Tiny = Callable[..., RunConfig]
MUTATIONS = 80
FILES = ("run.json", "vocabulary.json", "corpus.txt", "metrics.jsonl", "latest.safetensors", "best.safetensors")


@pytest.fixture
def saves() -> Iterator[Path]:
    """In memory where the system has such a place: what is tested is reading, not the patience of a disk."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="runs", dir=place) as folder:
        yield Path(folder)


def mutated(whole: bytes, draw: random.Random) -> bytes:
    """One of the ways in which disks, editors and people damage a file."""
    place = draw.randrange(len(whole))
    length = draw.choice((1, 1, 1, 2, 3, 8, 64))
    noise = draw.choice((draw.randbytes(length), bytes(draw.choices(b'0123456789-.eE"{}[],:\\\n', k=length))))
    match draw.randrange(7):
        case 0:
            return whole[:place]
        case 1:
            return whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :]
        case 2:
            return whole[:place] + noise + whole[place:]
        case 3:
            return whole[:place] + whole[place + length :]
        case 4:
            return whole[:place] + noise + whole[place + length :]
        case 5:
            return whole[:place] + bytes(length) + whole[place + length :]
        case _:
            other = draw.randrange(len(whole))
            return whole[:place] + whole[other : other + length] + whole[place:]


def used(run: Run, also_train: bool) -> str:
    """Look at a run in every way there is. What opening it is refused with."""
    summaries = list_runs(run.path.parent)
    assert json.dumps([summary.to_json() for summary in summaries], allow_nan=False)
    assert all("\n" not in summary.problem + summary.remark for summary in summaries)
    assert all(isinstance(event, Event) for event in read_journal(run.journal_path))
    assert all(isinstance(line, dict) for line in last_lines(run.journal_path)[0])
    writes = said(lambda: load_model(run))
    opens = said(lambda: train_a_little(run) if also_train else Session.open(run).close())
    # What can be opened can write, too; the other way round it is not so.
    assert bool(opens) or not writes, (opens, writes)
    return opens


@pytest.mark.parametrize("name", FILES)
def test_a_mutated_file(run: Run, tmp_path: Path, trials: int, name: str) -> None:
    # The text is nowhere else: what is damaged here is not had from there.
    (tmp_path / "nonsense.txt").unlink()
    template = tmp_path / "template"
    shutil.copytree(run.path, template)
    whole = (template / name).read_bytes()
    draw, refused = random.Random(f"{name} {datetime.date.today()}"), 0
    for number in range(MUTATIONS * trials):
        damaged = mutated(whole, draw)
        (run.path / name).write_bytes(damaged)
        try:
            refusal = used(run, also_train=number % 10 == 0)
        except BaseException:
            (tmp_path / "culprit").write_bytes(damaged)
            print(f"the file that did it: {tmp_path / 'culprit'}")
            raise
        if refusal:
            refused += 1
            assert str(run.path) in refusal and (name in refusal or name == "run.json"), refusal
        for file in template.iterdir():
            shutil.copyfile(file, run.path / file.name)
    if name == "run.json":  # most vocabularies are made again from the text
        assert refused
