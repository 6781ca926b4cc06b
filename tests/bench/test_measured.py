"""The figures of a comparison, on made-up laps."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmke.protocols import Encoded
from mmke.types import ImageRef, ScoreRow, StoredAnswer
from mmke_bench.ceilings import Ceilings
from mmke_bench.counting import Count
from mmke_bench.measured import Agreement, Counts, Loaded, Measured, Shared
from mmke_bench.plain import Forward
from mmke_bench.show import lines
from mmke_bench.sides import Cost, Lap

LOADED = Loaded(1.5, "float32", {"resident": 1 << 30})
COUNTS = [Counts(Count(800, 200), Count(900, 300)), Counts(Count(600, 200), Count(900, 450))]


def cost(wall: float, *, cpu: float = 1.0, peak: int = 1 << 30) -> Cost:
    return Cost(float(wall), cpu, {"edit": wall / 2, "before": wall / 8, "after": wall / 4}, {"resident": peak})


def lap(
    wall: float, *, floor: float | None = None, ids: Sequence[Sequence[int] | None] = ((1,),), gap: float = 0
) -> Lap:
    said = [None if each is None else StoredAnswer("", tuple(each), -2.0 - gap) for each in ids]
    return Lap(None if floor is None else cost(floor), cost(wall), [row(i, each) for i, each in enumerate(said)])


def row(probe: int, said: StoredAnswer | None) -> ScoreRow:
    return ScoreRow(
        case_id="a", edits_applied=1, probe=probe, kind="t_rel", metric="t_rel", value=1.0, floor=None, n_scored=1,
        reason=None, notes={}, before=None, after=said,
    )  # fmt: skip


def measured(plain: Sequence[Lap], ours: Sequence[Lap], *, ceilings: Ceilings | None = None) -> Measured:
    load = {"plain": LOADED, "mmke": LOADED}
    return Measured("ft-llm", "mini-entity", load, {"plain": plain, "mmke": ours}, COUNTS, ceilings)


def asked(length: int, image: ImageRef | None) -> Forward:
    return Forward(Encoded(tuple(range(length)), (1,), (0,), (0,)), image, edited=False, step=False)


def test_the_ratio_is_the_median_of_the_records_ratios() -> None:
    plain = [lap(4.0), lap(9.0), lap(30.0)]
    ours = [lap(2.0), lap(3.0), lap(3.0)]
    assert measured(plain, ours).ratio("wall") == 3.0
    assert measured(plain, ours).ratio("cpu") == 1.0


def test_the_floor_counts_on_both_sides_or_on_none() -> None:
    both = measured([lap(6.0, floor=2.0)], [lap(1.0, floor=1.0)])
    assert both.ratio("wall") == 6.0
    assert both.ratio("wall", floor=True) == 4.0
    assert both.phase("plain", "floor") == 2.0


def test_the_bound_is_the_median_of_the_records_bounds() -> None:
    both = measured([lap(1.0)], [lap(1.0)])
    assert both.bound() == (800 / 200 + 600 / 200) / 2
    assert both.bound(floor=True) == (900 / 300 + 900 / 450) / 2


def test_phases_are_told_apart() -> None:
    both = measured([lap(8.0)], [lap(1.0)])
    assert both.phase("plain", "edit") == 4.0
    assert both.phase("plain", "probes") == 3.0


def test_the_peak_is_the_highest_of_floor_and_edit_of_any_record() -> None:
    laps = [Lap(cost(1, peak=5), cost(1, peak=3)), Lap(cost(1, peak=2), cost(1, peak=4))]
    assert measured(laps, laps).peaks("plain") == {"resident": 5}


def test_one_side_alone_has_no_ratio_and_no_agreement() -> None:
    alone = Measured("ft-llm", "mini-entity", {"mmke": LOADED}, {"mmke": [lap(2.0)]})
    assert alone.ratio("wall") is None
    assert alone.agreement is None
    assert alone.bound() is None
    assert json.loads(json.dumps(alone.data()))["ratio"] == {"wall": None, "cpu": None}
    assert len(list(lines(alone, "wall"))) == 3


def test_agreement_counts_rows_whose_ids_differ_and_the_widest_gap() -> None:
    both = measured([lap(1, ids=[(1, 2), (3,)]), lap(1)], [lap(1, ids=[(1, 2), (4,)]), lap(1, gap=0.25)])
    assert both.agreement == Agreement(3, 1, 0.25)


def test_an_answer_on_one_side_alone_is_no_agreement() -> None:
    assert measured([lap(1, ids=[(1,), None])], [lap(1, ids=[None, None])]).agreement == Agreement(1, 1, 0.0)


def test_the_least_time_is_the_needed_work_at_the_cards_rate() -> None:
    both = measured([lap(1.0)], [lap(1.0)], ceilings=Ceilings(multiply_adds=400.0, bytes=1.0))
    assert both.least_seconds() == 200 / 400
    assert measured([lap(1.0)], [lap(1.0)]).least_seconds() is None


def test_prompts_that_are_longer_than_the_floors_are_shared_by_picture() -> None:
    one, other = (ImageRef(Path(f"never-opened-{i}.png"), str(i)) for i in range(2))
    log = [asked(50, one), asked(51, one), asked(52, other), asked(49, None), asked(9, one)]
    shared = measured([Lap(cost(1), cost(1), (), [asked(9, one)], log)], [lap(1.0)]).shared()
    assert shared == Shared(asked=4, prefixes=3)


def test_an_editor_that_leaves_prompts_alone_shares_none() -> None:
    log = [asked(9, None), asked(7, None)]
    assert measured([Lap(cost(1), cost(1), (), log, log)], [lap(1.0)]).shared() is None


@pytest.mark.parametrize("benchmark", ["mini-entity", "my_eval.json"])
def test_what_is_printed_names_both_sides_ratio_and_bound(benchmark: str) -> None:
    one = ImageRef(Path("never-opened.png"), "0")
    plain = Lap(cost(2), cost(6), (), [asked(9, one)], [asked(50, one), asked(51, one)])
    ours = Lap(cost(1), cost(2))
    both = Measured("ike", benchmark, {"plain": LOADED, "mmke": LOADED}, {"plain": [plain], "mmke": [ours]}, COUNTS)
    printed = "\n".join(lines(both, "wall"))
    assert printed.startswith(f"ike on {benchmark}, medians over 1 records; records and ratios: wall clock")
    assert "the editor alone: 3.00 times as fast; bound by operations 3.50 (86%)" in printed
    assert "2 long prompts behind 1 distinct prefixes: 2.00, of which 1.50 are reached" in printed
    assert ("passes of the published code" in printed) == (benchmark == "mini-entity")
