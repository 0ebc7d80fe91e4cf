"""Machines that allow little: few open files, no temporary folder, a locale that knows no Chinese, a closed folder."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from core import process
from core.cli.main import main
from core.engine.session import Session
from core.errors import RunError
from core.runs.saves import check_new_run, check_saves
from core.runs.store import check_name, find_run, free_name, list_runs
from core.runs.trash import deleted_runs, empty_trash, find_deleted, remove_outdated
from core.settings.run_config import RunConfig
from tests.core.runs.damage import said
from tui.__main__ import checked_folders

REPOSITORY = Path(__file__).resolve().parents[2]
Tiny = Callable[..., RunConfig]


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], cwd=REPOSITORY, capture_output=True, text=True, timeout=100,
        env={**os.environ, **environment, "PYTHON": sys.executable},
    )  # fmt: skip


def test_few_open_files() -> None:
    for program, prefix in (("core runs", "error: "), ("core train", "error: "), ("tui", "python -m tui: ")):
        told = shell(f"ulimit -n 12; $PYTHON -m {program}")
        words = f"{prefix}12 open files are allowed, and this program needs 64: raise ulimit -n\n"
        assert (told.returncode, told.stdout, told.stderr) == (2, "", words), program
    told = shell("ulimit -S -n 12; $PYTHON -m core presets")
    assert told.returncode == 0 and told.stderr == "", "what may be raised is raised"


def test_no_temporary_folder(saves: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def none(*_: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    for arguments in (["train"], ["resume", "x"], ["generate", "x"], ["lab"], ["bench"], ["engine"]):
        assert main(arguments) == 2
        told = capsys.readouterr()
        words = "error: no temporary folder is writable: set TMPDIR to a writable one\n"
        assert (told.out, told.err) == ("", words), arguments
    assert main(["runs", f"--saves={saves}"]) == 0


def test_what_is_typed_in_a_c_locale(saves: Path) -> None:
    for environment in ({"PYTHONUTF8": "0"}, {"PYTHONCOERCECLOCALE": "0"}, {}):
        told = shell(
            f"$PYTHON -m core generate 分开 --saves {saves} --prefix 分开; $PYTHON -m core stats --corpus 分开",
            **{"LC_ALL": "C", **environment},
        )
        assert told.stderr.startswith(f"error: there is no run '分开' in {saves}"), (environment, told.stderr)
        assert "there is no file '分开'" in told.stderr, (environment, told.stderr)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_folder_that_may_not_be_entered(tmp_path: Path) -> None:
    """As another user where we are root, who may enter everything."""
    saves = tmp_path / "saves"
    (saves / "one").mkdir(parents=True)
    (saves / "one/run.json").write_text("{}")
    assert not said(lambda: check_saves(tmp_path / "missing"))
    (tmp_path / "file").write_text("x")
    assert "Not a directory" in said(lambda: check_saves(tmp_path / "file"))
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder not in (Path("/"), Path("/tmp")):
            folder.chmod(0o755)
    for mode in (0o000, 0o444, 0o111):
        saves.chmod(mode)
        child = os.fork()
        if child == 0:
            try:
                if os.getuid() == 0:
                    os.setuid(65534)
                acts: tuple[Callable[[], object], ...] = (
                    lambda: check_saves(saves), lambda: find_run(saves, "two"), lambda: deleted_runs(saves),
                    lambda: find_deleted(saves, "two"), lambda: empty_trash(saves),
                )  # fmt: skip
                closed = (
                    f"{saves} cannot be read (Permission denied): permit reading and entering it, or name "
                    "another folder"
                )
                for act in acts:
                    assert said(act) == closed
                assert remove_outdated(saves) == [], "what starts does not fail over it"
                for arguments in ("", "trash", "empty", "empty --yes", "restore two", "delete two"):
                    assert main(["runs", *arguments.split(), f"--saves={saves}"]) == 2, arguments
                words = f"no run can be made in {saves} (Permission denied): permit reading, writing and entering it"
                assert words in said(lambda: check_new_run(saves))
                assert words in said(lambda: checked_folders(saves, tmp_path))
                assert words in said(lambda: Session.create(RunConfig(corpus="/none"), saves)), "before all else"
                if mode != 0o111:
                    assert f"({saves}: Permission denied)" in said(lambda: check_new_run(saves / "one/more/below"))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, oct(mode)
        saves.chmod(0o755)


def test_long_names_of_wide_characters(saves: Path) -> None:
    for count in range(1, 101):
        name = "𠀀" * count
        words = said(lambda name=name: check_name(name))
        assert words == "" if count <= 50 else f"takes {4 * count} bytes in UTF-8 and may take 200" in words
        assert check_name(free_name(saves, name)).startswith("𠀀" * min(count, 40))
    with pytest.raises(RunError, match="use up to 100 letters"):
        check_name("𠀀" * 101)


def test_runs_of_different_time_zones(tiny: Tiny, saves: Path, one_thread: None) -> None:
    """Newest first, by the moment and not by the letters."""
    dates = {
        "first": "2026-03-29T23:00:00.000001+09:00", "second": "2026-03-29T16:00:00+00:00",
        "third": "2026-03-29T09:00:01-08:00", "none": "yesterday",
        "least": "0001-01-01T00:00:00", "most": "9999-12-31T23:59:59-23:00",
    }  # fmt: skip
    for name, created in dates.items():
        session = Session.create(tiny(), saves, name)
        session.close()
        text = session.run.metadata_path.read_text()
        session.run.metadata_path.write_text(text.replace(session.metadata.created, created))
    names = [summary.name for summary in list_runs(saves)]
    assert [name for name in names if name in ("first", "second", "third")] == ["third", "second", "first"]
    assert len(names) == len(dates)


def test_the_collector_is_paused_and_resumed() -> None:
    code = (
        "import gc; from core import process\n"
        "process.resume_collection(); assert gc.isenabled() and not gc.get_freeze_count()\n"
        "process.pause_collection(); assert not gc.isenabled()\n"
        "process.resume_collection(); assert gc.isenabled() and gc.get_freeze_count()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)


_LARGE_PAGES = """
import ctypes, re
from pathlib import Path
from core.process import keep_freed_memory

keep_freed_memory()
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmRSS:\\s+(\\d+) kB", status)[1]) < 100_000)
data = bytearray(64 << 20)
place = ctypes.addressof(ctypes.c_char.from_buffer(data)) + len(data) // 2
for text in re.split(r"\\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
    first, last = (int(end, 16) for end in text.split()[0].split("-"))
    if first <= place < last:
        print("hg" in re.search(r"VmFlags: (.*)", text)[1].split())
"""


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").is_dir() or platform.libc_ver()[0] != "glibc",
    reason="there are no large pages here, or another C library than GNU's",
)
def test_large_memory_comes_in_large_pages_and_none_is_taken_ahead() -> None:
    told = subprocess.run([sys.executable, "-c", _LARGE_PAGES], cwd=REPOSITORY, capture_output=True, text=True)
    assert (told.stdout, told.stderr) == ("True\nTrue\n", "")


@pytest.mark.parametrize(
    ("facts", "is_fast"),
    [
        ("model name\t: Intel(R) Xeon(R)\nflags\t\t: fma avx512f avx512_bf16 amx_bf16", True),
        ("model name\t: Intel(R) Xeon(R)\nflags\t\t: fma avx512f avx512_bf16", False),
        ("model name\t: AMD EPYC 9354\nflags\t\t: fma avx512f avx512_bf16", True),
        ("model name\t: AMD Ryzen 5\nflags\t\t: fma avx2", False),
        ("BogoMIPS\t: 50.00\nFeatures\t: asimd i8mm bf16", True),
        ("BogoMIPS\t: 50.00\nFeatures\t: asimd", False),
        ("", False),
    ],
)
def test_which_processors_multiply_bfloat16_faster(
    facts: str, is_fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{facts}\n\nprocessor\t: 1\nflags\t\t: amx_bf16\nmodel name\t: another\n")
    monkeypatch.setattr(process, "_PROCESSORS", file)
    cached = (process._processor, process.is_bf16_fast)
    for function in cached:
        function.cache_clear()
    try:
        assert process.is_bf16_fast() == is_fast
        assert process.processor_name() in facts or not facts or "BogoMIPS" in facts
    finally:
        for function in cached:
            function.cache_clear()
