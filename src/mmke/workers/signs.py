"""A sign in a folder, by which a worker sees that the folder of this name is the same one there as here.

In: a folder that workers write into themselves. Out: the name of a file in it, as long as the jobs last.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmke.workers.dispatch import NotThisWorkerError


@contextmanager
def signed(folder: Path) -> Iterator[str]:
    """Within, a file lies in a folder, which is made where it is missing; yield the file's name."""
    folder.mkdir(parents=True, exist_ok=True)
    sign = folder / f".workers-{secrets.token_hex(8)}"
    sign.touch()
    try:
        yield sign.name
    finally:
        sign.unlink(missing_ok=True)


def check_signed(folder: Path, sign: str, *, what: str) -> None:
    """Refuse a worker on which the folder of this name is another one; `what` writes into it, such as "streams".

    Raises:
        NotThisWorkerError: the sign is not in the folder.
    """
    if not (folder / sign).is_file():
        raise NotThisWorkerError(f"--out {folder} is another folder there; {what} need one that all machines share")
