"""What all tests share: how often those that break things try, threads that do not spin, few collections, no syncs."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Read by libgomp when torch is loaded, hence before any test imports it: else two test processes slow each other down.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# Hundreds of programs are started: each would compile the whole tree for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The order of the presets follows the user's language. The screens of the tests begin with the lyrics.
os.environ.pop("LC_ALL", None)
os.environ["LC_MESSAGES"] = "zh_CN.UTF-8"

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
# through all that pytest and torch hold.
gc.set_threshold(100_000, 20, 50)


def _no_sync(descriptor: int) -> None:
    os.fstat(descriptor)  # a closed descriptor is still an error


# No test cuts the power, so no test needs to wait for the disk. Tests of the order and of failures of syncs put their
# own function here.
os.fsync = _no_sync


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
def fork_server() -> Iterator[dict[str, str]]:
    """Variables with which ``python -m core`` is forked from a process that has torch, instead of importing it."""
    tests = Path(__file__).resolve().parent
    forked = tests / "forked"
    with tempfile.TemporaryDirectory(prefix="rnn-", dir="/tmp") as folder:
        path = f"{folder}/forks.sock"
        with subprocess.Popen(
            [sys.executable, str(forked / "server.py"), path], cwd=tests.parent, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as server:  # fmt: skip
            assert server.stdin is not None and server.stdout is not None
            assert server.stdout.readline() == b"listening\n"
            yield {"PYTHONPATH": str(forked), "RNN_PLAYGROUND_FORK_SERVER": path}
            server.stdin.close()


@pytest.fixture
def forked_programs(fork_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m core`` that this test starts is forked: see ``fork_server``."""
    for name, value in fork_server.items():
        monkeypatch.setenv(name, value)
