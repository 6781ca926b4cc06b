"""What a user can do wrong, told in one line and without a traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user's: the command line prints its message without a traceback and exits with 2."""


class BrokenPluginError(UserError):
    """What another installed package registers cannot be used; the message names it, and other names go on working."""


class NeedsTrainingError(UserError):
    """An editor was asked for that takes training records, and there are none."""


class NotSetUpError(UserError):
    """Weights are not here that `mmke setup` brings."""


class TooLittleMemoryError(UserError):
    """A device or a machine has no room for what one record or one model takes; the message says what helps."""


class CannotAskError(UserError):
    """One question, picture or edit that this model cannot take; a run leaves it unscored with this message."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the nearest of some names as a question, or nothing; capitals make no difference."""
    plain = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(name.casefold(), plain, n=1)
    return f"; did you mean {plain[near[0]]!r}?" if near else ""


class CannotWriteError(UserError):
    """One text that a writer of the builder cannot write; the others go on."""


class UnreachableError(UserError):
    """A service that a source of the builder asks does not answer: the stage ends, and goes on when it is run again."""
