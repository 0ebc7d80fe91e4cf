"""Plays the playground at random: keys, clicks and resizes in bursts, cut anywhere, as a slow line delivers them.

    python -m tests.e2e.random_player --seeds 1-6 --minutes 10 --size 80x24

plays for as long as one likes; ``test_random_player.py`` plays one short game.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.terminal import Terminal
from tests.processes import engines_of

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]

SIZES = ((60, 16), (80, 24), (120, 40))
TEXT = "".join(f"分开了很久 我还在原地 月亮{number}忘记了 你的名字\n" for number in range(60))
PANE_KEYS = ["\x1bOQ", "\x1bOR", "\x1bOS", "\x1b[15~", "\x1b[17~", "\x1b[18~", "1", "2", "3", "4", "5", "6"]
MOVES = ["\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F", "\t", "\x1b[Z", " "]
ACTS = ["\r", "\r", "\x1b", "\x1b", "\x7f", "\x1b[3~", "\x1bOP", "\x10", "\x14", "\x13", "\x0e", "\x0f", "\x1b[20~"]
LETTERS = list("abcdefghijklmnoprstuvwxyzABCGRX0123456789+-=./?[]@ 分é")  # no q: leaving is not what is tried here
LEAVES = ["q", "\x11"]
SECONDS_UP = 30.0
SCREEN_MEGABYTES = 60.0  # what a screen may grow by from its first minutes on
IDLE_SHARE = 0.35  # of a processor, while nothing trains
QUIET_SECONDS = 3.0  # how long that share is measured


class Failure(AssertionError):
    """Something that must not happen has."""


def burst(chance: random.Random, columns: int, lines: int) -> str:
    """Some keys and clicks."""
    parts = []
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8, 12, 20))):
        kind = chance.random()
        if kind < 0.17:
            parts.append(chance.choice(PANE_KEYS))
        elif kind < 0.40:
            parts.append(chance.choice(MOVES))
        elif kind < 0.62:
            parts.append(chance.choice(ACTS))
        elif kind < 0.84:
            parts.append(chance.choice(LETTERS))
        elif kind < 0.97:
            parts.append(_mouse(chance, columns, lines))
        elif kind < 0.99:
            parts.append("\x1b[200~" + "".join(chance.choices(LETTERS, k=9)) + "\x1b[201~")
        else:
            parts.append(chance.choice(("\x1b[I", "\x1b[O", *LEAVES)))
    return "".join(parts)


def _mouse(chance: random.Random, columns: int, lines: int) -> str:
    x, y = chance.randint(1, columns), chance.choice((1, lines, chance.randint(1, lines), chance.randint(1, lines)))
    button = chance.choice((0, 0, 0, 0, 2, 64, 65, 35))
    if button >= 35:
        return f"\x1b[<{button};{x};{y}M"
    click = f"\x1b[<{button};{x};{y}M\x1b[<{button};{x};{y}m"
    return click * chance.choice((1, 1, 2, 3))


class Game:
    """One playground that is played with, in folders of its own."""

    def __init__(self, seed: int, size: tuple[int, int], folder: Path, forks: Mapping[str, str] | None = None) -> None:
        self.seed = seed
        self.size = size
        self.folder = folder
        self.chance = random.Random(seed)
        self.keys = 0
        self.recent: list[str] = []
        self.saves = folder / "saves"
        self.data = folder / "data"
        self.data.mkdir()
        self.runtime = tempfile.mkdtemp(prefix="rnn-", dir="/tmp")
        for name in ("lyrics-zh", "tale-en", "verse-zh"):
            (self.data / f"{name}.txt").write_text(TEXT, "utf-8")
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        self.environment = {
            **os.environ, **nowhere, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "LANG": "C.UTF-8",
            "RNN_PLAYGROUND_RUNTIME": self.runtime, "OMP_NUM_THREADS": "1", **(forks or {}),
        }  # fmt: skip
        self.environment.setdefault("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))  # compiled kernels
        self.terminal: Any = None
        self.highest: list[float] = []
        self.inodes: dict[int, str] = {}

    # ------------------------------------------------------------------ beginning and end

    def begin(self) -> None:
        """Two runs, and a screen."""
        command = [sys.executable, "-m", "core", "train", "--saves", str(self.saves), "--data", str(self.data)]
        command += ["--corpus", "lyrics-zh", "--epochs", "3", "--set", "num_hiddens=16", "--name", "first"]
        subprocess.run(command, cwd=PROJECT, env=self.environment, check=True, capture_output=True)
        shutil.copytree(self.saves / "first", self.saves / "second 二")
        self.start()

    def start(self) -> None:
        columns, lines = self.size
        command = [sys.executable, str(HERE / "observed.py"), str(self.folder / "seen.json")]
        command += ["--saves", str(self.saves), "--data", str(self.data)]
        paths = (str(PROJECT), self.environment.get("PYTHONPATH"))
        environment = {**self.environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        if self.terminal is not None:
            self.terminal.close()
        ready = self.folder / "seen.ready"
        ready.unlink(missing_ok=True)
        # In a folder of its own: random keys may export to any relative path.
        self.terminal = Terminal(command, columns=columns, lines=lines, environment=environment, folder=self.folder,
                                 emulate=False)  # fmt: skip
        self.process = psutil.Process(self.terminal.pid)
        (self.folder / "seen.json").unlink(missing_ok=True)
        deadline = time.monotonic() + SECONDS_UP
        while not ready.exists():
            self._check_alive()
            if time.monotonic() > deadline:
                raise self.failure("the playground did not come up")
            time.sleep(0.1)
        time.sleep(1.0)
        self.seen: dict[str, Any] = {"number": 0}
        self.highest = []

    def end(self) -> None:
        """Leave nothing behind."""
        if self.terminal is not None:
            self.terminal.close()
        for engine in self.engines():
            engine.kill()
        shutil.rmtree(self.runtime, ignore_errors=True)

    def engines(self) -> list[psutil.Process]:
        """The engines of this game; the oldest first."""
        return engines_of(self.runtime)

    # ------------------------------------------------------------------ playing

    def play(self, seconds: float) -> None:
        """Play, and look now and then whether all is well."""
        until = time.monotonic() + seconds
        turns = 0
        while time.monotonic() < until:
            turns += 1
            if self.chance.random() < 0.08:
                self._resize()
            keys = burst(self.chance, *self.size)
            self._send(keys)
            self._check_alive()
            if turns % 25 == 0:
                self.look()
                self._thin_engines()
        self.look()

    def _send(self, keys: str) -> None:
        self.keys += len(keys)
        self.recent = [*self.recent[-30:], keys]
        sent = keys.encode()
        with contextlib.suppress(OSError):
            if self.chance.random() < 0.2:  # a slow line: the burst is cut anywhere, even within a key
                cut = self.chance.randint(0, len(sent))
                os.write(self.terminal.descriptor, sent[:cut])
                time.sleep(self.chance.choice((0.0, 0.02, 0.2)))
                sent = sent[cut:]
            os.write(self.terminal.descriptor, sent)
        # On the whole as fast as a hand: what a screen does for every key of a flood is not what is asked here.
        time.sleep(self.chance.random() * 0.05 * len(sent) if self.chance.random() < 0.8 else 0.0)

    def _resize(self) -> None:
        big = self.chance.random() < 0.7
        self.size = self.chance.choice(SIZES) if big else (self.chance.randint(4, 210), self.chance.randint(2, 60))
        self.recent.append(f"<{self.size[0]}x{self.size[1]}>")
        self.terminal.resize(*self.size)

    def _thin_engines(self) -> None:
        """Two at a time: a machine for tests is small. It also is what an engine that crashes looks like."""
        for engine in self.engines()[:-3]:
            with contextlib.suppress(psutil.Error):
                engine.kill()

    # ------------------------------------------------------------------ looking

    def failure(self, words: str) -> Failure:
        """What happened, and how it is had again."""
        output = bytes(self.terminal.output[-20000:]).decode(errors="replace")
        output = re.sub(r"\x1b\[[0-9;?<>]*[A-Za-z]", "", output)[-4000:]
        log = self._log()[-6000:]
        keys = "\n".join(map(repr, self.recent))
        return Failure(
            f"seed {self.seed}, after {self.keys} keys: {words}\nlast keys:\n{keys}\n"
            f"seen: {json.dumps(getattr(self, 'seen', {}), ensure_ascii=False)}\nlog:\n{log}\noutput:\n{output}"
        )

    def _log(self) -> str:
        logs = sorted((self.folder / "state").rglob("*.log"))
        return "\n".join(path.read_text("utf-8", "replace") for path in logs)

    def _check_alive(self) -> None:
        if "Traceback" in self._log():
            raise self.failure("a handler failed")
        if not self.terminal.alive:
            code = self.terminal.wait_exit()
            if code in (0, -signal.SIGUSR1):  # a q; our own question may come when nobody listens any more
                self.start()
            else:
                raise self.failure(f"the playground ended with {code}")

    def look(self) -> None:
        """Compare what is on the screen, in the folder and in the process with what should be."""
        until, waiting = time.monotonic() + 20.0, 0
        while wrong := self.wrong():
            if self.seen["waiting"] < waiting:  # a busy machine: it comes to them
                until = time.monotonic() + 20.0
            waiting = self.seen["waiting"]
            if time.monotonic() > until:
                raise self.failure(wrong)
            time.sleep(0.3)
        self._check_runs()
        memory = self.process.memory_info().rss / 1e6
        self.highest.append(memory)

    def wrong(self) -> str:
        """What is wrong about what the playground tells of its screen; empty where nothing is."""
        path = self.folder / "seen.json"
        until, asked = time.monotonic() + SECONDS_UP, 0.0
        while True:
            self._check_alive()
            if time.monotonic() > asked + 2.0:
                asked = time.monotonic()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.terminal.pid, signal.SIGUSR1)
            with contextlib.suppress(FileNotFoundError):
                seen = json.loads(path.read_text("utf-8"))
                if seen["number"] > self.seen["number"]:
                    break
            if time.monotonic() > until:
                os.kill(self.terminal.pid, signal.SIGUSR2)
                time.sleep(2.0)
                tasks = path.with_suffix(".tasks")
                where = tasks.read_text("utf-8") if tasks.exists() else "it does not come to that either"
                raise self.failure(f"the playground does not answer any more:\n{where}")
            time.sleep(0.01)
        self.seen = seen
        if seen["waiting"]:
            return f"{seen['waiting']} keys still wait"
        if seen["shown"] != [seen["pane"]]:
            return f"the tab is {seen['pane']}, shown is {seen['shown']}"
        if len(seen["screens"]) > 1:
            return ""
        if seen["pane"] not in seen["focus_in"]:
            return f"the pane is {seen['pane']}, the focus on {seen['focus']}"
        if not (seen["focus_visible"] and seen["focus_attached"]):
            return f"the focus is on {seen['focus']}, which is not there to be seen"
        if seen["footer"] != seen["keys"]:
            return f"the footer tells of {seen['footer']}, there are {seen['keys']}"
        return ""

    def _check_runs(self) -> None:
        here = {entry.stat().st_ino: str(entry.relative_to(self.saves)) for entry in _runs(self.saves)}
        missing = [name for inode, name in self.inodes.items() if inode not in here]
        trashed = [name for inode, name in here.items() if "/" in name and "/" not in self.inodes.get(inode, "/")]
        lost = missing + trashed
        answers = self.folder / "seen.answers"
        titles = answers.read_text("utf-8").splitlines() if answers.exists() else []
        confirmed = sum(title.startswith(("Delete", "Remove", "Empty")) for title in titles)
        self.deleted = getattr(self, "deleted", 0) + len(lost)
        if self.deleted > confirmed and lost:
            raise self.failure(f"{lost} gone, confirmed was only {titles}")
        self.inodes = here

    def check_quiet(self) -> None:
        """Left alone, the screen costs next to nothing; and it has not grown."""
        for engine in self.engines():
            with contextlib.suppress(psutil.Error):
                engine.kill()
        time.sleep(2.0)
        self._check_alive()
        before = sum(self.process.cpu_times()[:2])
        time.sleep(QUIET_SECONDS)
        share = (sum(self.process.cpu_times()[:2]) - before) / QUIET_SECONDS
        if share > IDLE_SHARE:
            raise self.failure(f"{share:.0%} of a processor while nothing happens")
        if len(self.highest) > 8:
            growth = self.highest[-1] - self.highest[len(self.highest) // 3]
            if growth > SCREEN_MEGABYTES:
                raise self.failure(f"the screen has grown by {growth:.0f} MB: {self.highest}")
        self.look()


def _runs(saves: Path) -> Iterator[Path]:
    """The folders of runs, also those that were put into the trash."""
    with contextlib.suppress(OSError):
        for path in saves.rglob("run.json"):
            with contextlib.suppress(OSError):
                path.parent.stat()
                yield path.parent


def play(seed: int, seconds: float, size: tuple[int, int], folder: Path, forks: Mapping[str, str] | None = None) -> str:
    """One game; what it came to. Raises ``Failure``. ``forks``: variables for engines that start quickly."""
    game = Game(seed, size, folder, forks)
    try:
        game.begin()
        game.play(seconds)
        game.check_quiet()
        memory = f"{game.highest[0]:.0f} to {game.highest[-1]:.0f} MB" if game.highest else "no look"
        return f"seed {seed} at {size[0]}x{size[1]}: {game.keys} keys, {memory}"
    finally:
        game.end()


def main(arguments: Sequence[str] | None = None) -> int:
    """Play by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-3")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--size", default="", help="60x16, 80x24, ...; by turns if not given")
    options = parser.parse_args(arguments)
    first, _, last = options.seeds.partition("-")
    failed = 0
    for seed in range(int(first), int(last or first) + 1):
        size = tuple(map(int, options.size.split("x"))) if options.size else SIZES[seed % len(SIZES)]
        with tempfile.TemporaryDirectory(prefix="player-", ignore_cleanup_errors=True) as folder:
            begun = time.monotonic()
            try:
                print(play(seed, options.minutes * 60, size, Path(folder)), flush=True)  # type: ignore[arg-type]
            except Failure as error:
                failed += 1
                print(f"--- after {time.monotonic() - begun:.0f} s at {size}\n{error}\n", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
