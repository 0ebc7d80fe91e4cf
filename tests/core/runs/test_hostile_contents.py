"""Files of a run that somebody wrote to do harm: crafted headers, facts, settings, vocabularies and lines.

What comes out is a sentence that names the file, or a run that works.
"""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.loading import load_model
from core.engine.session import Session
from core.errors import RunError
from core.events import EpochFinished, event_from_json
from core.runs.checkpoint import read_checkpoint
from core.runs.checkpoint_header import read_header
from core.runs.journal import JournalReader, parsed_line
from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import run_summary
from tests.core.outcomes import save_checkpoint
from tests.core.runs.damage import META, crafted, entry, notes, rewritten, said, train_a_little
from tests.run_folders import epochs, journal_at, read_journal

Tensors = dict[str, torch.Tensor]


# --- checkpoints with a right sha256 and wrong contents --------------------------------------------------------------


def without(name: str) -> Callable[[Tensors], None]:
    def do(tensors: Tensors) -> None:
        del tensors[name]

    return do


def changed(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], None]:
    def do(tensors: Tensors) -> None:
        tensors[name] = change(tensors[name])

    return do


WEIGHT = "model.W_hh"
TENSORS: dict[str, Callable[[Tensors], Any]] = {
    "none": lambda tensors: tensors.clear(),
    "no weight": without(WEIGHT),
    "no generator": without("generator.cpu"),
    "no losses": without("losses"),
    "another shape": changed(WEIGHT, lambda weight: weight.reshape(4, 16)),
    "longer": changed(WEIGHT, lambda weight: torch.cat([weight, weight])),
    "empty": changed(WEIGHT, lambda weight: weight[:0]),
    "a scalar": changed(WEIGHT, lambda weight: weight[0, 0]),
    "doubles": changed(WEIGHT, lambda weight: weight.double()),
    "whole numbers": changed(WEIGHT, lambda weight: weight.to(torch.int64)),
    "truth values": changed(WEIGHT, lambda weight: weight > 0),
    "not a number": changed(WEIGHT, lambda weight: weight.fill_(math.nan)),
    "infinite": changed(WEIGHT, lambda weight: weight.fill_(-math.inf)),
    "not the state of a generator": changed("generator.cpu", lambda state: torch.full_like(state, 255)),
    "a short generator": changed("generator.cpu", lambda state: state[:7]),
    "many more": lambda tensors: tensors.update({f"../../{number}": torch.ones(1) for number in range(2000)}),
}


@pytest.mark.parametrize("has_best", [True, False], ids=["best", "alone"])
@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS)
def test_wrong_tensors(run: Run, change: Callable[[Tensors], None], has_best: bool) -> None:
    tensors, facts = read_checkpoint(run.latest_path)
    change(tensors)
    save_checkpoint(run.latest_path, tensors, facts)
    if not has_best:
        run.best_path.unlink()
    before = sorted(run.path.parent.rglob("*"))
    refused = said(lambda: train_a_little(run))
    if has_best:
        assert not refused
        assert "../../1" in tensors or str(run.latest_path) in notes(run)[0]
    else:
        assert ("../../1" in tensors) is not bool(refused) and (not refused or str(run.latest_path) in refused)
    said(lambda: load_model(run))
    assert sorted(run.path.parent.rglob("*")) == before, "nothing is written elsewhere"


FACTS: dict[str, Any] = {
    "epoch": (-1, 2**62, 2**64, 10**400, "x", None, [], True, 1.5, math.nan),
    "batch": (-1, 10**6, 2**62, "x", None, math.inf),
    "step": (-5, 2**62, None, "\0"),
    "num_epochs": (0, -1, 2**62, 10**30, None),
    "seconds": (-1, 1e308, math.nan, "x", None),
    "learning_rate": (0, -1, 1e308, math.inf, math.nan, "x", None),
    "best_validation": (-1, "x", [], {}, 1e308),
    "epochs_since_best": (-1, 2**62, "x"),
    "plateau": ([], [1], [1, 2, 3, 4], "abc", None, [None, 0, math.nan], [None, 0, 0], [None, -(2**62), 1e300]),
}


@pytest.mark.parametrize("name", FACTS)
def test_wrong_facts(run: Run, name: str) -> None:
    run.best_path.unlink()
    tensors, facts = read_checkpoint(run.latest_path)
    whole = {file.name: file.read_bytes() for file in run.path.iterdir()}
    for value in FACTS[name]:
        save_checkpoint(run.latest_path, tensors, {**facts, name: value})
        words = said(lambda: train_a_little(run))
        assert not words or str(run.latest_path) in words or "epochs are done" in words, (value, words)
        for file, data in whole.items():
            (run.path / file).write_bytes(data)
    save_checkpoint(run.latest_path, tensors, {key: value for key, value in facts.items() if key != name})
    assert str(run.latest_path) in said(lambda: Session.open(run))


# --- headers ---------------------------------------------------------------------------------------------------------


HEADERS: dict[str, bytes] = {
    "huge": struct.pack("<Q", 2**64 - 1) + b"{}" * 100,
    "as long as the file": struct.pack("<Q", 200) + b"{}" * 100,
    "overlapping": crafted({"__metadata__": META, "a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "twice the same": crafted({"__metadata__": META, "a": entry(0, 8), "b": entry(0, 8)}, bytes(8)),
    "a gap": crafted({"__metadata__": META, "a": entry(0, 8), "b": entry(16, 24)}, bytes(24)),
    "out of the file": crafted({"__metadata__": META, "a": entry(0, 8)}, bytes(4)),
    "far out of the file": crafted({"__metadata__": META, "a": entry(0, 2**63, [2**61])}, bytes(8)),
    "backwards": crafted({"__metadata__": META, "a": entry(8, 0)}, bytes(8)),
    "more than it tells": crafted({"__metadata__": META, "a": entry(0, 8)}, bytes(9)),
    "negative": crafted({"__metadata__": META, "a": entry(-8, 0, [-2])}, bytes(8)),
    "wrong shape": crafted({"__metadata__": META, "a": entry(0, 8, [3])}, bytes(8)),
    "overflowing shape": crafted({"__metadata__": META, "a": entry(0, 8, [2**33, 2**33])}, bytes(8)),
    "a shape of zeros": crafted({"__metadata__": META, "a": entry(0, 0, [0, 2**62])}),
    "many dimensions": crafted({"__metadata__": META, "a": entry(0, 4, [1] * 10_000)}, bytes(4)),
    "no whole dimension": crafted({"__metadata__": META, "a": entry(0, 8, [2.0])}, bytes(8)),
    "truth as dimension": crafted({"__metadata__": META, "a": entry(0, 4, [True])}, bytes(4)),
    "no shape": crafted({"__metadata__": META, "a": entry(0, 8, "22")}, bytes(8)),
    "unknown type": crafted({"__metadata__": META, "a": entry(0, 8, dtype="C64")}, bytes(8)),
    "no type": crafted({"__metadata__": META, "a": entry(0, 8, dtype=["F32"])}, bytes(8)),
    "no places": crafted({"__metadata__": META, "a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    "no tensor": crafted({"__metadata__": META, "a": None}),
    "a name out of the folder": crafted({"__metadata__": META, "../../../a": entry(0, 8)}, bytes(8)),
    "a name with a zero byte": crafted({"__metadata__": META, "a\0b": entry(0, 8)}, bytes(8)),
    "half a character": crafted({"__metadata__": META, "a\ud800": entry(0, 8)}, bytes(8)),
    "the same name twice": crafted(
        b'{"__metadata__":'
        + json.dumps(META).encode()
        + b',"a":1,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        bytes(8),
    ),
    "facts that are no text": crafted({"__metadata__": {**META, "facts": {"epoch": 1}}}),
    "deep facts": crafted({"__metadata__": {**META, "facts": '{"a":' * 50_000}}),
    "deep": crafted(b'{"a":' * 40_000),
    "huge whole number": crafted(b'{"__metadata__":' + b"9" * 200_000 + b"}"),
    "longer than any": crafted({"__metadata__": META, "x" * (2 << 20): entry(0, 8)}, bytes(8)),
}


@pytest.mark.parametrize("data", HEADERS.values(), ids=HEADERS)
def test_crafted_headers(run: Run, data: bytes) -> None:
    run.latest_path.write_bytes(data)
    assert str(run.latest_path) in said(lambda: read_checkpoint(run.latest_path))
    said(lambda: read_header(run.latest_path))
    assert not said(lambda: load_model(run)), "the best checkpoint is still there"
    assert not said(lambda: train_a_little(run))
    assert str(run.latest_path) in notes(run)[0] and "continues from its best checkpoint, epoch 1" in notes(run)[0]


def test_a_missing_sha_is_no_sha(tmp_path: Path) -> None:
    path = tmp_path / "latest.safetensors"
    save_checkpoint(path, {"a": torch.ones(2)}, {})
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    del header["__metadata__"]["sha256"]
    path.write_bytes(crafted(header, data[8 + length :]))
    with pytest.raises(RunError, match="is no whole checkpoint"):
        read_checkpoint(path)


# --- run.json, vocabulary.json ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("config", "num_hiddens"), 16_384),
        (("config", "num_layers"), 8),
        (("config", "embedding_size"), 16_384),
        (("config", "batch_size"), 65_536),
        (("config", "num_steps"), 10_000),
        (("config", "cell"), "lstm"),
        (("config", "corpus"), "../../../../etc/passwd"),
        (("config", "corpus"), "/dev/zero"),
        (("config", "corpus"), "a\0b"),
        (("config", "device"), "cuda:99999999999999999999"),
        (("config", "seed"), 10**4000),
        (("config", "threads"), -1),
        (("config", "a" * 10**6), 1),
        (("format",), 10**4000),
        (("format",), "x" * 10**6),
        (("corpus", "tokens"), -1),
        (("corpus", "vocabulary"), 10**4000),
        (("corpus", "path"), "/dev/zero"),
        (("corpus", "path"), "a\0b"),
        (("corpus", "path"), "x" * 10**6),
        (("corpus", "name"), ["x"]),
        (("corpus", "sha256"), None),
        (("parameters",), 10**4000),
        (("parameters",), True),
        (("created",), {"a": 1}),
        (("versions",), {"torch": ["x"] * 1000}),
        (("versions",), "text"),
    ],
    ids=range(27),
)
def test_crafted_facts(run: Run, path: tuple[str, ...], to: Any) -> None:
    rewritten(run, *path, to=to)
    (summary,) = list_runs(run.path.parent)
    assert len(json.dumps(summary.to_json())) < 5000
    if summary.problem:
        assert str(run.metadata_path) in summary.problem
        assert summary.problem.endswith("; its curve is still there, up to epoch 1") and summary.perplexity
    words = said(lambda: train_a_little(run))
    assert bool(words) or not summary.problem
    said(lambda: load_model(run))


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 10**6, b'{"a":' * 10**5, b'{"a":' + b"[" * 10**6, b"{" + b'"a":1,' * 10**5 + b'"a":1}',
        b'{"format":1,"kind":"char","tokens":' + b"9" * 10**6 + b"}",
        b'{"format":1,"kind":"char","reserved":0,"tokens":["<unk>","a"],"frequencies":[0,1' + b"0" * 4000 + b"]}",
        b'{"format":1,"kind":"char","reserved":' + b"9" * 4000 + b',"tokens":["<unk>"],"frequencies":[0]}',
        b'{"format":1,"kind":"word","reserved":0,"tokens":["<unk>","' + b"x" * 10**6 + b'"],"frequencies":[0,1]}',
        b'{"tokens":[' + b"[]," * 10**5 + b"[]]}", b'{"' + b'\\"' * 10**6,
        b'{"a":"' + b'\\"' * 10**5 + b"[" * 10**5 + b'"}',
    ],
    ids=range(11),
)  # fmt: skip
def test_crafted_vocabularies(run: Run, text_path: Path, data: bytes) -> None:
    whole = run.vocabulary_path.read_bytes()
    run.vocabulary_path.write_bytes(data)
    assert not said(lambda: load_model(run)), "the text has all of it"
    assert not said(lambda: Session.open(run).close())
    assert run.vocabulary_path.read_bytes() == whole and "it was made again from the text" in notes(run)[0]
    run.vocabulary_path.write_bytes(data)
    run.corpus_path.unlink()
    text_path.unlink()
    for act in (load_model, Session.open):
        words = said(lambda act=act: act(run))  # type: ignore[misc]
        assert str(run.vocabulary_path) in words


# --- the journal -----------------------------------------------------------------------------------------------------


def test_a_journal_of_nothing_but_resumes_is_read_in_time(run: Run) -> None:
    lines = [b'{"event": "epoch", "epoch": 1, "perplexity": 2.0}\n'] * 50_000
    lines += [b'{"event": "resumed", "epoch": 5, "batch": 0}\n'] * 50_000
    run.journal_path.write_bytes(b"".join(lines))
    assert run_summary(run).epoch == 1
    assert len(read_journal(run.journal_path)) == 50_000


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "epoch", "epoch": 007, "step": 1}', b'{"event": "resumed", "epoch": -1, "batch": 0}',
        b'{"event": "resumed", "epoch": 1' + b"0" * 4000 + b', "batch": 0}', b"[" * 10**6,
        b'{"a":' * 10**6, b"9" * 10**6,
        b'{"event": "sample", "epoch": 1, "prefix": "\\u001b]0;x\\u0007", "text": "\\ud800"}', b"\0" * 10**6,
    ],
    ids=range(8),
)  # fmt: skip
def test_crafted_journals(run: Run, line: bytes) -> None:
    with run.journal_path.open("ab") as file:
        file.write(line + b"\n" + line)
    assert run_summary(run).epoch in (0, 1) and len(epochs(read_journal(run.journal_path))) in (0, 1)
    assert not said(lambda: train_a_little(run))


def test_what_is_read_quickly_is_read_rightly(tmp_path: Path, trials: int) -> None:
    """An epoch's line is read without JSON where it is written as ours are: with the same event for any damage."""
    path, draw = tmp_path / "metrics.jsonl", random.Random(1)
    numbers = (
        "0",
        "-0.0",
        "1e999",
        "-1e-999",
        "007",
        "1.",
        ".5",
        "1E5",
        "null",
        "NaN",
        "1" * 400,
        "9" * 30,
        "٣",
        "true",
    )
    with journal_at(path) as journal:
        for number in range(1, 10):
            held_out = 2.5 if number % 2 else None
            journal.append(EpochFinished(number, number, 1 / 3, held_out, 1e-7, math.nan, 100.0, 69e3, 0.1))
    lines = path.read_bytes().splitlines()
    for _ in range(1000 * trials):
        line = draw.choice(lines)
        if draw.random() < 0.7:
            fields = line.split(b", ")
            at = draw.randrange(len(fields))
            fields[at] = fields[at].split(b": ")[0] + b": " + draw.choice(numbers).encode()
            line = b", ".join(fields) + (b"}" if at == len(fields) - 1 else b"")
        else:
            at = draw.randrange(len(line))
            other = draw.choice([byte for byte in range(256) if byte != 10])
            line = line[:at] + bytes([other]) + line[at + draw.randrange(2) :]
        path.write_bytes(line + b"\n")
        value = parsed_line(line)
        wanted = event_from_json(value) if value is not None else None
        found = [event for event, _ in JournalReader(path).poll()]
        assert repr(found) == repr([] if wanted is None else [wanted]), line
