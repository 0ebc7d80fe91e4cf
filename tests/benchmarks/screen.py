"""The cases that need a screen. Each runs the real program in a pseudo-terminal of 120 x 40."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from core.events import EpochFinished, StateChanged
from core.runs.journal import parsed_line
from tests.benchmarks.comparison import compare
from tests.benchmarks.cost import focus_move, resident_memory
from tests.benchmarks.growth import GROWTH_CASES
from tests.benchmarks.outcome import Effort, Goal, Outcome, Row
from tests.benchmarks.recorder import PROJECT, Recorder, has_all, is_ready, playground, workplace
from tests.benchmarks.run_list import run_list

PRESET = "lyrics-scratch-sequential"
NAME = "measured"
# Characters that no text here has and each key press a new one: an echo cannot be mistaken.
RARE = [chr(point) for point in range(0x9B00, 0x9B00 + 600)]
INSPECT_KEY = "\x1b[15~"  # f5
LIVE_VIEWS = {
    "Step": "The model reads", "Gradient": "cuts it after", "Units": "correlation", "Why": "speaks for it",
    "Tokens": "is read like",
}  # fmt: skip
"""The views of Inspect that follow a training, in the order of their tabs, each with words that are on its screen."""


def has_curve(text: str) -> bool:
    """Whether there is a chart with a point or a line in it."""
    return "perplexity, log" in text and any(
        "\u2801" <= character <= "\u28ff" or character == "•" for character in text
    )


is_painted = has_all("Playground", "settings of a new run", "hidden", "Train new run", "f1 Help")


# ---------------------------------------------------------------------------------------------------------------------
# first paint, first point


def first_paint(effort: Effort) -> Outcome:
    """From the start of the process to the first whole screen, in turn with an app that has nothing in it."""
    ours, empty = [], []
    for _ in range(effort.rounds + 1):
        # a place for each round: at its end the standby engine goes, whose imports would slow down the next one
        with workplace() as (folder, environment):
            app = Recorder([sys.executable, "-m", "tests.benchmarks.empty_app"], environment=environment)
            app.wait_bytes("Quit")
            time.sleep(0.3)
            empty.append(app.first(has_all("an empty app", "Quit")) - app.began)
            app.close()
            with playground(folder / "saves", environment) as terminal:
                terminal.wait_bytes("Help")
                time.sleep(0.5)
                ours.append(terminal.first(is_painted) - terminal.began)
    ratios = tuple(our / other for our, other in zip(ours[1:], empty[1:], strict=True))
    rows = (
        Row("python -m tui, s", tuple(ours[1:])),
        Row("an empty Textual app with a chart, s", tuple(empty[1:])),
        Row("times the empty app", ratios),
    )
    goal = Goal("times the empty app", "median", 1.25, "x")
    return Outcome("first-paint", "start to the first whole screen, 120x40", "", (goal,), rows)


def first_point(effort: Effort) -> Outcome:
    """From the key that trains to the first point on the chart; the standby engine is ready, as it is for a person."""
    seconds = []
    for _ in range(effort.rounds + 1):
        with workplace() as (folder, environment), playground(folder / "saves", environment) as terminal:
            terminal.wait_screen(is_ready)
            time.sleep(0.5)
            pressed = time.perf_counter()
            terminal.type("\x14")  # ctrl+t
            terminal.wait_bytes("perplexity, log", since=len(terminal.chunks))
            time.sleep(0.3)
            seconds.append(terminal.first(has_curve, pressed) - pressed)
    rows = (Row("bundled lyrics, CPU", tuple(seconds[1:])),)
    goal = Goal("bundled lyrics, CPU", "median", 0.7, "s")
    return Outcome("first-point", "Train pressed to the first point on the chart", "s", (goal,), rows)


# ---------------------------------------------------------------------------------------------------------------------
# while a model trains


@contextmanager
def training(saves: Path, environment: Mapping[str, str], seconds: float) -> Iterator[Path]:
    """A training without a screen that has work for about ``seconds``; gives its journal, three epochs in."""
    pace = _epochs_per_second(saves.with_name("probe"), environment)
    epochs = max(250, int(1.5 * seconds * pace))
    with _trainer(saves, environment, epochs) as journal:
        yield journal


@contextmanager
def _trainer(saves: Path, environment: Mapping[str, str], epochs: int) -> Iterator[Path]:
    command = [sys.executable, "-m", "core", "train", "--preset", PRESET, "--epochs", str(epochs)]
    command += ["--saves", str(saves), "--name", NAME]
    # A session of its own, as an engine has: the kernel divides the cores among sessions, and this one's would be that
    # of the recorder, which would then wait for the trainer before it notes what the playground has printed long ago.
    process = subprocess.Popen(
        command, cwd=PROJECT, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    journal = saves / NAME / "metrics.jsonl"
    try:
        deadline = time.monotonic() + 120
        while len(_epoch_times(journal)) < 3:
            if time.monotonic() > deadline or process.poll() is not None:
                raise TimeoutError("the training does not begin")
            time.sleep(0.1)
        yield journal
    finally:
        process.kill()
        process.wait()


def _epochs_per_second(saves: Path, environment: Mapping[str, str]) -> float:
    with _trainer(saves, environment, 10**6) as journal:
        time.sleep(3.0)
        times = _epoch_times(journal)
        return (len(times) - 1) / (times[-1] - times[0])


def _epoch_times(journal: Path) -> list[float]:
    """When each epoch was finished, seconds since 1970."""
    try:
        lines = journal.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [value["time"] for line in lines if (value := parsed_line(line)) and value["event"] == "epoch"]


def _rate(journal: Path, seconds: float) -> float:
    """Epochs a second over the next ``seconds``, samples and checkpoints included."""
    begin = time.time()
    time.sleep(seconds)
    deadline = begin + seconds + 30
    while len(times := [moment for moment in _epoch_times(journal) if moment >= begin]) < 3:
        if time.time() > deadline:
            raise TimeoutError("no epochs come any more: the training is at its end, or the machine too busy")
        time.sleep(0.2)
    return (len(times) - 1) / (times[-1] - times[0])


def _tokens_per_epoch(journal: Path) -> float:
    epochs = [parsed_line(line) for line in journal.read_bytes().split(b"\n")[:-1]]
    last = [epoch for epoch in epochs if epoch and epoch["event"] == "epoch"][-1]
    return round(last["tokens_per_second"] * last["seconds"])


PAIRS = 6
"""Pairs of turns a round, with the playground stopped and with it running, each a fifth of the window long."""
SETTLING = 0.5  # seconds at the beginning of a turn that are not counted


def speed_with_screen(effort: Effort) -> Outcome:
    """One training and one playground that watches it, which is stopped (by SIGSTOP) every other turn.

    The turns are short and many: what else the machine does changes more slowly than they do, and each is compared with
    the two beside it.
    """
    turn, pairs = effort.window / 5, PAIRS * effort.rounds
    stopped, watched, taken, idle = [], [], [], []
    with workplace() as (folder, environment):
        saves = folder / "saves"
        seconds = 2 * (pairs + 1) * (turn + SETTLING) + 30
        with training(saves, environment, seconds) as journal, playground(saves, environment) as terminal:
            tokens = _tokens_per_epoch(journal)
            terminal.wait_screen(lambda text: is_ready(text) and has_curve(text))
            screen = psutil.Process(terminal.pid)
            engines = screen.children()
            time.sleep(2.0)
            for number in range(2 * pairs + 1):
                is_stopped = number % 2 == 0
                screen.send_signal(signal.SIGSTOP if is_stopped else signal.SIGCONT)
                time.sleep(SETTLING)
                began, before, engines_before = time.perf_counter(), _processor(screen), _processor(*engines)
                rate = _rate(journal, turn) * tokens
                passed = (time.perf_counter() - began) / 100
                (stopped if is_stopped else watched).append(rate)
                if not is_stopped:
                    taken.append((_processor(screen) - before) / passed)
                    idle.append((_processor(*engines) - engines_before) / passed)
    around = [(before + after) / 2 for before, after in itertools.pairwise(stopped)]
    shares = [100 * rate / alone for rate, alone in zip(watched, around, strict=True)]
    rows = (
        Row("share, %", tuple(shares)), Row("watched, tokens/s", tuple(watched)),
        Row("stopped, tokens/s", tuple(stopped)), Row("playground, % of a core", tuple(taken)),
        Row("its idle engine, % of a core", tuple(idle)),
    )  # fmt: skip
    goal = Goal("share, %", "median", 98, "%", at_least=True)
    title = "training speed with the playground open over that with it stopped"
    return Outcome("speed-with-screen", title, "", (goal,), rows)


def _processor(*processes: psutil.Process) -> float:
    """Seconds of the processor that processes have used."""
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def speed_with_inspect(effort: Effort) -> Outcome:
    """One training all the time, without a screen and with Inspect open in each of the views that follow it."""
    views = effort.views or tuple(LIVE_VIEWS)
    shares: dict[str, list[float]] = {name: [] for name in views}
    with workplace() as (folder, environment):
        saves = folder / "saves"
        with training(saves, environment, effort.rounds * (len(views) + 1) * (effort.window + 10)) as journal:
            for _ in range(effort.rounds):
                before = _rate(journal, effort.window)
                with playground(saves, environment) as terminal:
                    terminal.wait_screen(is_ready)  # it opens with the pane of the round before
                    terminal.type(INSPECT_KEY)
                    terminal.wait_screen(has_all("The model reads"))
                    rates = {}
                    for place, (name, words) in enumerate(LIVE_VIEWS.items()):
                        if place:
                            terminal.type("\t")
                        terminal.wait_screen(has_all(words))
                        if name in views:
                            time.sleep(1.0)
                            rates[name] = _rate(journal, effort.window)
                time.sleep(1.0)
                alone = (before + _rate(journal, effort.window)) / 2
                for name, rate in rates.items():
                    shares[name].append(100 * rate / alone)
    rows = tuple(Row(name, tuple(values)) for name, values in shares.items())
    goals = tuple(Goal(name, "median", 97, "%", at_least=True) for name in views)
    return Outcome("speed-with-inspect", "training speed with Inspect open over without a screen", "%", goals, rows)


def bytes_per_second(effort: Effort) -> Outcome:
    """What a training sends to the terminal while its pane is open."""
    with workplace() as (folder, environment):
        saves = folder / "saves"
        with training(saves, environment, effort.seconds + 15) as journal, playground(saves, environment) as terminal:
            terminal.wait_screen(lambda text: is_ready(text) and has_curve(text))
            time.sleep(2.0)
            begin = time.perf_counter()
            epochs = len(_epoch_times(journal))
            time.sleep(effort.seconds)
            edges = [begin + second for second in range(int(effort.seconds) + 1)]
            epochs = len(_epoch_times(journal)) - epochs
            rates = [terminal.bytes_between(*pair) / 1e3 for pair in itertools.pairwise(edges)]
            mean = terminal.bytes_between(begin, begin + effort.seconds) / effort.seconds / 1e3
            ending = f"mean over {effort.seconds:g} s, {epochs / effort.seconds:.1f} epochs/s"
    rows = (Row(ending, (mean,)), Row("second by second", tuple(rates)))
    goal = Goal(ending, "median", 8, "kB/s")
    return Outcome("bytes", "sent to the terminal while training, 120x40", "kB/s", (goal,), rows)


def key_to_screen(effort: Effort) -> Outcome:
    """From a key press to its echo while a training uses all cores, in a field beside the curve and in a calm pane."""
    rows = []
    with workplace() as (folder, environment):
        saves = folder / "saves"
        with training(saves, environment, effort.keys + 30) as _, playground(saves, environment) as terminal:
            terminal.wait_screen(lambda text: is_ready(text) and has_curve(text))
            terminal.click("lyrics-zh  ")
            time.sleep(1.0)
            rows.append(Row("beside the curve", tuple(_echoes(terminal, effort.keys))))
            terminal.type("\x1b")
            time.sleep(0.3)
            terminal.press("f4")
            time.sleep(2.0)
            rows.append(Row("in the Generate pane", tuple(_echoes(terminal, effort.keys))))
    goals = tuple(Goal(row.name, "p99", 50, "ms") for row in rows)
    return Outcome("key-to-screen", "key to its echo while training on all cores", "ms", goals, tuple(rows))


def _echoes(terminal: Recorder, keys: int) -> list[float]:
    """Milliseconds from each key to its echo; the field is emptied behind each one."""
    pauses = random.Random(1)
    found = []
    for number in range(keys + 3):
        character = RARE[number % len(RARE)]
        since = len(terminal.chunks)
        pressed = time.perf_counter()
        terminal.type(character)
        found.append(1e3 * (terminal.wait_bytes(character, seconds=20, since=since) - pressed))
        time.sleep(pauses.uniform(0.05, 0.15))
        terminal.type("\x7f")
        time.sleep(pauses.uniform(0.05, 0.15))
    return found[3:]


# ---------------------------------------------------------------------------------------------------------------------
# a long journal


def long_journal(effort: Effort) -> Outcome:
    """Opens a run with very many epochs from the list of runs, and draws its whole curve."""
    opened = []
    ending = f"{effort.epochs}/{effort.epochs}"

    def is_whole(text: str) -> bool:
        return has_curve(text) and ending in text.replace(" ", "").replace(",", "")

    with workplace() as (folder, environment):
        saves = folder / "saves"
        epochs = make_long_run(saves, environment, effort.epochs)
        for _ in range(effort.rounds + 1):
            with playground(saves, environment) as terminal:
                terminal.wait_screen(is_ready)
                terminal.press("f6")
                terminal.wait_screen(has_all(NAME, "finished"))
                time.sleep(1.0)
                pressed = time.perf_counter()
                terminal.type("\r")
                time.sleep(0.2)
                terminal.wait_screen(is_whole)
                opened.append(terminal.first(is_whole, pressed) - pressed)
    rows = (
        Row("opened, ms", tuple(1e3 * second for second in opened[1:])),
        Row("a redraw of the chart, ms", tuple(redraws(epochs, 20 * effort.rounds))),
    )
    goals = tuple(Goal(row.name, "median", limit, "ms") for row, limit in zip(rows, (1000, 10), strict=True))
    return Outcome("long-journal", f"a run with {effort.epochs:,} epochs", "", goals, rows)


def make_long_run(saves: Path, environment: Mapping[str, str], epochs: int) -> list[EpochFinished]:
    """A finished run whose journal has so many epochs; returns them."""
    command = [sys.executable, "-m", "core", "train", "--preset", PRESET, "--epochs", "1", "--saves", str(saves)]
    command += ["--name", NAME, "--set", "num_hiddens=8", "--set", "sample_every=0"]
    subprocess.run(command, cwd=PROJECT, env=dict(environment), check=True, stdout=subprocess.DEVNULL)
    run = saves / NAME
    facts = json.loads((run / "run.json").read_text("utf-8"))
    facts["config"]["num_epochs"] = epochs
    (run / "run.json").write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
    noise = random.Random(1)
    made = [
        EpochFinished(
            epoch,
            8 * epoch,
            1.05 + 1000 / (1 + 0.05 * epoch) * noise.uniform(0.9, 1.1),
            None,
            1.0,
            0.4,
            100.0,
            9e4,
            0.1,
        )
        for epoch in range(1, epochs + 1)
    ]
    with (run / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for event in (StateChanged("training", 0), *made, StateChanged("finished", epochs)):
            file.write(json.dumps({**event.to_json(), "time": 1.7e9}) + "\n")
    return made


def redraws(epochs: list[EpochFinished], times: int) -> list[float]:
    """Milliseconds of each redraw of the whole curve, at the size that it has on a screen of 120 x 40."""
    from tui.charts import GrowingCurve
    from tui.charts.curve_chart import CurveChart, LiveSeries

    chart = CurveChart()
    curve = GrowingCurve.of([e.epoch for e in epochs[:-times]], [e.perplexity for e in epochs[:-times]])
    chart.series = (LiveSeries("training", curve),)
    found = []
    for event in epochs[-times:]:
        curve.append(event.epoch, event.perplexity)
        began = time.perf_counter()
        chart.draw(76, 24)
        found.append(1e3 * (time.perf_counter() - began))
    return found[1:]


CASES: dict[str, Callable[[Effort], Outcome]] = {
    "first-paint": first_paint,
    "first-point": first_point,
    "focus-move": focus_move,
    "resident-memory": resident_memory,
    "key-to-screen": key_to_screen,
    "speed-with-screen": speed_with_screen,
    "speed-with-inspect": speed_with_inspect,
    "bytes": bytes_per_second,
    "long-journal": long_journal,
    "run-list": run_list,
    "compare": compare,
    **GROWTH_CASES,
}
