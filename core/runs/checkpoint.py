"""Checkpoints: tensors in a safetensors file that is whole or absent.

A checkpoint is serialised to bytes and replaces the old one by ``write_whole``. (``save_file`` of safetensors writes in
place: a crash in the middle of it would leave neither the old checkpoint nor the new one.) Tensors and JSON only:
reading a checkpoint runs no code. The header contains a sha256 of all of it: a bit that flips on the disk is noticed
when the checkpoint is read. (Reading it back at once would only read the system's cache.)
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from core.files import open_to_read
from core.runs.atomic_write import write_whole
from core.runs.checkpoint_header import DAMAGE, FORMAT, Opened, checked_header, damaged, unreadable
from core.runs.held_folder import HeldFolder

_DAMAGE = (safetensors.SafetensorError, *DAMAGE)


def write_checkpoint(
    folder: HeldFolder, name: str, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]
) -> None:
    """Save ``tensors`` (on any device) and JSON-able ``facts``. Raises OSError; the old one is then untouched."""
    on_cpu = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    places: set[int] = set()
    for key, tensor in on_cpu.items():
        place = tensor.untyped_storage().data_ptr()
        if place in places:  # tied weights: safetensors requires separate memory for each tensor
            on_cpu[key] = tensor.clone()
        places.add(place)
    words = json.dumps(facts)
    metadata = {"format": str(FORMAT), "facts": words, "sha256": _digest(on_cpu, words)}
    write_whole(folder, name, safetensors.torch.save(on_cpu, metadata))


def read_checkpoint(path: Path, opened: Opened = open_to_read) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and facts of a checkpoint. Raises RunError with a sentence that names the file.

    ``opened`` opens it; ``HeldFolder.open_to_read`` opens the file in that folder, wherever the path leads now. Memory:
    twice the file, or only its header if that does not match the file.
    """
    try:
        with opened(path) as file:
            header = checked_header(file)
            facts = _facts(header.facts)
            file.seek(0)
            tensors = safetensors.torch.load(file.read())
        if _digest(tensors, header.facts) != header.sha256:
            raise ValueError("its sha256 does not match")
    except OSError as error:
        raise unreadable(path, error) from None
    except _DAMAGE as error:
        raise damaged(path, error) from None
    return tensors, facts


def _facts(words: str) -> dict[str, Any]:
    """The trainer's facts. Raises ValueError if they are not an object, or a number is out of range."""
    facts = json.loads(words)
    if not isinstance(facts, dict):
        raise ValueError("its facts are not an object")
    for name, value in facts.items():
        for number in value if isinstance(value, list) else [value]:
            # A perplexity may be as large as a float can be; a count may not.
            is_too_large = isinstance(number, int) and abs(number) >= 2**63
            if is_too_large or (isinstance(number, float) and not math.isfinite(number)):
                raise ValueError(f"its fact {name[:50]!r} is out of range")
    return facts


def _digest(tensors: Mapping[str, torch.Tensor], facts: str) -> str:
    """The sha256 of facts, names, types, shapes and numbers, in hexadecimal."""
    digest = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
