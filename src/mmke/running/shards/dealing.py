"""Deal the records and the streams of a run out to shards, which know nothing of each other.

Records are dealt out in the blocks of `blocks.py`, in turns. So every shard has records of the whole evaluation order,
and as much to do as the others.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mmke.results.shard import Shard
from mmke.running.request import FLOOR
from mmke.running.shards.blocks import cut


class StreamName(NamedTuple):
    """Which streams a cell is one of."""

    benchmark: str
    editor: str


def cases_of(cases: Sequence[str], shard: Shard) -> frozenset[str]:
    """Return which of the cases of a benchmark, in evaluation order, are a shard's."""
    blocks = [block for number, block in enumerate(cut(len(cases))) if number % shard.of == shard.place]
    return frozenset(cases[place] for block in blocks for place in block)


def streams_of(names: Sequence[StreamName], shard: Shard) -> set[int]:
    """Return the places of a shard's streams, and of the floors that these need.

    Args:
        names: of each cell of a run of streams, in the order of the plan; one with several orders stands there as
            often, and so does its floor.
        shard: which part.
    """
    seen: Counter[StreamName] = Counter()
    orders = []
    for name in names:
        orders.append(seen[name])
        seen[name] += 1
    edited = [place for place, name in enumerate(names) if name.editor != FLOOR] or list(range(len(names)))
    mine = {place for turn, place in enumerate(edited) if turn % shard.of == shard.place}
    needed = {(names[place].benchmark, orders[place]) for place in mine}
    floors = {
        place for place, name in enumerate(names) if name.editor == FLOOR and (name.benchmark, orders[place]) in needed
    }
    return mine | floors
