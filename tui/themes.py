"""The two themes of the playground: greys, a warm accent, a cool colour for the second curve."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

QUIET = "$foreground 60%"
"""The style of names, units and explanations."""

# The colours of runs in one chart, in the order of those of a picture (core.export.picture), lighter.
RUN_COLOURS = {
    "run-1": "#4fa3e0", "run-2": "#f07f3c", "run-3": "#2fbf8f", "run-4": "#e08fc0", "run-5": "#e8b83e",
    "run-6": "#8ccbf0", "run-7": "#b5ad3a", "run-8": "#a884d8",
}  # fmt: skip


def _variables(accent: str, background: str, surface: str, edge: str, hover: str, words: str) -> Mapping[str, str]:
    """What the variables of a theme are made of; ``edge`` is quiet, ``words`` are those of the footer."""
    return {
        "border": accent, "border-blurred": edge,
        "block-cursor-background": accent, "block-cursor-foreground": background, "block-cursor-text-style": "none",
        "footer-background": surface, "footer-description-foreground": words,
        "scrollbar": edge, "scrollbar-hover": hover, "scrollbar-active": accent,
        "scrollbar-background": background, "scrollbar-background-hover": background,
        "scrollbar-background-active": background,
    }  # fmt: skip


DARK = Theme(
    name="playground-dark", primary="#e0a458", secondary="#7fa9c9", accent="#e0a458", warning="#d8c46c",
    error="#e07a72", success="#8fb578", foreground="#d6d9dd", background="#101317", surface="#161a1f", panel="#1d2228",
    boost="#ffffff08", dark=True,
    variables={
        **RUN_COLOURS, "input-selection-background": "#e0a458 35%",
        **_variables("#e0a458", "#101317", "#161a1f", edge="#39414b", hover="#4a5460", words="#9aa3ad"),
    },
)  # fmt: skip
LIGHT = Theme(
    name="playground-light", primary="#a35a0c", secondary="#2a6a91", accent="#a35a0c", warning="#8a6d00",
    error="#b3362c", success="#3f7a2e", foreground="#23282e", background="#fbfaf7", surface="#f4f2ed", panel="#eae7e0",
    boost="#00000008", dark=False,
    variables={
        "run-1": "#0072b2", "run-2": "#d55e00", "run-3": "#007a59", "run-4": "#b0568a", "run-5": "#a87000",
        "run-6": "#2b86bd", "run-7": "#757000", "run-8": "#6a3d9a", "input-selection-background": "#a35a0c 25%",
        **_variables("#a35a0c", "#fbfaf7", "#f4f2ed", edge="#c4bfb4", hover="#a9a395", words="#5b626a"),
    },
)  # fmt: skip
