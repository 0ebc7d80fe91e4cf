"""The names that ``core`` offers to a notebook."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import core

REPOSITORY = Path(__file__).resolve().parents[2]


def run_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_core_imports_no_torch() -> None:
    found = run_python("import sys, core; core.RunConfig, core.Run, core.Sampling; print('torch' in sys.modules)")
    assert found == "False\n"


def test_every_name_is_there() -> None:
    assert {"Run", "RunConfig", "Trainer", "load_corpus", "write"} <= set(core.__all__) <= set(dir(core))
    for name in core.__all__:
        assert getattr(core, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'core' has no attribute 'Trainers'"):
        _ = core.Trainers


def test_the_notebook_example_of_the_readme(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, one_thread: None
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text("utf-8"), re.S)
    quick = example.replace("num_epochs=20", "num_epochs=1, num_hiddens=16, device='cpu', threads=1")
    assert quick != example
    monkeypatch.chdir(REPOSITORY)
    (tmp_path / "example.py").write_text(quick, "utf-8")
    runpy.run_path(str(tmp_path / "example.py"))
    printed = capsys.readouterr().out
    assert "EpochFinished(epoch=1, " in printed and len(printed.splitlines()[-1]) > 20
