"""Checkpoints: whole or absent, and no file that is none gets further than a sentence."""

from __future__ import annotations

import errno
import json
import os
import random
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RunError
from core.runs.atomic_write import remove_leftovers, write_whole
from core.runs.checkpoint import read_checkpoint
from core.runs.held_folder import Disk, HeldFolder
from tests.core.outcomes import save_checkpoint

TENSORS = {
    "model.W_xh": torch.arange(12.0).reshape(3, 4),
    "turned": torch.arange(12.0).reshape(3, 4).t(),
    "step": torch.tensor(7.0),
    "generator.cpu": torch.get_rng_state(),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "nothing": torch.zeros(0, 2),
}
FACTS: dict[str, Any] = {"epoch": 3, "name": "分开", "best": None, "list": [1.5, 2]}


@pytest.fixture
def path(saves: Path) -> Path:
    saves.mkdir()
    return saves / "latest.safetensors"


def files(path: Path) -> list[str]:
    """What is beside ``path``, and itself; but for the lock, which stays."""
    return sorted(entry.name for entry in path.parent.iterdir() if entry.name != "engine.lock")


def assert_same(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


def test_what_is_saved_is_read(path: Path) -> None:
    save_checkpoint(path, TENSORS, FACTS)
    tensors, facts = read_checkpoint(path)
    assert_same(tensors, TENSORS)
    assert facts == FACTS
    assert files(path) == [path.name]
    assert path.stat().st_mode & 0o022 == 0
    assert set(safetensors.torch.load_file(path)) == set(TENSORS), "any program that knows safetensors can read it"


def test_tied_weights_are_saved_under_both_names(path: Path) -> None:
    weight = torch.randn(3, 4)
    save_checkpoint(path, {"embedding": weight, "output": weight, "part": weight[1:]}, {})
    assert_same(read_checkpoint(path)[0], {"embedding": weight, "output": weight, "part": weight[1:]})


class Broken(Disk):
    """Fails at one step of a save."""

    def __init__(self, step: str, error: Callable[[], BaseException]) -> None:
        self.step, self.error = step, error

    def _fail(self, step: str) -> None:
        if step == self.step:
            raise self.error()

    def write(self, file: BinaryIO, data: bytes) -> None:
        super().write(file, data[: len(data) // 2])
        self._fail("write")
        super().write(file, data[len(data) // 2 :])

    def flush(self, file: BinaryIO) -> None:
        self._fail("flush")
        super().flush(file)

    def fsync(self, file: BinaryIO) -> None:
        self._fail("fsync")
        super().fsync(file)

    def rename(self, folder: HeldFolder, source: str, target: str) -> None:
        self._fail("rename")
        super().rename(folder, source, target)


STEPS = ("write", "flush", "fsync", "rename")


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("step", STEPS)
def test_a_save_that_fails_harms_nothing(path: Path, step: str, error: BaseException, exists: bool) -> None:
    if exists:
        save_checkpoint(path, TENSORS, FACTS)
    before = path.read_bytes() if exists else None
    with pytest.raises((OSError, KeyboardInterrupt)):
        save_checkpoint(path, {"other": torch.ones(5)}, {}, Broken(step, lambda: error))
    assert (path.read_bytes() if path.exists() else None) == before
    assert files(path) == ([path.name] if exists else [])


def test_what_a_killed_save_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".latest.safetensors.123.tmp").write_bytes(b"half")
    (tmp_path / "corpus.txt").write_bytes(b"text")
    with HeldFolder(tmp_path) as folder:
        remove_leftovers(folder)
    assert files(tmp_path / "corpus.txt") == ["corpus.txt"]


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(RunError) as caught:
        read_checkpoint(path)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence and len(sentence) < len(str(path)) + 400
    return sentence


def test_every_cut_is_noticed(path: Path) -> None:
    save_checkpoint(path, TENSORS, FACTS)
    whole = path.read_bytes()
    for length in {*range(0, 1200), *range(1200, len(whole), 97), len(whole) - 1}:
        assert "was cut" in refused(path, whole[:length])
    refused(path, whole + b"\0")


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    save_checkpoint(path, TENSORS, FACTS)
    whole = path.read_bytes()
    draw = random.Random(1)
    for place in {*range(0, 1200), *(draw.randrange(len(whole)) for _ in range(800))}:
        data = bytearray(whole)
        data[place] ^= 1 << draw.randrange(8)
        refused(path, bytes(data))


def crafted(header: Any, body: bytes = b"") -> bytes:
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(words)) + words + body


META = {"format": "1", "facts": "{}", "sha256": "0" * 64}
FLOATS = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a checkpoint at all, just some text",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        crafted({}),
        crafted([]),
        crafted(b"\xff\xff"),
        crafted(b"[" * 200_000),
        crafted(b'{"__metadata__":' + b'{"a":' * 50_000),
        crafted({"__metadata__": None}),
        crafted({"__metadata__": {**META, "format": "2"}}),
        crafted({"__metadata__": {**META, "facts": "[1]"}}),
        crafted({"__metadata__": {**META, "facts": "[" * 100_000}}),
        crafted({"__metadata__": META}),
        crafted({"__metadata__": META, "a": FLOATS}, b"1234"),
        crafted({"__metadata__": META, "a": {**FLOATS, "shape": [2**40, 2**40]}}, b"12345678"),
        crafted({"__metadata__": META, "a": {**FLOATS, "shape": [-1]}}, b"12345678"),
        crafted({"__metadata__": META, "a": {**FLOATS, "dtype": "F99"}}, b"12345678"),
        crafted({"__metadata__": META, "a": {**FLOATS, "dtype": "F4"}}, b"12345678"),
        crafted({"__metadata__": META, "a": FLOATS, "b": FLOATS}, b"12345678"),
        crafted({"__metadata__": META, "a": {**FLOATS, "data_offsets": [0, 2**62]}}, b"12345678"),
        crafted({"__metadata__": META, "../../a": FLOATS}, b"12345678"),
    ],
    ids=range(22),
)
def test_a_crafted_file_gets_a_sentence(path: Path, data: bytes) -> None:
    began = time.process_time()
    refused(path, data)
    assert time.process_time() - began < 2


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=200)
def test_any_bytes_get_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes, framed: bool) -> None:
    refused(tmp_path_factory.getbasetemp() / "any.safetensors", crafted(data) if framed else data)


def test_a_missing_file_and_a_folder_get_a_sentence(path: Path) -> None:
    with pytest.raises(RunError, match=r"\.safetensors is missing$"):
        read_checkpoint(path)
    path.mkdir()
    with pytest.raises(RunError, match="cannot be read: Is a directory"):
        read_checkpoint(path)


def test_the_file_is_synced_before_it_takes_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Told(Disk):
        def fsync(self, file: BinaryIO) -> None:
            assert os.fstat(file.fileno()).st_size == 4
            calls.append("fsync")

        def rename(self, folder: HeldFolder, source: str, target: str) -> None:
            calls.append("rename")
            super().rename(folder, source, target)

        def sync_folder(self, folder: HeldFolder) -> None:
            calls.append("sync_folder")
            super().sync_folder(folder)

    with HeldFolder(path.parent) as folder:
        folder.disk = Told()
        write_whole(folder, path.name, b"data")
    assert calls == ["fsync", "rename", "sync_folder"]
