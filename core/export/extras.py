"""The libraries of the extra ``export``: imported when an export needs them, with a sentence where one is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from core.errors import UserError

COMMAND = "pip install -e '.[export]'"


def library(module: str, purpose: str) -> Any:
    """A module of a library. Raises UserError, which says how to install it, where it is missing or broken."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package
        reason = "is not installed" if missing else f"cannot be imported ({str(error)[:200]})"
        raise UserError(f"{purpose} needs {package}, which {reason}: run {COMMAND} in the project") from None
