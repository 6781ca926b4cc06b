"""Who is shown under whose picture: pairs within a type, and one triple where their number is odd.

Small groups keep the split small that must not separate what shares a picture. What is paired already stays so.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from mmke.build.draws import in_order


class Link(NamedTuple):
    """A subject and the thing whose picture it gets, by their ids."""

    subject: str
    pictured: str


class Groups(NamedTuple):
    """What is still to be made.

    Attributes:
        begun: links that are missing in groups of which others are there.
        fresh: groups of which nothing is there yet.
        alone: the thing that no other is left for; None where there is none.
    """

    begun: list[Link]
    fresh: list[list[Link]]
    alone: str | None


def groups(names: Iterable[str], kept: Mapping[str, str], *key: object) -> Groups:
    """Return the links that are missing.

    A group of which a part is there is closed as it was begun, so that a stage that was killed between two links goes
    on as if it had not been.

    Args:
        names: ids of the things of one type.
        kept: subject and pictured thing of the links that are there.
        key: what the draw depends on, besides the names.
    """
    taken = {*kept, *kept.values()}
    free = in_order((name for name in names if name not in taken), *key)
    fresh = [free[n : n + 2] for n in range(0, len(free) - 1, 2)]
    chains = list(_open_chains(kept))
    odd = free[-1] if len(free) % 2 else None
    if odd is None:
        return Groups([_closing(chain) for chain in chains], [_ring(group) for group in fresh], None)
    if fresh:
        fresh[-1].append(odd)
        return Groups([_closing(chain) for chain in chains], [_ring(group) for group in fresh], None)
    if not chains:
        return Groups([], [], odd)
    *closed, last = chains
    begun = [*(_closing(chain) for chain in closed), Link(last[-1], odd), _closing([*last, odd])]
    return Groups(begun, [], None)


def _open_chains(kept: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the things of each chain of links that does not come back to its beginning."""
    shown = set(kept.values())
    for start in kept:
        if start in shown:
            continue
        chain = [start]
        while chain[-1] in kept:
            chain.append(kept[chain[-1]])
        yield chain


def _closing(chain: list[str]) -> Link:
    return Link(chain[-1], chain[0])


def _ring(names: list[str]) -> list[Link]:
    return [Link(name, names[(n + 1) % len(names)]) for n, name in enumerate(names)]
