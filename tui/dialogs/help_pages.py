"""The pages of the help: the focused field, each pane, the settings, the glossary, ``config.toml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.widget import Widget

from core.generation.options import STRATEGIES
from core.settings.run_config import RunConfig
from core.settings.setting import Setting, shown
from tui.dialogs.glossary import PANE_WORDS, WORDS, meanings
from tui.dialogs.help import HelpPage, Lines, Section
from tui.forms.form import Form
from tui.forms.lines import SettingRow
from tui.text.keys import keyed

FIRST_STEPS = (
    ("1 or {app.data}", "Data: choose or download a text, look at its statistics, and use it for training"),
    (
        "2 or {app.train}",
        "Train: {train.train} trains a new model with the settings shown there, {train.vary} many that differ in some",
    ),
    ("3 or {app.generate}", "Generate: let a model write, even while it is being trained"),
    (
        "4 or {app.inspect}",
        "Inspect: look inside: a step, gradients through time, units, why, tokens, parity",
    ),
    (
        "5 or {app.runs}",
        "Runs: every run is saved automatically; open, copy, continue or delete it there; {runs.sweeps} shows a sweep",
    ),
    ("6 or {app.lab}", "Lab: predict a noisy sine wave, the textbook's first sequence experiment"),
    ("q", "Quit: training continues in the background and is found again at the next start"),
)
READ_ONLY_STEPS = (
    ("1 or {app.data}", "Data: look at a text: its statistics, its tokens, pairs and triples, its batches"),
    ("2 or {app.train}", "Train: the settings, the curve and the samples of the open run, also while it is trained"),
    ("5 or {app.runs}", "Runs: every run that was saved; open or compare them there; {runs.sweeps} shows a sweep"),
    ("q", "Quit"),
)
CONFIGURATION = (
    (
        "where",
        "~/.config/rnn-playground/config.toml; python -m tui --example-config prints it with every entry explained",
    ),
    ("theme", 'theme = "playground-light"; f9 and ctrl+p, Theme write it'),
    ("preset", 'preset = "tale-en": what the settings begin with'),
    ("[folders]", 'saves = "~/runs" and data = "~/texts"'),
    ("[defaults]", "num_hiddens = 512: settings of a new run, over those of the preset"),
    ("[keymap]", '"train.save" = "ctrl+w": another key, by the id of the binding'),
    ("mistakes", "are said on the screen at the start; the rest of the file is used"),
    ("remembered", "without any file: the last pane, the axes, recent files, the settings of the last training"),
)


def help_pages(
    focused: Widget | None,
    panes: Sequence[tuple[str, str, Lines]],
    everywhere: Lines,
    pointed: tuple[Section, ...] = (),
    read_only: bool = False,
) -> tuple[HelpPage, ...]:
    """All pages. ``panes``: name, title and keys of each, the one on screen first; ``everywhere``: keys of the app.

    ``pointed``: what the number under the pointer means, see ``tui.dialogs.pointed``.
    """
    explained = explanation(focused)
    steps = tuple((keyed(keys), keyed(words)) for keys, words in (READ_ONLY_STEPS if read_only else FIRST_STEPS))
    return (
        *([HelpPage("This number", pointed)] if pointed else []),
        *([HelpPage("This field", explained)] if explained else []),
        *(HelpPage(title, _pane_sections(name, title, keys, steps)) for name, title, keys in panes),
        HelpPage("Everywhere", (("First steps", steps), ("Keys everywhere", everywhere))),
        HelpPage("Settings", _setting_sections()),
        HelpPage("Glossary", (("Glossary", WORDS),)),
        HelpPage("config.toml", (("Preferences", CONFIGURATION),)),
    )


def explanation(focused: Widget | None) -> tuple[Section, ...]:
    """What the field means that has the focus; empty if none has."""
    ancestors = focused.ancestors_with_self if focused is not None else []
    form = next((node for node in ancestors if isinstance(node, Form)), None)
    row = form.focused_row if form is not None else None
    if form is None or not isinstance(row, SettingRow):
        return ()
    setting = row.setting
    lines = [("meaning", setting.help), *_facts(setting)]
    reason = form.schema.no_effect_reason(setting, form.texts)
    lines += [("now", reason)] if reason else []
    words = f" {setting.label} {setting.help} ".casefold()
    related = [(word, meaning) for word, meaning in WORDS if word.casefold() in words]
    return ((setting.label, tuple(lines)), *([("Words", tuple(related))] if related else []))


def _facts(setting: Setting) -> Lines:
    default = shown(setting.default) if setting.default != "" else "empty"
    unit = f" {setting.unit}" if setting.unit else ""
    live = [("live", "may change while a run trains")] if setting.live else []
    return [
        ("permitted", setting.range_text() + unit),
        ("default", default),
        *live,
        ("name", f"--set {setting.name}=…"),
    ]


def _pane_sections(name: str, title: str, keys: Lines, steps: Lines) -> tuple[Section, ...]:
    about = tuple(step for step in steps if step[1].startswith(f"{title}:"))
    strategies = tuple((strategy.name, strategy.help) for strategy in STRATEGIES)
    return (
        *([(title, about)] if about else []),
        *([(f"Keys in {title}", keys)] if keys else []),
        *([("Strategies in Generate", strategies)] if name == "generate" else []),
        (f"Words in {title}", tuple(meanings(PANE_WORDS[name]))),
    )


def _setting_sections() -> tuple[Section, ...]:
    groups: Mapping[str, list[tuple[str, str]]] = {item.group: [] for item in RunConfig.settings()}
    for item in RunConfig.settings():
        groups[item.group].append((item.label, f"{item.help} ({item.range_text()}; --set {item.name}=…)"))
    return tuple((f"Settings: {group}", tuple(lines)) for group, lines in groups.items())
