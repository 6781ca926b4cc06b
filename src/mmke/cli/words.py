"""The command line that is being carried out, for the records of runs."""

from collections.abc import Sequence
from contextvars import ContextVar

WORDS: ContextVar[Sequence[str]] = ContextVar("WORDS", default=())


def command_line() -> list[str]:
    """Return the words of the command that is being carried out, `mmke` in front."""
    return ["mmke", *WORDS.get()]
