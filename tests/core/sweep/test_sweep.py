"""A sweep and its folder: names, what defines it, who works on it, and files that are damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import RunError, UserError
from core.runs.run import Run
from core.settings.run_config import RunConfig
from core.sweep.folder import DESCRIPTION, Outcome, SweepFolder, sweeps_in
from core.sweep.questions import QUESTIONS, question_named
from core.sweep.sweep import Sweep, new_sweep


def test_runs_are_named_after_their_values_where_these_are_short(swept: Callable[..., Sweep], tmp_path: Path) -> None:
    assert [run.name for run in swept("cell=rnn,gru", "learning_rate=0.1,10").runs()] == [
        "s-rnn-0.1", "s-rnn-10", "s-gru-0.1", "s-gru-10",
    ]  # fmt: skip
    assert [run.name for run in swept("sample_prefix=春天,a/b c").runs()] == ["s-春天", "s-b-c"]
    assert [run.name for run in swept("sample_prefix=a b,a-b").runs()] == ["s-01", "s-02"], "they would be the same"
    assert [run.name for run in swept(f"sample_prefix={'x' * 90},y").runs()] == ["s-01", "s-02"]
    paths = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "text.txt")
        paths[-1].write_text("abc" * 400)
    runs = swept(f"corpus={paths[0]},{paths[1]}").runs()
    assert [(run.name, run.config.corpus) for run in runs] == [("s-01", str(paths[0])), ("s-02", str(paths[1]))]


def test_what_cannot_be_a_sweep_is_refused_in_a_sentence(tiny: Callable[..., RunConfig]) -> None:
    grid = ("cell=rnn,gru",)
    for name, vary, more, words in (
        ("", grid, {}, "cannot be the name of a sweep"),
        ("a/b", grid, {}, "cannot be the name of a sweep"),
        ("a b", grid, {}, "cannot be a tag"),
        ("a" * 41, grid, {}, "may have 40 characters"),
        ("s", grid, {"trials": -1}, "--trials must be between 1 and 100,000"),
        ("s", grid, {"pruner": "best"}, "--pruner must be one of median, hyperband, none"),
        ("s", ("corpus=lyrics-zh,tale-en",), {"trials": 3}, "which corpus makes incomparable: vary it in a grid"),
        ("s", ("corpus=lyrics-zh,nowhere",), {}, "there is no text 'nowhere'"),
        ("s", ("documents=lines,stream", "normalise=none,spaces"), {}, "(with documents=lines, normalise=spaces)"),
    ):
        with pytest.raises(UserError) as refused:
            new_sweep(name, tiny(), vary, **more)  # type: ignore[arg-type]
        assert words in str(refused.value), (name, vary)


def test_a_relative_path_is_kept_as_an_absolute_one(
    tiny: Callable[..., RunConfig], text_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(text_path.parent)
    assert new_sweep("s", tiny(corpus=text_path.name), ("cell=rnn,gru",)).config.corpus == str(text_path)
    assert new_sweep("s", tiny(corpus="tale-en"), ("cell=rnn,gru",)).config.corpus == "tale-en"


def test_a_sweep_is_begun_once_and_found_again(swept: Callable[..., Sweep], saves: Path) -> None:
    folder, search = SweepFolder(saves, "s"), swept("learning_rate=0.1..1", trials=3)
    with pytest.raises(RunError, match="there is no sweep 's' in"):
        folder.read()
    assert folder.begin(search) == search == folder.read() and [found.name for found in sweeps_in(saves)] == ["s"]
    more = swept("learning_rate=0.1..1", trials=9, pruner="none")
    assert folder.begin(more) == more == folder.read(), "a search may be given more trials"
    folder.set_outcome("s-001", Outcome({"learning_rate": 0.5}))
    Run(saves / "s-001").path.mkdir()
    Run(saves / "s-001").journal_path.touch()
    with pytest.raises(RunError, match="there is already a sweep 's' with other settings"):
        folder.begin(swept("cell=rnn,gru"))
    shutil.rmtree(saves / "s-001")
    folder.begin(swept("cell=rnn,gru"))
    assert folder.read().is_grid and folder.run_names() == [], "all runs of the other one were deleted"


def test_a_name_that_a_run_of_another_origin_has_is_refused(swept: Callable[..., Sweep], saves: Path) -> None:
    for sweep, name in ((swept("cell=rnn,gru"), "s-gru"), (swept("clip=1..2", trials=2), "s-001")):
        (saves / name).mkdir(parents=True)
        folder = SweepFolder(saves, "s")
        with pytest.raises(RunError, match=f"there is already a run '{name}' in"):
            folder.begin(sweep)
        assert not folder.exists()
        (saves / name).rmdir()


def test_a_run_is_claimed_once_and_work_is_seen(swept: Callable[..., Sweep], saves: Path) -> None:
    folder = SweepFolder(saves, "s")
    folder.begin(swept())
    claim = folder.claim("s-rnn")
    assert claim is not None and folder.claim("s-rnn") is None and folder.claim("s-gru") is not None
    claim.close()
    assert folder.claim("s-rnn") is not None
    assert not folder.is_working()
    first, second = folder.work(), folder.work()
    first.close()
    assert folder.is_working(), "the second one still works"
    second.close()
    assert not folder.is_working() and not folder.is_asked_to_stop()
    folder.ask_to_stop()
    assert folder.is_asked_to_stop()
    folder.forget_stop()
    assert not folder.is_asked_to_stop()


def test_damaged_files_are_refused_in_a_sentence(swept: Callable[..., Sweep], saves: Path) -> None:
    folder = SweepFolder(saves, "s")
    folder.begin(swept())
    path = folder.path / DESCRIPTION
    whole = json.loads(path.read_text())
    for value in (
        {}, {**whole, "format": 2}, {**whole, "vary": ["cell=rnn,gri"]}, {**whole, "vary": 3}, {**whole, "name": "t"},
        {**whole, "config": {"cell": 3}}, {**whole, "trials": "many"},
    ):  # fmt: skip
        path.write_text(json.dumps(value))
        with pytest.raises(UserError) as refused:
            folder.read()
        assert "\n" not in str(refused.value)
    path.write_text("{")
    with pytest.raises(RunError, match="is cut or damaged"):
        folder.read()
    (folder.path / "s-rnn.json").write_text("[]")
    with pytest.raises(RunError, match="is foreign"):
        folder.outcome("s-rnn")


def test_every_question_is_a_grid_of_its_preset() -> None:
    from core.settings.presets import PRESETS

    for question in QUESTIONS.values():
        config = PRESETS[question.preset].config.replace(**question.changes)
        names = [run.name for run in new_sweep(question.name, config, question.vary).runs()]
        assert len(names) == len(set(names)) >= 2 and question.title
    assert names == ["backend-scratch", "backend-torch.nn"]
    with pytest.raises(UserError, match="there is no question 'why': choose one of sampling"):
        question_named("why")
