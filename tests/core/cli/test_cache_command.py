"""``python -m core cache``: what is kept of large texts, and its removal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.corpus.reader import load_corpus
from core.corpus.token_store import TokenStore, default_store
from tests.core.cli.commands import Printed, refused


def test_the_cache_is_listed_and_cleared(
    run: Callable[..., Printed], text_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("RNN_PLAYGROUND_CACHE_GB", "2")
    assert run("cache").out == f"{default_store().folder} holds 0 texts, 0 B of 2.0 GB (RNN_PLAYGROUND_CACHE_GB)\n"
    path = text_path.rename(tmp_path / "文本\x1b[31m.txt")
    load_corpus(str(path), store=TokenStore(default_store().folder, 1 << 30, 1, lambda: time.time_ns() + 10**10))
    listed = run("cache").out
    assert "holds 1 text, " in listed and "文本" in listed and "801 tokens" in listed and "\x1b" not in listed
    told = json.loads(run("cache", "--json").out)
    assert (told["bound"], [text["tokens"] for text in told["texts"]]) == (2 * 10**9, [801])
    assert json.loads(run("cache", "clear", "--json").out) == {"freed": told["bytes"]}
    assert run("cache", "clear").out == "freed 0 B\n" and not list(default_store().folder.iterdir())
    monkeypatch.setenv("RNN_PLAYGROUND_CACHE_GB", "plenty")
    refused(run("cache"), "RNN_PLAYGROUND_CACHE_GB must be a number of gigabytes, 0 keeps nothing, got 'plenty'")
