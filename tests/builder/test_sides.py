"""No split separates records that share something, and both sides come as near to their size as groups allow."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmke.build.export.sides import Item, divide, grouped


def items(*shares: str, types: str = "") -> list[Item]:
    """Return an item for each text, which shares each of its letters."""
    return [
        Item(str(n), types[n] if types else "bird", frozenset(letters)) for n, letters in enumerate(shares, start=1)
    ]


def test_records_that_share_a_picture_directly_or_through_others_are_one_group() -> None:
    found = grouped(items("a", "a", "b", "c", "cd", "de"))
    assert {frozenset(each.id for each in group) for group in found} == {
        frozenset("12"),
        frozenset("3"),
        frozenset("456"),
    }


def test_groups_go_whole_to_one_side() -> None:
    sides = divide(items("a", "a", "b", "c", "cd", "de"), train=0.4, seed=0)
    assert sides.of == {"1": "train", "2": "train", "3": "eval", "4": "eval", "5": "eval", "6": "eval"}
    halves = divide(items("a", "a", "b", "c", "cd", "de"), train=0.5, seed=0)
    assert list(halves.of.values()).count("train") == 3
    assert len({halves.of[each] for each in "456"}) == 1


graphs = st.lists(
    st.tuples(st.sampled_from(["bird", "flag", "dish"]), st.frozensets(st.integers(0, 30), min_size=1, max_size=3)),
    min_size=2,
    max_size=40,
).map(lambda rows: [Item(f"r{n}", kind, frozenset(map(str, keys))) for n, (kind, keys) in enumerate(rows)])


@given(graphs, st.sampled_from([0.1, 0.25, 0.4, 0.5, 0.8]), st.integers(0, 3))
def test_no_split_of_any_graph_separates_a_group_and_sizes_are_near(made: list[Item], train: float, seed: int) -> None:
    sides = divide(made, train=train, seed=seed)
    for one in made:
        for other in made:
            if one.shares & other.shares:
                assert sides.of[one.id] == sides.of[other.id]
                assert sides.group[one.id] == sides.group[other.id]
    sizes = Counter(sides.group.values())
    # No group can be moved so that the sizes come nearer: the side that has too much has it by at most half of its
    # smallest group. One group alone is exempt: it is what a side has so that it is not empty.
    excess = Fraction(list(sides.of.values()).count("train")) - Fraction(str(train)) * len(made)
    heavy = {sides.group[id_] for id_, side in sides.of.items() if side == ("train" if excess > 0 else "eval")}
    assert len(heavy) == 1 or abs(excess) * 2 <= min(sizes[group] for group in heavy)
    assert len(sizes) == 1 or set(sides.of.values()) == {"train", "eval"}


@given(graphs, st.randoms())
def test_the_order_of_the_records_changes_nothing(made: list[Item], shuffle: object) -> None:
    other = list(made)
    shuffle.shuffle(other)  # type: ignore[attr-defined]
    assert divide(made, train=0.4, seed=1) == divide(other, train=0.4, seed=1)


def test_each_type_is_divided_in_the_same_share() -> None:
    made = [Item(f"{kind}{n}", kind, frozenset({f"{kind}{n // 2}"})) for kind in ("bird", "flag") for n in range(20)]
    sides = divide(made, train=0.4, seed=0)
    assert Counter((each.type, sides.of[each.id]) for each in made) == {
        ("bird", "train"): 8,
        ("bird", "eval"): 12,
        ("flag", "train"): 8,
        ("flag", "eval"): 12,
    }


def test_many_types_of_one_pair_each_still_give_both_sides_their_size() -> None:
    made = [Item(f"{n}", f"type {n // 2}", frozenset({str(n // 2)})) for n in range(60)]
    sides = divide(made, train=0.4, seed=0)
    assert Counter(sides.of.values()) == {"train": 24, "eval": 36}


def test_earlier_records_stay_and_new_ones_fill_up() -> None:
    made = items("a", "b", "c", "d", "e")
    first = divide(made, train=0.4, seed=0)
    more = [*made, *(Item(f"new{n}", "bird", frozenset({f"new{n}"})) for n in range(5))]
    later = divide(more, train=0.4, seed=0, earlier=first.of)
    assert {id_: side for id_, side in later.of.items() if id_ in first.of} == first.of
    assert Counter(later.of.values()) == {"train": 4, "eval": 6}
    assert later.moved == ()


def test_a_new_record_that_joins_groups_of_both_sides_moves_the_fewer() -> None:
    made = [*items("a", "ab", "b", "c"), Item("new", "bird", frozenset("bc"))]
    earlier = {"1": "train", "2": "train", "3": "train", "4": "eval"}
    sides = divide(made, train=0.4, seed=0, earlier=earlier)  # type: ignore[arg-type]
    assert sides.of == dict.fromkeys(("1", "2", "3", "4", "new"), "train")
    assert sides.moved == ("4",)


@pytest.mark.parametrize("seed", range(3))
def test_the_seed_decides_between_equals_and_gives_the_same_each_time(seed: int) -> None:
    made = items(*"abcdefghij")
    assert divide(made, train=0.4, seed=seed) == divide(made, train=0.4, seed=seed)
    assert divide(made, train=0.4, seed=seed).of != divide(made, train=0.4, seed=seed + 10).of
