"""Random draws that depend on names alone, so that a thing more in a project changes as little as possible."""

import hashlib
from collections.abc import Iterable
from random import Random

from mmke.build.log import digest_of


def rng(*key: object) -> Random:
    """Return a random generator of its own for a key: the seed, and the names of what is drawn for."""
    return Random(digest_of(*key))  # noqa: S311  # reproducible, and not for secrets


def in_order(names: Iterable[str], *key: object) -> list[str]:
    """Return names in a random order. Two names stand in the same order whichever others there are."""
    start = hashlib.sha256(digest_of(*key).encode())

    def place(name: str) -> tuple[bytes, str]:
        digest = start.copy()
        digest.update(name.encode())
        return digest.digest(), name

    return sorted(names, key=place)
