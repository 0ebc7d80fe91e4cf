"""An example of ``config.toml``: every key with its meaning, all of them commented out."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding

from tui.preferences.configuration import preferences_path

_HEAD = """\
# The playground reads this file at each start; what is wrong in it is said on the screen, and the rest is used.
# It belongs at {path}
# The playground itself writes only the line of the theme, when another is chosen. Flags of the command line win.

# theme = "playground-light"     # f9 changes between dark and light; ctrl+p, Theme has more
# preset = "tale-en"             # what the settings begin with; a preset of your own, too
# device = "cpu"                 # auto, cpu, cuda, cuda:1 or mps

# [folders]                      # of the playground; python -m core takes --saves and --data
# saves = "~/runs"
# data = "~/texts"

# Settings of a new run, over those of the preset. With a preset or defaults here, the settings of the last training
# are not remembered. python -m core train --help and the form show all names and values.
# [defaults]
# num_hiddens = 512
# learning_rate = 0.5

# Keys, several with commas: a, ?, f8, ctrl+t, shift+left. The part before the dot says where a key acts.
# [keymap]
"""


def example(bindings: Iterable[Binding]) -> str:
    lines = dict.fromkeys(
        f'# "{binding.id}" = "{binding.key}"'.ljust(42) + f"# {binding.tooltip or binding.description}\n"
        for binding in bindings
        if binding.id and not binding.system
    )
    return _HEAD.format(path=preferences_path()) + "".join(lines)
