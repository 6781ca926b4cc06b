"""Why something failed, and a text of any length, in the one line of a message that users read."""


def reason(error: BaseException) -> str:
    """Return the first line of an error's text, or its type where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def shortened(text: str, *, letters: int = 60) -> str:
    """Return a text in quotes, cut behind so many letters."""
    return repr(text) if len(text) <= letters else f"{text[:letters]!r}…"
