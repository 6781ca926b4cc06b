"""Numbers with their nouns, in the right form."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 problem", "1,070 problems", and with `plural` where an s is not enough."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
