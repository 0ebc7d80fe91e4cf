"""The user's own presets: whole or absent, read back as they were saved; what is no preset is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.errors import ConfigError, UserError
from core.settings.own_presets import (
    check_preset_name,
    delete_preset,
    own_presets,
    preset_named,
    presets_folder,
    save_preset,
)
from core.settings.run_config import RunConfig

CONFIG = RunConfig(num_hiddens=48, learning_rate=0.3, sample_prefix="春\udcff")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return presets_folder()


def test_saved_replaced_deleted(folder: Path) -> None:
    assert own_presets() == ({}, [])
    saved = save_preset("mine", "  a small\n one ", CONFIG)
    assert (
        saved.own
        and saved.title == "a small one"
        and preset_named("mine") == saved
        and own_presets() == ({"mine": saved}, [])
    )
    other = save_preset("mine", "", CONFIG.replace(cell="gru"))
    assert preset_named("mine") == other and other.title == "gru on lyrics-zh"
    assert os.listdir(folder) == ["mine.json"], "no temporary file is left"
    delete_preset("mine")
    assert own_presets() == ({}, [])
    with pytest.raises(ConfigError, match="there is no preset 'mine' of your own"):
        delete_preset("mine")


def test_names(folder: Path) -> None:
    for name in ("a", "mine-2.b", "我的", "x" * 60):
        assert check_preset_name(name) == name
    for name in ("", ".a", "-a", "a/b", "a b", "x" * 61, "a\x1b", "..", "lyrics-512", "我" * 60 + "é"):
        for refused in (lambda name=name: save_preset(name, "", CONFIG), lambda name=name: delete_preset(name)):
            with pytest.raises(ConfigError):
                refused()
    assert not folder.exists()


def test_a_failed_save_leaves_the_one_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = save_preset("mine", "one", CONFIG)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, fails)
            with pytest.raises(UserError, match="No space left"):
                save_preset("mine", "two", CONFIG.replace(cell="gru"))
        assert preset_named("mine") == before and os.listdir(folder) == ["mine.json"], step


def test_what_is_no_preset_is_named_and_the_others_are_read(folder: Path) -> None:
    good = save_preset("good", "", CONFIG)
    config = CONFIG.to_dict() | {"sample_prefix": ""}
    wrong = {
        "a.json": b"{", "b.json": b"[]", "c.json": b"\xff", "d.json": b'{"config": 3}', "e.json": b"[" * 50_000,
        "f.json": b" " * 70_000, "lyrics-512.json": json.dumps({"config": config}).encode(),
        "g.json": json.dumps({"config": {**config, "num_hidden": 3}}).encode(),
        "h.json": json.dumps({"config": {**config, "num_hiddens": "x"}}).encode(),
    }  # fmt: skip
    for name, data in wrong.items():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "pipe.json")
    (folder / "note.txt").write_text("no preset")
    presets, problems = own_presets()
    assert presets == {"good": good}
    assert len(problems) == len(wrong) + 1
    for name in (*wrong, "pipe.json"):
        assert any(str(folder / name) in problem for problem in problems), name
    with pytest.raises(ConfigError, match=r"choose one of .*, good; .*g\.json is not used: there is no setting"):
        preset_named("g")
