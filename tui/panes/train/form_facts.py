"""The lines below the form: size, memory and time of a training with these settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from textual import work
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from core.device import Device
from core.errors import CorpusError
from core.runs.pace import Pace, Shape, paces, shape_of
from core.settings.run_config import RunConfig
from core.training.preflight import Preflight, TextFacts, device_named, preflight
from core.units import bytes_text, clock_text, count_text, counted
from tui.corpora.downloads import not_here, not_here_words
from tui.corpora.statistics import describe, text_facts
from tui.services import is_alive
from tui.shell.breakpoints import is_short, when_short_changes
from tui.text.safe import shown_text

# Seconds after the last key before a text is counted, in a process of its own.
DELAY = 0.8
CUT = "of a longer text; max tokens 0 uses all"
Key = tuple[str, str, str, str, int, int]


class FormFacts(Static):
    """Tokens, batches, parameters, memory, time, and warnings. A text is counted once."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._config: RunConfig | None = None
        self._data_dir: Path | None = None
        self._timer: Timer | None = None
        self._counted: dict[Key, TextFacts | str] = {}
        self._devices: Sequence[Device] = ()
        self._paces: Mapping[Shape, Pace] = {}

    def on_mount(self) -> None:
        when_short_changes(self, self._paint)

    # ------------------------------------------------------------------ changes

    def set_text(self, config: RunConfig, tokens: int, vocabulary: int) -> None:
        """Set the sizes of a run's text, as a run has them: without the number of lines."""
        if config.documents == "stream":
            self._counted[_key(config)] = TextFacts(tokens, vocabulary)

    def set_devices(self, devices: Sequence[Device]) -> None:
        self._devices = devices
        self._paint()

    def forget_errors(self) -> None:
        """Count again the texts that could not be counted: one may have been downloaded."""
        self._counted = {key: facts for key, facts in self._counted.items() if not isinstance(facts, str)}
        if self._config is not None:
            self.show(self._config, self._data_dir)

    @work(exclusive=True, group="paces", exit_on_error=False)
    async def read_paces(self, saves: Path) -> None:
        found = await asyncio.to_thread(paces, saves)
        if is_alive(self):
            self._paces = found
            self._paint()

    def show(self, config: RunConfig | None, data_dir: Path | None) -> None:
        """Show the lines for ``config``, which is None if the form has errors."""
        self._config, self._data_dir = config, data_dir
        if config is not None and _key(config) not in self._counted:
            if self._timer is not None:
                self._timer.stop()
            self._timer = self.set_timer(DELAY, self._count)
        self._paint()

    # ------------------------------------------------------------------ showing

    def _paint(self) -> None:
        config = self._config
        if config is None:
            return self._say(self._in_place("the settings above have errors"), wrong=True)
        text = self._counted.get(_key(config))
        if text is None:
            return self._say(self._in_place("counting the text …"))
        if isinstance(text, str):
            return self._say(Content(text), wrong=True)
        brief = is_short(self)
        facts = preflight(config, text, device_named(config.device, self._devices))
        pace = self._paces.get(shape_of(config, text.vocabulary))
        lines = [
            Content.styled(line, "$foreground" if line == CUT else "") for line in preflight_lines(facts, pace, brief)
        ]
        if facts.problem:
            lines.append(Content.styled(facts.problem, "$text-error"))
        lines += [Content.styled(shown_text(warning), "$text-warning") for warning in facts.warnings]
        return self._say(Content("\n").join(lines))

    def _in_place(self, words: str) -> Content:
        """``words`` in as many lines as there are now, so that the form above does not move at every key."""
        return Content(words + "\n" * max(0, self.size.height - 1))

    def _say(self, words: Content, wrong: bool = False) -> None:
        self.set_class(wrong, "-wrong")
        if self.content != words:
            width, height = self.content_size
            self.update(words, layout=not width or words.get_height({}, width) != height)

    @work(exclusive=True, exit_on_error=False)
    async def _count(self) -> None:
        config = self._config
        if config is None or _key(config) in self._counted:
            return
        found = await facts_of_text(config, self._data_dir)
        if is_alive(self):
            self._counted[_key(config)] = found
            self._paint()


async def facts_of_text(config: RunConfig, data_dir: Path | None) -> TextFacts | str:
    """The numbers of the text of ``config``, or a sentence that says why it cannot be counted."""
    missing = await asyncio.to_thread(not_here, config.corpus, data_dir)
    if missing is not None:
        return not_here_words(missing)
    try:
        facts = await describe(
            config.corpus, normalise=config.normalise, tokens=config.tokens, max_tokens=config.max_tokens,
            min_freq=config.min_freq, batch_size=1, num_steps=1, documents=config.documents, data_dir=data_dir,
            top=0,
        )  # fmt: skip
        return text_facts(facts)
    except CorpusError as error:
        return shown_text(str(error))
    except (KeyError, TypeError, ValueError):
        return "its statistics have an unknown format"


def _key(config: RunConfig) -> Key:
    """The settings that the number of tokens and the vocabulary depend on."""
    return (
        config.corpus, config.normalise, config.tokens, config.documents, config.max_tokens, config.min_freq
    )  # fmt: skip


def preflight_lines(facts: Preflight, pace: Pace | None = None, brief: bool = False) -> list[str]:
    """A few short lines for the foot of the form; ``brief`` where the screen is low."""
    text = facts.text
    lines = [f"{'first ' if facts.cut else ''}{counted(text.tokens, 'token')} · vocabulary {text.vocabulary:,}"]
    lines += [CUT] if facts.cut else []
    if text.lines is not None and not brief:
        lines.append(f"{counted(text.lines, 'line')}, the longest of {counted(text.longest, 'token')}")
    if facts.problem:
        return lines
    batches = "1 batch" if facts.batches == 1 else f"{count_text(facts.batches)} batches"
    memory, parameters = facts.memory, f"{count_text(facts.parameters)} parameters"
    lines.append(f"{batches} an epoch · {parameters}")
    lines.append(f"memory about {bytes_text(memory.total)}" + ("" if brief else ":"))
    if not brief:
        lines.append(f"weights and gradients {bytes_text(memory.weights + memory.gradients)}")
        lines.append(f"optimiser {bytes_text(memory.optimiser)}, activations {bytes_text(memory.activations)}")
    if pace is not None:
        seconds = facts.tokens_per_epoch / pace.tokens_per_second
        lines.append(f"about {seconds_text(seconds)} an epoch, {_length(facts, seconds)}")
        if not brief:
            lines.append(f"as measured in {shown_text(pace.run)}")
    return lines


def _length(facts: Preflight, seconds: float) -> str:
    """How long training takes, or with a time budget how many epochs of ``seconds`` it has."""
    if facts.minutes:
        return f"{facts.minutes * 60 / seconds:.3g} in {facts.minutes:g} min"
    return f"{clock_text(seconds * facts.num_epochs)} in all"


def seconds_text(seconds: float) -> str:
    """``0.13 s``, ``12 s``, ``3:05``."""
    return clock_text(seconds) if seconds >= 99.5 else f"{seconds:.2g} s"
