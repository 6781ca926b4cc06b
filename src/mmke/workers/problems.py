"""What of a command's jobs is left out, and why; how often a job is tried before that."""

from typing import NamedTuple

from mmke.workers.protocols import Lost

TRIES = 3
"""A job with which so many workers were lost is left out."""


class Problem(NamedTuple):
    """What was left out, and why."""

    what: str
    why: str

    def __str__(self) -> str:
        """Return the line that tells the user."""
        return f"left out: {self.what}: {self.why}"


def why_lost(tries: int, lost: Lost) -> str:
    """Say why a job is left out with which so many workers were lost; the last of them is `lost`."""
    log = f"\n{lost.log}" if lost.log else ""
    return f"{tries} workers were lost with it, the last one: {lost.why}{log}"
