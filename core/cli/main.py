"""Run one command and return its exit code.

An error that the user can correct is one sentence on standard error and exit code 2; a failure of the program is exit
code 1. Bad input never ends in a traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from core.cli.parser import parser
from core.cli.printing import fail
from core.errors import EngineError, UserError
from core.output import OutputError
from core.process import require_open_files, resume_collection, temporary_folder

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    try:
        try:
            options = parser().parse_args(arguments)
        except SystemExit as help_shown:
            sys.stdout.flush()
            return int(help_shown.code or 0)
        require_open_files()
        if options.computes:
            temporary_folder()
        command = command_named(options.command)
        if not options.computes:  # the others import torch first
            resume_collection()
        code = command(options)
        sys.stdout.flush()
        return code
    except OutputError as error:
        return 0 if error.reader_left else fail(str(error), 2)  # a pipe into head is no error
    except UserError as error:
        return fail(str(error), 2)
    except EngineError as error:
        return fail(str(error), 1)
    except (MemoryError, RuntimeError) as error:
        from core.engine.failure import failure_words, is_out_of_memory

        if not is_out_of_memory(error):
            raise
        return fail(failure_words(error), 1)
    except KeyboardInterrupt:
        return fail("stopped", 130)


def command_named(path: str) -> Command:
    """The function that ``MODULE.FUNCTION`` names in this package. Only the command that runs is imported."""
    module, function = path.split(".")
    command: Command = getattr(import_module(f"core.cli.{module}"), function)
    return command
