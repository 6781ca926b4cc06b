"""The command line that is being carried out, for the records of runs."""

from collections.abc import Sequence
from contextvars import ContextVar
from itertools import zip_longest

from mmke.errors import UserError

USUAL = {"--ray": "here", "--abilities": "all"}
"""Options that can be given without a value, and what they then mean."""
WORDS: ContextVar[Sequence[str]] = ContextVar("WORDS", default=())


def command_line() -> list[str]:
    """Return the words of the command that is being carried out, `mmke` in front."""
    return ["mmke", *WORDS.get()]


def check_none_empty(words: Sequence[str]) -> None:
    """Refuse an empty word: as a path it would be the current folder.

    Raises:
        UserError: the message names what stands before it.
    """
    for place, word in enumerate(words):
        before = word.removesuffix("=") if word.startswith("--") and word.endswith("=") else None
        if not word:
            before = words[place - 1] if place else "mmke"
        if before is not None:
            raise UserError(f"nothing stands behind {before}; a variable of the shell may be empty")


def spelled_out(words: Sequence[str]) -> list[str]:
    """Return a command line with the usual value behind options that have none: typer knows no option with and without.

    In: `run --ray --limit 3`. Out: `run --ray here --limit 3`.
    """
    spelled: list[str] = []
    for word, next_one in zip_longest(words, words[1:], fillvalue="--"):
        spelled += [word, USUAL[word]] if word in USUAL and next_one.startswith("-") else [word]
    return spelled
