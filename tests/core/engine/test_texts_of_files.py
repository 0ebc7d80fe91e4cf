"""A run on a folder of texts: what run.json says of it, and resuming with and without the folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.corpus.reader import load_corpus
from core.engine.session import Session
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, train_to_end

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(text_path: Path, tmp_path: Path) -> Path:
    """A folder of three files, one of them in another folder; together the text of the tests."""
    place = tmp_path / "texts"
    (place / "sub").mkdir(parents=True)
    words = text_path.read_text("utf-8")
    for name, part in (("a.txt", words[:300]), ("b.txt", words[300:500]), ("sub/c.txt", words[500:])):
        (place / name).write_text(part, "utf-8")
    return place


def trained(config: RunConfig, saves: Path, epochs: int) -> Session:
    session = Session.create(config.replace(num_epochs=epochs), saves)
    list(train_to_end(session))
    session.close()
    return session


def resumed(session: Session, epochs: int) -> list[object]:
    again = Session.open(session.run)
    assert again.trainer is not None, again.no_training
    again.set("num_epochs", epochs)
    list(train_to_end(again))
    again.close()
    return list(curve(session.run))


def test_each_file_is_in_run_json_and_the_copy_is_the_whole_text(
    tiny: Callable[..., RunConfig], folder: Path, saves: Path
) -> None:
    config = tiny(corpus=str(folder))
    whole = trained(config, saves / "whole", 3)
    session = trained(config, saves, 1)
    corpus = session.run.metadata().corpus
    assert [file.name for file in corpus.files] == ["a.txt", "b.txt", "sub/c.txt"]
    for file in corpus.files:
        assert file.sha256 == hashlib.sha256((folder / file.name).read_bytes()).hexdigest()
    copy = load_corpus(str(session.run.corpus_path))
    assert (copy.sha256, copy.bytes, len(copy)) == (corpus.sha256, corpus.bytes, corpus.tokens)
    shutil.rmtree(folder)
    assert resumed(session, 3) == curve(whole.run)


def test_files_in_several_encodings_are_read_again_where_they_are(
    tiny: Callable[..., RunConfig], folder: Path, saves: Path
) -> None:
    path = folder / "b.txt"
    path.write_bytes(("你骑着那辆旧单车，" + path.read_text("utf-8")).encode("gb18030"))
    config = tiny(corpus=str(folder))
    whole = trained(config, saves / "whole", 3)
    session = trained(config, saves, 1)
    assert not session.run.corpus_path.exists()
    (folder / "z.txt").write_text("added later")
    assert resumed(session, 3) == curve(whole.run)
    path.write_bytes(path.read_bytes()[::-1])
    assert "is not the text that the run began with" in Session.open(session.run).no_training
