"""What all tests share: how often those that break things try, threads that do not spin, few collections, no syncs."""

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import process
from tests import fork_servers

# Read by libgomp when torch is loaded, hence before any test imports it: else two test processes slow each other down.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# One thread each where a test asks for no other number: the processes share the machine, and the threads of a team
# mostly waited for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Hundreds of programs are started: each would compile the whole tree for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The order of the presets follows the user's language. The screens of the tests begin with the lyrics.
os.environ.pop("LC_ALL", None)
os.environ["LC_MESSAGES"] = "zh_CN.UTF-8"

# A terminal of the tests has the size that its test asks for; pytest-xdist sets these for its processes.
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)

# The preferences and presets of the person who runs the tests have no part in them.
_nobody = tempfile.TemporaryDirectory(prefix="rnn-nobody-")
os.environ["XDG_CONFIG_HOME"], os.environ["XDG_STATE_HOME"] = f"{_nobody.name}/config", f"{_nobody.name}/state"

# Nor has their cache of large texts.
os.environ["RNN_PLAYGROUND_CACHE_GB"] = "0"

# A suite that a script starts in the background is born with SIGINT ignored, and whatever it starts would inherit that:
# a test that interrupts a training would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of screens are built and thrown away: with Python's own thresholds a quarter of the time went into looking
# through all that pytest and torch hold. A test that calls the program's beginning and end would put back its own.
gc.set_threshold(100_000, 20, 50)
process.COLLECTION_THRESHOLDS = gc.get_threshold()  # type: ignore[assignment]


def _no_sync(descriptor: int) -> None:
    os.fstat(descriptor)  # a closed descriptor is still an error


# No test cuts the power, so no test needs to wait for the disk. Tests of the order and of failures of syncs put their
# own function here.
os.fsync = _no_sync


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First the tests of whole programs, last those of single parts: a long one begun last would be waited for.

    Those of exports side by side, hence in one process: the libraries for that take seconds to import.
    """

    def place(item: pytest.Item) -> tuple[bool, int, bool]:
        file = item.nodeid.partition("::")[0]
        return item.get_closest_marker("e2e") is None, len(item.path.parts), "export" not in file

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """What has been imported stays to the end: no collection looks through it again."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """pytest ends with five collections, each through all that torch and the tests have made: leave it nothing."""
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--trials",
        type=int,
        default=1,
        metavar="N",
        help="how many times as often the tests that kill, cut, fill and flood try as they do by default (1)",
    )


@pytest.fixture(scope="session")
def trials(pytestconfig: pytest.Config) -> int:
    """By how much a breaking test multiplies its own short number of tries; see tests/README.md."""
    factor: int = pytestconfig.getoption("--trials")
    return factor


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes of the suite."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def fork_server(shared_folder: Path) -> Iterator[dict[str, str]]:
    """Variables with which ``python -m core`` is forked from a process that has torch, instead of importing it."""
    modules = (
        "core.cli.main", "core.cli.training_report", "core.cli.train", "core.cli.generate", "core.engine.engine",
        "core.training.distributed", "numpy.ctypeslib", "numpy.random",
    )  # fmt: skip
    with fork_servers.fork_server(shared_folder, "forks", *modules) as path:
        yield {"PYTHONPATH": str(fork_servers.FORKED), "RNN_PLAYGROUND_FORK_SERVER": str(path)}


@pytest.fixture
def forked_programs(fork_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m core`` that this test starts is forked: see ``fork_server``."""
    for name, value in fork_server.items():
        monkeypatch.setenv(name, value)
