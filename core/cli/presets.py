"""``python -m core presets``: the presets with the figures published for them."""

from __future__ import annotations

import argparse

from core.cli.printing import put
from core.settings.presets import PRESETS


def presets(options: argparse.Namespace) -> int:
    """List the presets with source, figures and notes."""
    for preset in PRESETS.values():
        if options.json:
            put(preset.to_json())
            continue
        print(f"{preset.name}: {preset.title}")
        if preset.published:
            figures = ", ".join(f"{value:g} at {epoch}" for epoch, value in preset.published.items())
            print(f"  published training perplexity ({preset.source}): {figures}")
        if preset.note:
            print(f"  {preset.note}")
    return 0
