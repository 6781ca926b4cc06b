"""What a user can do wrong, told in one line and without a traceback."""


class UserError(Exception):
    """A mistake of the user's: the command line prints its message without a traceback and exits with 2."""


class NeedsTrainingError(UserError):
    """An editor was asked for that takes training records, and there are none."""


class CannotAskError(UserError):
    """One question, picture or edit that this model cannot take; a run leaves it unscored with this message."""
