"""The errors that a person is meant to read: one sentence that says what is wrong and what would be right."""


class UserError(Exception):
    """Something the user can mend. The message is one sentence, shown as it stands; the command line exits with 2."""


class ConfigError(UserError):
    """A setting outside its range or at odds with another one.

    Attributes:
        field: the name of the ``RunConfig`` field to mend, or None where several take part.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class CorpusError(UserError):
    """A text that cannot be read, or is too short for what is asked of it."""


class RunError(UserError):
    """A run folder that is missing, damaged, foreign, or held by another engine."""


class EngineError(Exception):
    """An engine that failed, or went away. Not the user's doing: the command line exits with 1."""
