"""All about a preset: where it comes from, what was published for it, and the traps in that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from core.settings.presets import Preset
from core.units import counted, perplexity_text, rate_text
from tui.dialogs.dialog import Dialog
from tui.text.keys import key
from tui.text.safe import shown_text
from tui.themes import QUIET


class PresetScreen(Dialog[None]):
    """Scrolls; escape closes it. ``measured``: training perplexities by epoch of ``run``, which is of the preset."""

    AUTO_FOCUS = "#preset-about"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,i,q", "dismiss", "Close", tooltip="Back to the pane", id="preset.close"),
    ]

    def __init__(
        self, preset: Preset, measured: Mapping[int, float] | None = None, run: str = "", read_only: bool = False
    ) -> None:
        super().__init__()
        self._preset = preset
        self._measured = measured or {}
        self._run = run
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="preset-about", classes="dialog") as box:
            box.border_title = Content(self._preset.name)
            box.border_subtitle = Content("esc closes")
            words = about(self._preset, self._measured, self._run, self._read_only)
            yield Static(words, id="preset-words")


def about(preset: Preset, measured: Mapping[int, float], run: str, read_only: bool = False) -> Content:
    """What there is to say, as paragraphs."""
    config = preset.config
    training = (
        f"{config.optimiser} {rate_text(config.learning_rate)}, {config.sampling} batches of {config.batch_size} x "
    )
    training += f"{counted(config.num_steps, 'token')}, "
    training += f"as many epochs as {config.minutes:g} minutes allow" if config.minutes else \
        counted(config.num_epochs, "epoch")  # fmt: skip
    parts = [
        Content.styled(shown_text(preset.title), "bold"),
        Content(f"{config.model_name} on {config.corpus}; {training}"),
        Content.assemble(("source  ", QUIET), shown_text(preset.source)),
        _figures(preset, measured, run, read_only),
    ]
    if preset.note:
        parts.append(Content(shown_text(preset.note)))
    return Content("\n\n").join(parts)


def _figures(preset: Preset, measured: Mapping[int, float], run: str, read_only: bool) -> Content:
    if not preset.published:
        return Content.styled("No perplexity by epoch was published.", QUIET)
    rows = [Content.styled("training perplexity   epoch   published   measured", QUIET)]
    for epoch, value in preset.published.items():
        own = perplexity_text(measured[epoch]) if epoch in measured else "–"
        rows.append(Content(f"{'':<19}{epoch:>8}{perplexity_text(value):>12}{own:>11}"))
    first = min(preset.published)
    how = "" if read_only else f": {key('train.train')} trains it"
    where = f"{shown_text(run)} has not come to epoch {first:,} yet" if run else f"nothing measured yet{how}"
    where = f"measured in {shown_text(run)}" if measured else where
    return Content("\n").join([*rows, Content.styled(where, QUIET)])
