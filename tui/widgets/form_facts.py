"""The lines at the foot of the form: what a training with these settings will be."""

from __future__ import annotations

from pathlib import Path

from textual import work
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from core.config import RunConfig
from core.errors import CorpusError
from tui.corpora import describe
from tui.preflight import preflight
from tui.text import shown_text

# Seconds after the last key before a text is counted, by a process of its own.
DELAY = 0.8
Key = tuple[str, str, str, int, int]


class FormFacts(Static):
    """Tokens, batches, parameters, memory. A text is counted once."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._config: RunConfig | None = None
        self._data_dir: Path | None = None
        self._timer: Timer | None = None
        self._counted: dict[Key, tuple[int, int] | str] = {}

    def know(self, config: RunConfig, tokens: int, vocabulary: int) -> None:
        """What a run tells of its text."""
        self._counted[_key(config)] = (tokens, vocabulary)

    def show(self, config: RunConfig | None, data_dir: Path | None) -> None:
        """The lines for ``config``; nothing where the form has errors."""
        self._config, self._data_dir = config, data_dir
        if config is None:
            self.update(Content("the settings above have errors"))
            return
        counted = self._counted.get(_key(config))
        if counted is None:
            self.update(Content("counting the text …"))
            if self._timer is not None:
                self._timer.stop()
            self._timer = self.set_timer(DELAY, self._count)
            return
        facts = preflight(config, *counted) if not isinstance(counted, str) else None
        words = facts.words() if facts is not None else str(counted)
        self.set_class(facts is None or bool(facts.problem), "-wrong")
        if str(self.content) != words:
            self.update(Content(words))

    @work(exclusive=True, exit_on_error=False)
    async def _count(self) -> None:
        config = self._config
        if config is None or _key(config) in self._counted:
            return
        try:
            facts = await describe(
                config.corpus, normalise=config.normalise, tokens=config.tokens, max_tokens=config.max_tokens,
                min_freq=config.min_freq, batch_size=1, num_steps=1, data_dir=self._data_dir,
            )  # fmt: skip
            self._counted[_key(config)] = (int(facts["tokens"]), int(facts["vocabulary"]))
        except CorpusError as error:
            self._counted[_key(config)] = shown_text(str(error))
        except (KeyError, TypeError, ValueError):
            self._counted[_key(config)] = "its statistics are of an unknown form"
        self.show(self._config, self._data_dir)


def _key(config: RunConfig) -> Key:
    """What the number of tokens, and of different ones, depends on."""
    return config.corpus, config.normalise, config.tokens, config.max_tokens, config.min_freq
