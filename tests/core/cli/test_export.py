"""``python -m core export``: every format from a run that was trained, and refusals."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.events import StateChanged
from core.runs.metrics import AXES, METRICS
from core.runs.run import Run
from tests.core.cli.commands import REPOSITORY, Printed, refused
from tests.core.export.journalled import epoch
from tests.core.export.readers import event_log, table_of
from tests.run_folders import journal_at

Export = Callable[..., Printed]

pytestmark = pytest.mark.usefixtures("as_it_was")


@pytest.fixture
def export(run: Callable[..., Printed], saves: Path) -> Export:
    return lambda *arguments: run("export", *arguments, "--saves", saves)


def test_every_format_is_written(export: Export, train: Callable[..., Printed], saves: Path, tmp_path: Path) -> None:
    """What is in the files is tested in tests/core/export."""
    assert train("--epochs=2", "--name=one", "--set=sample_every=1").code == 0
    for name, words in (
        ("one.csv", "2 rows of 1 run"), ("one.txt", "2 samples"), ("one.png", "1 curve"),
        ("one.svg", "1 curve"),
    ):  # fmt: skip
        printed = export("one", "--out", tmp_path / name)
        assert (printed.code, printed.err) == (0, "") and printed.out.startswith(f"{tmp_path / name}: {words}, "), name
        refused(export("one", "--out", tmp_path / name), "there is already a file", "--force")
        (line,) = export("one", "--out", tmp_path / name, "--force", "--json").json()
        assert line["event"] == "exported" and line["bytes"] == (tmp_path / name).stat().st_size
    assert list(table_of(tmp_path / "one.csv").epoch) == [1, 2]
    for name in ("one.safetensors", "one.onnx"):
        printed = export("one", "--out", tmp_path / name)
        assert (printed.code, printed.err) == (0, "") and (tmp_path / name).stat().st_size > 1000
        assert repr(str(tmp_path / name)) in printed.out
        compile(printed.out, name, "exec")
    for _ in range(2):
        printed = export("one", "--to=tensorboard", "--out", tmp_path / "logs", "--force")
        assert printed.code == 0 and printed.out.endswith(": 2 steps, 396 B\n"), printed
    refused(export("one", "--to=tensorboard", "--out", tmp_path / "logs"), "there is already a file")
    log = event_log(tmp_path / "logs" / "one")
    assert [event.value for event in log.Scalars("epoch")] == [1, 2]
    assert not [path for path in tmp_path.rglob("*.tmp")]


def test_a_table_or_a_picture_can_be_printed(export: Export, trained: Run) -> None:
    printed = export("one", "--to=csv", "--out=-")
    assert list(table_of(printed.out).run) == ["one"]
    assert export("one", "--to=svg", "--out=-").out.startswith("<?xml")
    refused(export("one", "--to=torch", "--out=-"), "torch is not printed: name a file with --out")
    refused(export("one", "--to=tensorboard", "--out=-"), "tensorboard is not printed: name a folder")


def test_other_programs_curves_are_drawn_beside_a_run(export: Export, trained: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("epoch,ppl\n1,20\n2,10\n")
    svg = export("one", other, "--to=svg", "--out=-").out
    assert "<!-- one -->" in svg and "<!-- other -->" in svg
    for form in ("csv", "text", "torch", "tensorboard"):
        printed = export("one", other, f"--to={form}", "--out", tmp_path / "out")
        refused(printed, f"{other} is no run: {form} is made of runs; a chart (png, svg) takes other curves too")
    assert export("one", "--to=tensorboard", "--out", tmp_path).code == 0
    log = next((tmp_path / "one").iterdir())
    (tmp_path / log.name).write_bytes(log.read_bytes())
    log.write_bytes(log.read_bytes()[:20])
    printed = export(tmp_path, "--to=svg", "--out", tmp_path / "logs.svg")
    assert printed.code == 0 and printed.err == f"one is left out: {log} ends within its first record\n"
    other.write_text("epoch,ppl\n")
    refused(export("one", other, "--to=svg", "--out=-"), "has a row of names and no rows of figures")


def test_runs_of_one_name_are_told_apart(export: Export, trained: Run, saves: Path, tmp_path: Path) -> None:
    twin = tmp_path / "elsewhere" / "one"
    twin.parent.mkdir()
    shutil.copytree(trained.path, twin)
    table = table_of(export("one", twin, twin, "--to=csv", "--out=-").out)
    assert list(table.run) == ["saves/one", "elsewhere/one"]
    printed = export("one", twin, "--to=tensorboard", "--out", tmp_path / "logs")
    assert printed.code == 0
    assert len(list((tmp_path / "logs" / "elsewhere" / "one").iterdir())) == 1
    refused(export("one", twin, "--to=onnx", "--out", tmp_path / "a.onnx"), "onnx exports one run at a time, got 2")


def test_a_diverged_run_and_one_without_epochs(
    export: Export, train: Callable[..., Printed], trained: Run, saves: Path, tmp_path: Path
) -> None:
    with journal_at(trained.journal_path) as journal:
        journal.append(epoch(2, perplexity=float("inf"), loss=900.0))
        journal.append(StateChanged("diverged", 2, "the loss exploded"))
    printed = export("one", "--to=csv", "--out=-")
    assert list(table_of(printed.out).perplexity)[1] == float("inf")
    printed = export("one", "--to=svg", "--out", tmp_path / "one.svg")
    assert (
        printed.code == 0 and printed.err == "one: 1 of 2 values of perplexity is far worse than guessing: left out\n"
    )
    printed = export("one", "--to=svg", "--out", tmp_path / "one.svg", "--force", "--json")
    assert printed.json()[0]["remarks"] == printed.err.splitlines()
    assert export("one", "--to=tensorboard", "--out", tmp_path / "logs").code == 0
    empty = Run(saves / "empty")
    empty.path.mkdir()
    for path in (trained.metadata_path, trained.vocabulary_path, trained.latest_path):
        (empty.path / path.name).write_bytes(path.read_bytes())
    for form in ("csv", "svg", "png", "tensorboard"):
        refused(export("empty", f"--to={form}", "--out", tmp_path / form), "empty has no epochs yet: train it first")
    refused(export("empty", "--to=text", "--out=-"), "no samples were written while training")
    assert export("empty", "--to=torch", "--out", tmp_path / "empty.safetensors").code == 0, "it has weights"
    shutil.copytree(trained.path, wild := saves / "wild")
    (wild / "metrics.jsonl").unlink()
    with journal_at(wild / "metrics.jsonl") as journal:
        journal.append(epoch(1, perplexity=1e200, loss=460.0))
    printed = export("one", "wild", "empty", "--to=svg", "--out", tmp_path / "two.svg")
    assert printed.out.startswith(f"{tmp_path / 'two.svg'}: 1 of 3 curves, ")
    printed = export("one", "empty", "--to=csv", "--out", tmp_path / "both.csv")
    assert printed.code == 0 and printed.err == "empty has no epochs yet: it is left out\n"


def test_the_help_names_every_metric_and_axis(run: Callable[..., Printed]) -> None:
    words = " ".join(run("export", "--help").out.split())
    for name in (*METRICS, "{" + ",".join(AXES) + "}"):
        assert name in words, name


def test_bad_input_is_a_sentence(export: Export, trained: Run, text_path: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("none", "--out=a.csv"), "there is no run 'none' in "),
        (("none", "--out=a.svg"), "there is no run 'none' in "),
        (("one", "--out=a.xyz"), "name the format with --to, or a file that ends in .png, .svg, .csv, .txt"),
        (("one",), "the following arguments are required: --out"),
        (("one", "--to=pdf", "--out=a"), "invalid choice: 'pdf'"),
        (("one", "--out", tmp_path / "no" / "a.csv"), "there is no folder "),
        (("one", "--out=a.svg", "--metric=accuracy"), "one has no accuracy; it has epoch, "),
        (("one", "--out=a.svg", "--smoothing=1"), "the smoothing must be at least 0 and below 1, got 1.0"),
        (("one", "--out", trained.latest_path, "--force"), "is in the folder of a run"),
        (("one", "--to=tensorboard", "--out", trained.path), "is in the folder of a run"),
        (("one", "--to=tensorboard", "--out", trained.path.parent), "is in the folder of a run"),
        (("one", "--to=tensorboard", "--out", text_path), "the folder "),
    ):
        refused(export(*arguments), words)
    assert not (trained.path / "one").exists()
    trained.latest_path.write_bytes(b"damaged")
    refused(export("one", "--out", tmp_path / "a.safetensors"), "latest.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


def test_a_closed_output_is_a_sentence(trained: Run) -> None:
    command = [sys.executable, "-m", "core", "export", str(trained.path), "--to=csv", "--out=-"]
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert closed.returncode == 2 and closed.stderr.startswith("error: standard output cannot be written")


def test_json_has_the_script(export: Export, trained: Run, tmp_path: Path) -> None:
    (line,) = export("one", "--out", tmp_path / "one.safetensors", "--json").json()
    assert line["format"] == "torch" and "nn.RNN(" in line["script"]
