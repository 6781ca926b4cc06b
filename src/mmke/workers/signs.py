"""A sign in a folder, by which a worker sees that the folder of this name is the same one there as here."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def is_signed(folder: Path, sign: str) -> bool:
    """Tell whether the file lies in the folder of this name here."""
    return (folder / sign).is_file()
