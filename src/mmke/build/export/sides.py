"""Which records go into the training split and which into evaluation.

Records that share a picture or a thing are a group, and a group is never divided: what a trained editor has seen is in
no evaluation. The sides are filled so that their sizes come as near to the wanted share as whole groups allow, and then
so that each type is divided in that share too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mmke.benchmarks.groups import connected
from mmke.build.log import digest_of

Side = Literal["train", "eval"]


@dataclass(frozen=True, slots=True)
class Item:
    """What decides where a record goes: its id, its type, and all that it may not share with the other side."""

    id: str
    type: str
    shares: frozenset[str]


class Sides(NamedTuple):
    """The side and the group number of each record, by its id, and earlier records that had to change their side."""

    of: Mapping[str, Side]
    group: Mapping[str, int]
    moved: tuple[str, ...]


def divide(items: Sequence[Item], *, train: float, seed: int, earlier: Mapping[str, Side] | None = None) -> Sides:
    """Divide records.

    Args:
        items: in any order; the result depends on their content alone.
        train: wanted share of the training split, from 0 to 1.
        seed: decides between groups that fit equally well.
        earlier: where records stood in an earlier export; they stay there. Where a new record joins groups of both
            sides, all of them go to the side that had more of them.
    """
    earlier = earlier or {}
    groups = sorted(grouped(items), key=lambda group: (-len(group), digest_of(seed, min(each.id for each in group))))
    pinned = [_earlier_side(group, earlier) for group in groups]
    chosen = _fill(groups, pinned, train)
    of: dict[str, Side] = {each.id: side for group, side in zip(groups, chosen, strict=True) for each in group}
    numbers = {each.id: n for n, group in enumerate(groups) for each in group}
    moved = tuple(id_ for id_ in sorted(earlier) if id_ in of and of[id_] != earlier[id_])
    return Sides(of, numbers, moved)


def grouped(items: Iterable[Item]) -> list[list[Item]]:
    """Return the groups of items that share something, directly or through others; each in the order of its ids."""
    ordered = sorted(items, key=lambda each: each.id)
    groups: dict[int, list[Item]] = {}
    for item, number in zip(ordered, connected([each.shares for each in ordered]), strict=True):
        groups.setdefault(number, []).append(item)
    return list(groups.values())


def _earlier_side(group: Sequence[Item], earlier: Mapping[str, Side]) -> Side | None:
    counts = Counter(earlier[each.id] for each in group if each.id in earlier)
    if not counts:
        return None
    return "train" if counts["train"] > counts["eval"] else "eval"


def _fill(groups: Sequence[Sequence[Item]], pinned: Sequence[Side | None], train: float) -> list[Side]:
    """Choose a side for each group: one after the other, then by moves and exchanges."""
    chosen: list[Side] = [side or "eval" for side in pinned]
    free = [n for n, side in enumerate(pinned) if side is None]
    sizes = [Counter(each.type for each in group) for group in groups]
    wanted = Counter[str]()
    for size in sizes:
        wanted.update(size)
    # How many more records of each type the training split should have; not whole.
    lacks = {kind: count * train for kind, count in wanted.items()}
    for n, side in enumerate(chosen):
        if side == "train":
            _take(lacks, sizes[n])
    for n in free:
        if _by_type(lacks, sizes[n]) < _by_type(lacks, {}):
            chosen[n] = "train"
            _take(lacks, sizes[n])
    _improve(chosen, free, sizes, lacks)
    if free and len(set(chosen)) == 1 and 0 < train < 1 and len(groups) > 1:
        # A split without a record is none: the smallest group goes to the other side, however small its share.
        chosen[free[-1]] = "train" if chosen[0] == "eval" else "eval"
    return chosen


def _improve(
    chosen: list[Side], free: Sequence[int], sizes: Sequence[Mapping[str, int]], lacks: dict[str, float]
) -> None:
    """Move the group, or exchange the two, that helps most, until none does: first the sizes count, then the types."""
    while True:
        # Of groups with as many records of the same types one stands for all.
        alike = {(chosen[n], frozenset(sizes[n].items())): n for n in reversed(free)}
        there, here = ([n for (side, _), n in alike.items() if side == each] for each in ("train", "eval"))
        moves: list[tuple[tuple[int, ...], dict[str, int]]] = [
            ((n,), _signed(chosen[n], sizes[n])) for n in (*there, *here)
        ]
        moves += [((n, m), _sum(_signed("train", sizes[n]), _signed("eval", sizes[m]))) for n in there for m in here]
        if not moves:
            return
        moved, gained = min(moves, key=lambda move: _cost(lacks, move[1]))
        if not _cost(lacks, gained) < _cost(lacks, {}):
            return
        _take(lacks, gained)
        for n in moved:
            chosen[n] = "train" if chosen[n] == "eval" else "eval"


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {kind: one.get(kind, 0) + other.get(kind, 0) for kind in (*one, *other)}


def _signed(side: Side, size: Mapping[str, int]) -> dict[str, int]:
    """Return what the training split gains where a group on this side changes to the other."""
    return {kind: count if side == "eval" else -count for kind, count in size.items()}


def _take(lacks: dict[str, float], gained: Mapping[str, int]) -> None:
    for kind, count in gained.items():
        lacks[kind] -= count


def _by_type(lacks: Mapping[str, float], gained: Mapping[str, int]) -> float:
    """Return by how many records the types miss their share where the training split gains a group, to six decimals."""
    return round(sum(abs(lack - gained.get(kind, 0)) for kind, lack in lacks.items()), 6)


def _cost(lacks: Mapping[str, float], gained: Mapping[str, int]) -> tuple[float, float]:
    whole = round(abs(sum(lacks.values()) - sum(gained.values())), 6)
    return whole, _by_type(lacks, gained)
