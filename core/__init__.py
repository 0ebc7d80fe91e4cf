"""Recurrent language models: texts, models, training, runs and engines. No user interface.

The names below are what a notebook needs. They are imported when they are first used, so that ``import core`` imports
no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.corpus.reader import load_corpus
    from core.generation.options import Sampling
    from core.generation.writer import write
    from core.inspection.options import InspectionOptions
    from core.inspection.view import inspect
    from core.runs.run import Run
    from core.settings.run_config import RunConfig
    from core.training.trainer import Trainer

__version__ = "0.1.0"
__all__ = ["InspectionOptions", "Run", "RunConfig", "Sampling", "Trainer", "inspect", "load_corpus", "write"]

_MODULES = {
    "InspectionOptions": "core.inspection.options",
    "Run": "core.runs.run",
    "RunConfig": "core.settings.run_config",
    "Sampling": "core.generation.options",
    "Trainer": "core.training.trainer",
    "inspect": "core.inspection.view",
    "load_corpus": "core.corpus.reader",
    "write": "core.generation.writer",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
