"""The errors that a person reads: one sentence with what is wrong and what would be right."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Self


class UserError(Exception):
    """An error that the user can correct. The message is one sentence; the command line exits with 2.

    Attributes:
        field: the name of the setting to correct, or None.
        labelled: the message for a form, with the labels of settings in place of their names.
    """

    def __init__(self, message: str, field: str | None = None, labelled: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.labelled = message if labelled is None else labelled

    @classmethod
    def of(cls, other: UserError) -> Self:
        """The same error as one of this kind."""
        return cls(str(other), other.field, other.labelled)


class ConfigError(UserError):
    """A setting outside its range or in conflict with another; see ``core.settings.setting.refusal``."""


class CorpusError(UserError):
    """A text that cannot be read or is too short for the settings."""


class RunError(UserError):
    """A run folder that is missing, damaged, foreign, or held by another engine."""


class EngineError(Exception):
    """An engine that failed or disappeared, through no fault of the user: the command line exits with 1."""


class WorkersLostError(EngineError):
    """A process that trains a model together with others has gone, or does not answer."""


@contextlib.contextmanager
def refusing(words: str, kind: type[Exception] = RunError) -> Iterator[None]:
    """An OSError inside becomes an error of this kind: ``words`` and the system's reason."""
    try:
        yield
    except OSError as error:
        raise kind(f"{words}: {error.strerror or error}") from None
