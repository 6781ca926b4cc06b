"""Random draws that depend on names alone, so that a thing more in a project changes as little as possible."""

from collections.abc import Iterable
from random import Random

from mmke.build.log import digest_of


def rng(*key: object) -> Random:
    """Return a random generator of its own for a key: the seed, and the names of what is drawn for."""
    return Random(digest_of(*key))  # noqa: S311  # reproducible, and not for secrets


def in_order(names: Iterable[str], *key: object) -> list[str]:
    """Return names in a random order. Two names stand in the same order whichever others there are."""
    return sorted(names, key=lambda name: (digest_of(*key, name), name))
