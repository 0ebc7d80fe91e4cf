"""The compiled library on the disk: damaged, foreign, unproven; and compilers that do not do what they should."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.models.recurrence.cpu import bindings, build, kept

IS_ROOT = os.geteuid() == 0

# No torch, and no proof where {prove} says so: quick.
WHY = """
from core.models.recurrence.cpu import build
build.NATIVE_FLAGS = build.NATIVE_FLAGS[:1]
build.TIMEOUT_SECONDS = {patience}
if not {prove}:
    build.prove = lambda target: ""
found = build.compiled_library()
print(found if isinstance(found, str) else "compiled")
"""


def why(*, prove: bool = False, patience: float = 60.0, **environment: str) -> str:
    """What a new process says about its compiled kernels; a crash, a hang or a traceback fails the test."""
    done = subprocess.run(
        [sys.executable, "-c", WHY.format(prove=prove, patience=patience)],
        env=os.environ | environment, capture_output=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, (done.returncode, done.stderr[-2000:])
    return done.stdout.decode().strip()


class Compiler:
    """A compiler that is done at once: asked to link, it copies a library and counts."""

    def __init__(self, folder: Path, good: Path) -> None:
        self.folder, self.good = folder, good
        self.cache = folder / "cache"
        self.counted = folder / "made"
        self.command = self.written("quick cc", f'cp {shlex.quote(str(good))} "$out"')

    def written(self, name: str, link: str) -> str:
        """The words of a compiler that runs ``link`` where ``$out`` should be made."""
        script = self.folder / name
        count = f"echo once >> {shlex.quote(str(self.counted))}"
        script.write_text(
            f'#!/bin/sh\nout=\nfor word; do [ "$last" = -o ] && out=$word; last=$word; done\n'
            f'if [ "$out" ]; then {count}; {link}; fi\n'
        )
        script.chmod(0o755)
        return shlex.join([str(script), "-g0"])

    def why(self, **environment: str) -> str:
        return why(**{"XDG_CACHE_HOME": str(self.cache), "CC": self.command, **environment})

    @property
    def count(self) -> int:
        return len(self.counted.read_text().splitlines()) if self.counted.exists() else 0

    @property
    def file(self) -> Path:
        (found,) = (self.cache / "rnn-playground").iterdir()
        return found


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    made = build.compiled_library()
    if isinstance(made, str):
        pytest.skip(made)
    good = tmp_path / "good.so"
    good.write_bytes(Path(made._name).read_bytes())
    return Compiler(tmp_path, good)


@pytest.fixture
def forked_proof(fork_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that proves a library is forked: it takes its path of modules from this one."""
    monkeypatch.syspath_prepend(fork_server["PYTHONPATH"])
    monkeypatch.setenv("RNN_PLAYGROUND_FORK_SERVER", fork_server["RNN_PLAYGROUND_FORK_SERVER"])


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def test_a_damaged_library_is_compiled_again(compiler: Compiler) -> None:
    assert compiler.why() == "compiled" and compiler.count == 1
    assert compiler.why() == "compiled" and compiler.count == 1
    path, whole = compiler.file, compiler.file.read_bytes()
    assert whole[: len(compiler.good.read_bytes())] == compiler.good.read_bytes()
    assert path.parent.stat().st_mode & 0o077 == 0 and path.stat().st_mode & 0o077 == 0
    flipped = bytearray(whole)
    flipped[5000] ^= 1
    damages: dict[str, Callable[[Path], object]] = {
        **{f"cut at {at}": lambda file, at=at: file.write_bytes(whole[:at]) for at in (1, 4096, 64_000, 120_000)},
        "zeros": lambda file: file.write_bytes(bytes(len(whole))),
        "empty": lambda file: file.write_bytes(b""),
        "a bit": lambda file: file.write_bytes(flipped),
        "longer": lambda file: file.write_bytes(whole + b"\0"),
        "no library": lambda file: file.write_bytes(b"not a library"),
        "without its sum": lambda file: file.write_bytes(compiler.good.read_bytes()),
        "a pipe": lambda file: replaced(file, os.mkfifo),
        "a link": lambda file: replaced(file, lambda path: path.symlink_to(compiler.good)),
        "open to others": lambda file: file.chmod(0o666),
    }
    if IS_ROOT:
        damages["another user's"] = lambda file: os.chown(file, 65534, 65534)
    for count, (what, damage) in enumerate(damages.items(), start=2):
        damage(path)
        assert compiler.why() == "compiled", what
        assert compiler.count == count and compiler.file.read_bytes() == whole, what
    replaced(path, Path.mkdir)  # is in the way for good: the library is kept nowhere, or somewhere else
    assert compiler.why(TMPDIR=str(compiler.folder)) == "compiled"


def test_a_folder_that_others_can_reach_is_not_used(compiler: Compiler) -> None:
    elsewhere = compiler.folder / "elsewhere"
    elsewhere.mkdir()
    compiler.cache.mkdir()

    def within(folder: Path) -> list[str]:
        return [path.name for path in folder.rglob("*.so")]

    def refuses(cache: Path) -> None:
        assert compiler.why(XDG_CACHE_HOME=str(cache), TMPDIR=str(elsewhere)) == "compiled"
        assert not within(compiler.cache) and not within(cache), cache
        kept_at = elsewhere / f"rnn-playground-{os.getuid()}"
        assert len(within(kept_at)) == 1
        shutil.rmtree(kept_at)

    (compiler.cache / "rnn-playground").mkdir()
    (compiler.cache / "rnn-playground").chmod(0o777)
    refuses(compiler.cache)
    (compiler.cache / "rnn-playground").chmod(0o700)
    compiler.cache.chmod(0o777)  # a parent: whoever may write there can put another folder in its place
    refuses(compiler.cache)
    compiler.cache.chmod(0o755)
    if IS_ROOT:
        os.chown(compiler.cache, 65534, 65534)
        refuses(compiler.cache)
        os.chown(compiler.cache, 0, 0)
        link = compiler.folder / "link"
        link.symlink_to(compiler.cache)
        os.chown(link, 65534, 65534, follow_symlinks=False)
        refuses(link)
        link.unlink()
    loop = compiler.folder / "loop"
    loop.symlink_to(loop)
    refuses(loop)
    link = compiler.folder / "our link"
    link.symlink_to(compiler.cache)
    assert compiler.why(XDG_CACHE_HOME=str(link)) == "compiled" and within(compiler.cache)


def test_who_can_reach_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    for mode, reaches in ((0o755, False), (0o700, False), (0o757, True), (0o1777, False)):
        folder.parent.chmod(mode)
        assert kept.is_out_of_reach(folder) is not reaches, oct(mode)
    folder.parent.chmod(0o775)
    monkeypatch.setattr(kept, "is_private_group", lambda number: False)
    assert not kept.is_out_of_reach(folder)
    monkeypatch.setattr(kept, "is_private_group", lambda number: True)
    assert kept.is_out_of_reach(folder)
    assert kept.is_out_of_reach(tmp_path / "a" / ".." / "a" / "b")


def test_compilers_that_do_not_do_what_they_should(compiler: Compiler, forked_programs: None) -> None:
    """Nothing that they make is kept or loaded, and each is a sentence."""
    names = (
        "recurrence_forward",
        "recurrence_backward",
        "add_rows",
        "dropout",
        "transpose",
        "cross_entropy",
        "output_loss",
        "output_loss_bf16",
        "squares",
        "descend",
        "step",
    )
    functions = "".join(f"void {name}(void) {{ BODY }} " for name in names)
    source = compiler.folder / "nothing.c"
    source.write_text(f"#include <stdlib.h>\n{functions} int best_of_bf16(void) {{ return 1; }}\n")
    real = shutil.which("cc")
    assert real is not None

    def made_of(body: str) -> str:
        words = [real, "-shared", "-fPIC", f"-DBODY={body}", str(source)]
        return f'{shlex.join(words)} -o "$out"'

    cases = {
        "nothing": (":", "made no library"),
        "empty": (': > "$out"', "was not accepted"),
        "a text": ('echo hello > "$out"', "was not accepted"),
        "half": (f'head -c 60000 {shlex.quote(str(compiler.good))} > "$out"', "was not accepted"),
        "another library": (f'{shlex.join([real, "-shared", "-x", "c", "/dev/null"])} -o "$out"', "was not accepted"),
        "wrong numbers": (made_of("return;"), "differs from the plain path"),
        "a crash": (made_of("abort();"), "SIGABRT"),
        "a failure": ("echo it hurts >&2; echo more >&2; exit 1", "failed: it hurts"),
        "bytes": ("printf '\\377\\376 hurts' >&2; exit 1", "hurts"),
        "a signal": ("kill -9 $$", "SIGKILL"),
    }
    for what, (link, words) in cases.items():
        found = compiler.why(prove=True, CC=compiler.written(f"cc {what}", link))  # type: ignore[arg-type]
        assert words in found and "\n" not in found, (what, found)
        assert not list((compiler.cache / "rnn-playground").iterdir()), what
    slow = compiler.written("slow cc", "sleep 1000 & sleep 1000")
    assert "longer than 1 seconds" in compiler.why(patience=1.0, CC=slow)  # type: ignore[arg-type]
    assert compiler.why(prove=True) == "compiled"  # type: ignore[arg-type]


def test_commands_that_are_none_are_sentences(tmp_path: Path) -> None:
    cases = {
        'cc "-O2': "quotation mark",
        "/nowhere/cc": "cannot be run",
        str(tmp_path): "cannot be run",
        os.fsdecode(b"/nowhere/\xff\xfe cc"): "cannot be run",
        os.fsdecode(b"\xff '"): "quotation mark",
    }
    for command, words in cases.items():
        assert words in why(CC=command, XDG_CACHE_HOME=str(tmp_path / "cache")), command
    assert "no C compiler" in why(CC="", PATH="", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert "switched off" in why(RNN_PLAYGROUND_COMPILED="0")


def test_without_threads_of_torch_it_makes_its_own(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch, forked_proof: None
) -> None:
    """A way of threading whose library does not load is followed by the next one."""
    calls: list[str | None] = []

    def compile_(words: object, native: str, openmp: str | None, target: Path) -> str:
        calls.append(openmp)
        target.write_bytes(compiler.good.read_bytes() if openmp is None else b"no library")
        return ""

    monkeypatch.setattr(build, "openmp_library", lambda: "/nowhere/libgomp.so.1")
    monkeypatch.setattr(build, "compile_sources", compile_)
    monkeypatch.setattr(build, "NATIVE_FLAGS", build.NATIVE_FLAGS[:1])
    assert build.make_library(["cc"]) == compiler.good.read_bytes()
    assert calls == ["/nowhere/libgomp.so.1", None]


@pytest.mark.skipif(not IS_ROOT, reason="only root may mount")
def test_a_cache_where_nothing_may_be_executed(compiler: Compiler) -> None:
    compiler.cache.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "noexec,mode=755", "none", str(compiler.cache)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        assert compiler.why() == "compiled" and compiler.count == 1
        assert compiler.why() == "compiled" and compiler.count == 1
    finally:
        subprocess.run(["umount", "-l", str(compiler.cache)], check=True)


def test_the_library_is_named_after_its_sources() -> None:
    name = build.identity(["cc"])
    assert name == build.identity(["cc"]) and name != build.identity(["another-cc"])


def library_kept(config: pytest.Config, name: str, options: str, native: str, openmp: str | None) -> Path:
    """The library with other ``options``, compiled once for these sources and not once a run of the tests."""
    compiler = ("sh", "-c", f'exec cc "$@" {options}', "cc")
    folder = config.cache.mkdir("kernels")
    path = folder / f"{name}-{build.identity(compiler)}.so"
    if not path.exists():
        for old in folder.glob(f"{name}-*"):
            old.unlink()
        place = folder / f"{name}-new"
        place.mkdir(exist_ok=True)
        said = build.compile_sources(compiler, native, openmp, place / "kernels.so")
        if not said:
            os.replace(place / "kernels.so", path)
        shutil.rmtree(place)
        if said:
            pytest.skip(f"the compiler makes no such library: {said}")
    return path


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86-64's generations")
def test_other_processors_compute_the_same(pytestconfig: pytest.Config, forked_proof: None) -> None:
    """Vectors half as wide, no bfloat16. Little optimised: the compiler takes 2 seconds instead of 10."""
    library = library_kept(pytestconfig, "x86-64-v3", "-O1", "-march=x86-64-v3", build.openmp_library())
    assert build.prove(library) == ""
    assert build.load(library.read_bytes()).best_of_bf16() == bindings.Arithmetic.ROUNDED


def test_the_kernels_run_under_sanitizers(pytestconfig: pytest.Config) -> None:
    """Addresses and undefined behaviour: the proof runs every kernel, on shapes that fill no tile and no vector."""
    told = subprocess.run(["sh", "-c", "cc -print-file-name=libasan.so"], capture_output=True, text=True)
    runtime = told.stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip("the compiler has no address sanitizer to load before Python")
    # -O0: the sanitizers see every access, and the compiler takes 2 seconds instead of 15.
    sanitizers = "-O0 -fsanitize=address,undefined -fno-sanitize-recover=undefined"
    library = library_kept(pytestconfig, "sanitized", sanitizers, build.NATIVE_FLAGS[0], None)
    proof = subprocess.run(
        [sys.executable, "-m", "core.models.recurrence.cpu.proof", str(library)],
        env=os.environ | {"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert proof.returncode == 0, proof.stdout[-1000:] + proof.stderr[-3000:]
