"""Records of a given size: every description has as many words, wherever it is asked, and nothing else changes."""

from pathlib import Path

import pytest

from mmke.benchmarks.open import open_benchmark
from mmke.types import STRICT, EditCase
from mmke_bench.workload import of_words, resize


@pytest.mark.parametrize(
    ("words", "text"), [(2, "a tin"), (3, "a tin lid"), (7, "a tin lid a tin lid a"), (6, "a tin lid a tin lid")]
)
def test_a_text_is_cut_or_repeated(words: int, text: str) -> None:
    assert of_words("a tin lid", words) == text


@pytest.mark.parametrize("split", ["train", "eval"])
def test_every_description_of_both_splits_has_that_many_words(split: str, small_data: Path) -> None:
    whole = open_benchmark("mmke-entity", data=small_data)
    before = whole.load(split, hop=1, switches=STRICT)
    after = resize(whole, 20).load(split, hop=1, switches=STRICT)
    assert [case.id for case in before.cases] == [case.id for case in after.cases]
    for old, new in zip(before.cases, after.cases, strict=True):
        assert {len(edit.target.split()) for edit in new.edits} == {20}
        assert targets(new) == [20 if target == old.edits[0].target else target for target in targets(old, given=True)]


def targets(case: EditCase, *, given: bool = False) -> list[object]:
    """Return the probes' targets; a description that was resized by its number of words."""
    description = case.edits[0].target
    return [
        len(probe.target.split()) if probe.target == description and not given else probe.target
        for probe in case.probes
    ]


def test_other_sizes_are_other_records(small_data: Path) -> None:
    whole = open_benchmark("mmke-entity", data=small_data)
    assert len({whole.revision, resize(whole, 20).revision, resize(whole, 21).revision}) == 3
    assert resize(whole, 20).name == whole.name
