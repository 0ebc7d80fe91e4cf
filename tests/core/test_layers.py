"""What may import what, and what stands nowhere in the tree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for room in ("core", "tui") for path in (REPOSITORY / room).rglob("*.py"))
# Modules and calls that run what a file or a person says, or that hand a text to a shell.
MODULES = {"pickle", "cPickle", "_pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle", "code", "codeop"}
CALLS = {
    "eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load", "torch.hub.load", "os.system", "os.popen",
    "numpy.load", "np.load", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell",
    "yaml.load", "yaml.unsafe_load",
}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("tui.app", ("torch", "safetensors", "triton")),
        ("core.cli.main", ("torch", "textual", "rich", "plotext", "tui", "numpy")),
        ("core.engine.client", ("torch", "textual", "numpy")),
        ("core.runs.store", ("torch", "textual", "numpy")),
    ],
)
def test_imports_stay_in_their_layer(module: str, absent: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*sorted({set(absent)!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == []


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """All nodes of a source's tree."""
    return list(ast.walk(ast.parse(path.read_text())))


def test_nothing_in_the_tree_runs_what_a_file_says() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}, line {getattr(node, 'lineno', 0)}: {words}"
        for path in SOURCES
        for node in nodes_of(path)
        for words in danger(node)
    ]
    assert len(SOURCES) > 300 and found == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and for types alone count too."""
    graph = grimp.build_graph("core", "tui", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError with the circle


# Where files are opened otherwise than with ``core.files``: itself, the system's own, folders, what was just made; the
# room of the compiled kernels asks for more: the owner and the mode too.
OPENS = {
    "core/files.py", "core/devices.py", "core/benchmark/cases.py", "core/benchmark/opening.py", "core/engine/server.py",
    "core/models/recurrence/cpu/build.py", "core/process.py", "core/runs/held_folder.py", "core/runs/lock.py",
    "core/runs/store.py", "tui/shell/terminal_exit.py",
}  # fmt: skip
# Of what is open already, and of the null device, nothing is to be feared.
OWN = re.compile(r"descriptor|os\.devnull|^os\.fdopen\(open_to_append\(")
READS = {"open", "os.open", "os.fdopen", "io.open", "read_text", "read_bytes", "write_text", "write_bytes"}


def test_files_are_opened_in_one_way() -> None:
    """A pipe in the place of a file is waited for by nobody: neither the screen nor a command."""
    found = []
    for path in SOURCES:
        name = str(path.relative_to(REPOSITORY))
        for node in nodes_of(path):
            if name in OPENS or name.startswith("core/models/recurrence/cpu/") or not isinstance(node, ast.Call):
                continue
            called = name_of(node.func)
            is_file = called in READS or called.rpartition(".")[2] in READS - {"open"}
            is_path = called.endswith("path.open") or called.endswith("_path.open")
            if (is_file or is_path) and not OWN.search(ast.unparse(node)):
                found.append(f"{name}, line {node.lineno}: {ast.unparse(node)[:80]}")
    assert found == [], "open it with core.files"


def name_of(function: ast.expr) -> str:
    """``ast.unparse``, which takes long, where it is no name with dots."""
    match function:
        case ast.Name(name):
            return name
        case ast.Attribute(value, name):
            return f"{name_of(value)}.{name}"
    return ast.unparse(function)


def danger(node: ast.AST) -> list[str]:
    """What of a piece of the tree must not be there."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if (node.module or "").split(".")[0] in MODULES and node.module else []
    if not isinstance(node, ast.Call):
        return []
    name = name_of(node.func)
    shell = [word for word in node.keywords if word.arg == "shell" and ast.unparse(word.value) != "False"]
    unsafe = [word for word in node.keywords if word.arg in ("allow_pickle", "weights_only")]
    return [name] * (name in CALLS) + [f"{name}({word.arg}=...)" for word in (*shell, *unsafe)]


def test_the_search_finds_what_it_looks_for() -> None:
    for line in (
        "import pickle", "from pickle import loads", "eval('1')", "exec('1')", "torch.load(path)", "os.system('ls')",
        "subprocess.run('ls', shell=True)", "np.load(path, allow_pickle=True)", "import marshal as m",
    ):  # fmt: skip
        assert any(danger(node) for node in ast.walk(ast.parse(line))), line
    assert not any(danger(node) for node in ast.walk(ast.parse("model.eval(); re.compile('a'); run(['ls'])")))
