"""``python -m core presets``: the bundled presets with the figures published for them, and the user's own."""

from __future__ import annotations

import argparse
import sys

from core.cli.printing import put, safe_text, tell
from core.errors import UserError
from core.settings.own_presets import check_preset_name, delete_preset, own_presets, preset_named, save_preset
from core.settings.presets import offered_presets
from core.settings.run_config import RunConfig
from core.settings.setting import key_values


def presets(options: argparse.Namespace) -> int:
    """List the presets with source, figures and notes."""
    own, problems = own_presets()
    for listed in (*offered_presets().values(), *own.values()):
        if options.json:
            put(listed.to_json())
            continue
        print(f"{listed.name}: {safe_text(listed.title)}{' (your own)' if listed.own else ''}")
        if listed.published:
            figures = ", ".join(f"{value:g} at {epoch}" for epoch, value in listed.published.items())
            print(f"  published training perplexity ({listed.source}): {figures}")
        if listed.note:
            print(f"  {listed.note}")
    for problem in problems:
        print(safe_text(problem), file=sys.stderr)
    return 0


def save(options: argparse.Namespace) -> int:
    name = check_preset_name(options.name)
    if name in own_presets()[0] and not options.force:
        raise UserError(f"there is already a preset {name}: choose another name, or replace it with --force")
    config = RunConfig() if options.preset is None else preset_named(options.preset).config
    config = config.with_texts(key_values(options.set, "num_hiddens=512"))
    made = save_preset(name, options.description, config)
    tell(options.json, made.to_json(), f"saved {made.name}: python -m core train --preset {made.name}")
    return 0


def delete(options: argparse.Namespace) -> int:
    delete_preset(options.name)
    tell(options.json, {"deleted": options.name}, f"deleted {options.name}")
    return 0
