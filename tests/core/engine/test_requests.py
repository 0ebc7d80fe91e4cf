"""Wrong requests: every wrong type for every field of every request is refused in a sentence, and harms nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.engine.requests import REQUESTS, Generate, Save, Step, Train, read_request
from core.engine.session import Session
from core.errors import UserError
from core.generation.options import OPTIONS
from core.settings.laboratory_config import settings as lab_settings
from core.settings.run_config import RunConfig
from core.settings.run_config import settings as run_settings

Tiny = Callable[..., RunConfig]
DEEP = json.loads("[" * 900 + "]" * 900)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 7, 10**4000, 0.5, 1e308, float("inf"), "", "x", "a\0b", "\ud800", "\udc80", "../x",
    "x" * 20_000, [], ["x"], [[1]], DEEP, {}, {"a": 1}, {"self": 1}, {"cls": [1]}, {"num_hiddens": []},
    {"corpus": DEEP}, {"tau": {}},
)  # fmt: skip


def wrong_messages(saves: str) -> Iterator[dict[str, Any]]:
    """Each request with each field at each value, the others right; and with a field that it does not have."""
    right: dict[str, dict[str, Any]] = {
        "open": {"run": f"{saves}/one"}, "create": {"config": {}, "saves": saves},
        "set": {"name": "learning_rate", "value": 1}, "lab": {"settings": {"num_epochs": 1}},
    }  # fmt: skip
    for name, kind in REQUESTS.items():
        if name == "quit":
            continue
        fields = OPTIONS if kind is Generate else [item.name for item in dataclasses.fields(kind)]
        base = {"request": name, **right.get(name, {})}
        for field in (*fields, "more"):
            for value in VALUES:
                is_right = name == "create" and field in ("name", "data") and value in ("x", None, "")
                if not is_right:  # this one would be made, and the engine would have a run
                    yield {**base, field: value}
    for name, known in (("create", run_settings()), ("lab", lab_settings())):
        where = "config" if name == "create" else "settings"
        for setting in known:
            for value in (None, [], {}, DEEP, "\ud800", 10**4000, float("inf")):
                yield {"request": name, **right[name], where: {"num_epochs": 1, setting.name: value}}


def test_a_wrong_request_is_one_sentence() -> None:
    refused = 0
    for message in wrong_messages("/nowhere"):
        try:
            read_request(message)
        except UserError as error:
            refused += 1
            words = str(error)
            assert 0 < len(words) < 600 and "\n" not in words, message
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error} for {str(message)[:200]}")
    assert refused > 1000
    assert read_request({"request": "train", "id": 5}) == Train()
    assert read_request({"request": "step", "count": None}) == Step(1)
    assert read_request({"request": "save", "name": "b\udc80"}) == Save("b\udc80"), "a name may hold any byte"


def test_an_engine_answers_every_wrong_request(
    forked: Callable[..., Any], tiny: Tiny, saves: Path, tmp_path: Path
) -> None:
    """Without a run and with one; nothing of it ends as a failure of the engine, or in its log."""
    Session.create(tiny(num_epochs=1), saves, "one").close()
    for session in (None, lambda: Session.create(tiny(num_epochs=1), saves, "two")):
        engine = forked(session)
        for message in wrong_messages(str(saves)):
            if message["request"] in ("generate", "lab", "step", "train"):
                continue  # which are right now and then, and take their time
            fields = {key: value for key, value in message.items() if key != "request"}
            if any(value == float("inf") for value in fields.values()):
                continue  # which is no JSON
            answer = engine.talk.ask(message["request"], **_finite(fields))
            assert answer["event"] == "done" or answer.get("mendable"), (str(message)[:200], answer)
        assert engine.talk.ask("hello")["event"] == "done"
    logs = [path.read_text() for path in (*tmp_path.glob("*.log"), *saves.glob("*/engine.log"))]
    assert not any("Traceback" in log for log in logs), logs


def _finite(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return 1e308 if value == float("inf") else value
