"""Presets: named RunConfigs, with the figures that books and programs published for them, and the traps in those.

No torch in this module: the screen lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.config import RunConfig
from core.errors import ConfigError

D2L_ZH = "Dive into Deep Learning, 1st Chinese edition, chapter 6"
D2L_2 = "Dive into Deep Learning, 2nd Chinese edition, chapters 8 and 9"


@dataclass(frozen=True)
class Preset:
    """A configuration with a name.

    ``published`` gives training perplexity by epoch, as printed in ``source``; ``note`` tells what to know before one
    compares.
    """

    name: str
    title: str
    config: RunConfig
    source: str
    published: Mapping[int, float] = field(default_factory=dict)
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As ``presets --json`` prints it."""
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "published": {str(epoch): value for epoch, value in self.published.items()},
            "note": self.note,
            "config": self.config.to_dict(),
        }


_LYRICS = RunConfig(
    corpus="lyrics-zh", normalise="spaces", max_tokens=10_000, num_hiddens=256, batch_size=32, num_steps=35,
    optimiser="sgd", learning_rate=100.0, clipping="norm", clip=0.01, num_epochs=250, sample_prefix="分开",
    random_offset=False,
)  # fmt: skip
_LYRICS_NN = _LYRICS.replace(
    implementation="torch.nn", optimiser="adam", learning_rate=0.001, clipping="none", sampling="sequential"
)
_OWN_TEXT = "The book's text is under copyright and not bundled: lyrics-zh has about as many different characters."


def _presets() -> tuple[Preset, ...]:
    return (
        Preset(
            "lyrics-scratch-sequential",
            "scratch RNN on lyrics, sequential partition",
            _LYRICS.replace(sampling="sequential"),
            D2L_ZH,
            {50: 60.29, 100: 7.14, 150: 2.09, 200: 1.31, 250: 1.23},
            _OWN_TEXT,
        ),
        Preset(
            "lyrics-scratch-random",
            "scratch RNN on lyrics, random sampling",
            _LYRICS.replace(sampling="random"),
            D2L_ZH,
            {50: 65.81, 100: 9.79, 150: 2.77, 200: 1.60, 250: 1.32},
            _OWN_TEXT,
        ),
        Preset(
            "lyrics-nn-rnn",
            "torch.nn RNN on lyrics, Adam",
            _LYRICS_NN,
            D2L_ZH,
            {50: 9.41, 100: 1.26, 150: 1.06, 200: 1.03, 250: 1.05},
            "Trap: the book's code hands a generator to its clipping function, which uses it up: nothing is clipped; "
            "with clipping at 0.01 the curve is 38.0, 3.94, 1.23, 1.03, 1.02. " + _OWN_TEXT,
        ),
    )


PRESETS: dict[str, Preset] = {preset.name: preset for preset in _presets()}


def preset(name: str) -> Preset:
    """The preset of that name. Raises ConfigError with the names that there are."""
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
