"""A terminal playground for recurrent language models."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from core import output
from core.errors import UserError
from core.process import pause_collection, require_open_files, speak_utf8, temporary_folder
from core.runs.saves import check_new_run, check_saves
from core.runs.store import find_run
from tui.preferences.configuration import Configuration, preferences_path, read_configuration
from tui.serving import require_packages

if TYPE_CHECKING:
    from textual.binding import Binding

PROGRAM = "python -m tui"
HERE = Path(__file__).resolve().parent.parent
EXAMPLE = "config.toml"
Folders: TypeAlias = Callable[[Path, Path], tuple[Path, Path]]


def main(arguments: list[str] | None = None) -> int:
    """Run the playground; the exit code is 2 for errors that the user can correct."""
    options = _parser().parse_args(arguments)
    if options.example_config:
        return _print_example()
    configuration = read_configuration(preferences_path())
    options.device = options.device or configuration.device or "auto"
    try:
        require_open_files()
        if options.read_only:
            configuration = _set_folders(options, configuration, readable_folders)
        else:
            temporary_folder()
            configuration = _set_folders(options, configuration, checked_folders)
        run = find_run(options.saves, options.run).path if options.run is not None else None
        if options.serve:
            return _serve(options)
        if options.port is not None:
            raise UserError("--port is the port of --serve: give both")
        if not options.window:
            _require_terminal()
    except UserError as error:
        output.guard()
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    return _play(options, run, configuration)


def _require_terminal() -> None:
    """Raise UserError unless all three streams are terminals; Textual draws on standard error."""
    streams = {"input": sys.stdin, "output": sys.stdout, "error": sys.stderr}
    others = [f"standard {name}" for name, stream in streams.items() if stream is None or not stream.isatty()]
    if others:
        words = f"{' and '.join(others)} {'is not one' if len(others) == 1 else 'are not'}"
        raise UserError(f"the playground needs a terminal, but {words}; in a script use python -m core instead")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--saves", type=Path, metavar="DIR", help="where the runs are kept")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the bundled texts are")
    parser.add_argument("--device", metavar="D", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--run", metavar="NAME", help="open this run, by its name or its path")
    parser.add_argument(
        "--read-only", action="store_true",
        help="show everything and change nothing, for the screen of a classroom: no training, writing, saving, "
        "renaming, deleting or downloading, and nothing is remembered",
    )  # fmt: skip
    parser.add_argument(
        "--serve", action="store_true",
        help="show the playground in a browser instead of this terminal: prints an address on this machine's loopback "
        "that only works as a whole, with the random token in it. Each window is a playground of its own; trainings "
        "continue when it is closed. From another machine: ssh -L PORT:127.0.0.1:PORT HOST, then open the same address",
    )  # fmt: skip
    parser.add_argument("--port", type=_port, metavar="PORT", help="the port of --serve; a free one by default")
    parser.add_argument(
        "--example-config", action="store_true", help=f"print an example of {EXAMPLE}, with every key that can be set"
    )
    # What the server starts for each window; its screen goes through standard output.
    parser.add_argument("--window", type=_size, metavar="WIDTHxHEIGHT", help=argparse.SUPPRESS)
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"a port is between 0 and 65535, got {text}")
    return port


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def _serve(options: argparse.Namespace) -> int:
    """Serve playgrounds until a signal. Raises UserError."""
    require_packages()
    from tui.serving.server import serve

    output.guard()
    arguments = [f"--saves={options.saves}", f"--data={options.data}", f"--device={options.device}"]
    arguments += [f"--run={options.run}"] if options.run is not None else []
    arguments += ["--read-only"] if options.read_only else []
    serve(arguments, options.port or 0)
    return 0


def _play(options: argparse.Namespace, run: Path | None, configuration: Configuration) -> int:
    """Run the app in this terminal, or in a window of the browser; its exit code."""
    pause_collection()
    # After a paint Textual waits one to two frames for the next, a key's echo included: 33 to 66 ms with 30 a second.
    # More frames cost nothing: the playground paints after a change only. The environment can override both.
    os.environ.setdefault("TEXTUAL_FPS", "240")
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    # Remarks of asyncio would be written across the screen.
    logging.getLogger("asyncio").addHandler(logging.NullHandler())
    from tui.preferences.preferences import Preferences

    preferences = Preferences(preferences_path(), configuration=configuration)  # reads during the imports below
    from tui.app import Playground
    from tui.shell.safety_net import SafetyNet

    kind = Playground
    if options.read_only:
        from tui.read_only import ReadOnlyPlayground, forbid_changes

        kind = ReadOnlyPlayground
        forbid_changes()
    app = kind(saves=options.saves, data_dir=options.data, device=options.device, run=run)
    if options.window:
        from tui.serving.driver import KEYMAP, WindowDriver

        app.driver_class = WindowDriver
        app.update_keymap(KEYMAP)
    if not options.read_only:
        app.preferences = preferences
    preferences.begin(app, _all_bindings, dict(app.keymap))
    net = SafetyNet(app, app.leave)
    with net.spread():
        app.run(size=options.window)
    output.guard()  # the terminal may be gone
    output.tolerate()
    for name in () if options.window else app.left_training:
        print(f"{name} continues training; {command_for(options.saves, configuration)} finds it again")
    if net.sentence:
        print(f"{PROGRAM}: {net.sentence}", file=sys.stderr)
    return app.return_code or 0


def command_for(saves: Path, configuration: Configuration) -> str:
    """The command that opens a playground with the runs in ``saves``."""
    usual = configuration.folders.get("saves", HERE / "saves")
    return PROGRAM if saves.resolve() == usual.resolve() else f"{PROGRAM} --saves {shlex.quote(str(saves))}"


def _set_folders(options: argparse.Namespace, configuration: Configuration, checked: Folders) -> Configuration:
    """Set the folders: those of the command line, of ``config.toml``, or of the project. Raises UserError.

    Folders of ``config.toml`` that cannot be used are replaced by those of the project, and become a sentence.
    """
    asked = {"saves": options.saves, "data": options.data}
    own = {name: path for name, path in configuration.folders.items() if asked[name] is None}
    named = {name: path or own.get(name) or HERE / name for name, path in asked.items()}
    try:
        options.saves, options.data = checked(named["saves"], named["data"])
    except UserError as error:
        if not own:
            raise
        words = str(error).replace("--data", "folders.data")
        options.saves, options.data = checked(*(asked[name] or HERE / name for name in ("saves", "data")))
        problem = f"{preferences_path()}: folders are not used: {words}"
        return replace(configuration, problems=(*configuration.problems, problem))
    return configuration


def _all_bindings() -> list[Binding]:
    from tui.app import Playground
    from tui.commands import all_bindings

    return all_bindings(Playground)


def _print_example() -> int:
    from tui.preferences.example import example

    output.guard()
    print(example(_all_bindings()), end="")
    return 0


def checked_folders(saves: Path, data: Path) -> tuple[Path, Path]:
    """Both as absolute paths; creates ``saves`` if it is missing. Raises UserError."""
    _check_data(data)
    check_new_run(saves)
    try:
        saves.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder of runs {saves} cannot be created: {error.strerror}") from None
    return saves.resolve(), data.resolve()


def readable_folders(saves: Path, data: Path) -> tuple[Path, Path]:
    """Both as absolute paths; creates nothing. Raises UserError."""
    _check_data(data)
    check_saves(saves)
    return saves.resolve(), data.resolve()


def _check_data(data: Path) -> None:
    if not os.path.isdir(data):  # Path.is_dir raises if a parent folder may not be entered
        raise UserError(f"--data must be a folder of texts, got {str(data)!r}")


if __name__ == "__main__":
    speak_utf8()
    sys.exit(main())
