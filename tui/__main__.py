"""A terminal playground for recurrent language models."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from core import output
from core.errors import UserError
from core.process import pause_collection, require_open_files, speak_utf8, temporary_folder
from core.runs.saves import check_new_run

HERE = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run the playground; the exit code is 2 for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m tui", description=__doc__)
    parser.add_argument("--saves", type=Path, default=HERE / "saves", metavar="DIR", help="where the runs are kept")
    parser.add_argument("--data", type=Path, default=HERE / "data", metavar="DIR", help="where the bundled texts are")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1 or mps")
    options = parser.parse_args(arguments)
    try:
        require_open_files()
        temporary_folder()
        saves, data = checked_folders(options.saves, options.data)
        # The screen is drawn on standard error: Textual's choice.
        if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
            raise UserError("the playground needs a terminal; in a script use python -m core, which can do the same")
    except UserError as error:
        output.guard()
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2

    pause_collection()
    # A screen over SSH is better off with fewer frames; whoever knows better says so in the environment.
    os.environ.setdefault("TEXTUAL_FPS", "30")
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    # What asyncio has to remark on processes would be written across the screen.
    logging.getLogger("asyncio").addHandler(logging.NullHandler())
    from tui.preferences import Preferences, preferences_path

    preferences = Preferences(preferences_path())  # it reads while all else is imported
    from tui.app import Playground
    from tui.shell.safety_net import SafetyNet

    app = Playground(saves=saves, data_dir=data, device=options.device)
    app.preferences = preferences
    preferences.begin(app)
    net = SafetyNet(app, app.leave)
    with net.spread():
        app.run()
    output.guard()  # the terminal may have gone
    output.tolerate()
    for name in app.left_training:
        print(f"{name} goes on training; python -m tui finds it again")
    if net.sentence:
        print(f"{parser.prog}: {net.sentence}", file=sys.stderr)
    return app.return_code or 0


def checked_folders(saves: Path, data: Path) -> tuple[Path, Path]:
    """Both as absolute paths, ``saves`` made if it is missing. Raises UserError with what would be right."""
    if not os.path.isdir(data):  # Path.is_dir raises where a folder above may not be entered
        raise UserError(f"--data must be a folder of texts, {str(data)!r} is none")
    check_new_run(saves)
    try:
        saves.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder of runs {saves} cannot be made: {error.strerror}") from None
    return saves.resolve(), data.resolve()


if __name__ == "__main__":
    speak_utf8()
    sys.exit(main())
