"""Which records validate: those that share a picture stay on one side."""

from pathlib import Path

import pytest

from mmke.benchmarks.probes.published import I_LOC, IMAGE_REPHRASE, RECALL, REPHRASE, T_LOC
from mmke.errors import UserError
from mmke.training.splitting import hold_out, trainable
from mmke.types import (
    Edit,
    EditCase,
    ImageRef,
    Probe,
    ProbeKind,
    Query,
)

KINDS = (RECALL, REPHRASE, IMAGE_REPHRASE, T_LOC, I_LOC)


def record(number: int, picture: str, *, kinds: tuple[ProbeKind, ...] = KINDS) -> EditCase:
    image = ImageRef(Path(f"{picture}.png"), picture)
    common = ImageRef(Path("common.png"), "common")
    probes = tuple(Probe(kind, Query("?", common if kind is I_LOC else image), "!") for kind in kinds)
    return EditCase(str(number), (Edit(Query("?", image), "!"),), probes)


def test_records_that_share_a_picture_stay_together() -> None:
    cases = [record(number, str(number // 3)) for number in range(30)]
    kept, held = hold_out(cases, seed=0)
    pictures = [{case.edits[0].query.image.sha256 for case in side} for side in (kept, held)]  # type: ignore[union-attr]
    assert pictures[0].isdisjoint(pictures[1])
    assert len(kept) + len(held) == 30
    assert len(held) == 3


def test_another_seed_holds_out_others() -> None:
    cases = [record(number, str(number)) for number in range(40)]
    assert hold_out(cases, seed=0) == hold_out(cases, seed=0) != hold_out(cases, seed=1)


def test_records_that_all_share_one_picture_cannot_be_divided() -> None:
    with pytest.raises(UserError, match="4 training records cannot be divided"):
        hold_out([record(number, "same") for number in range(4)], seed=0)


def test_a_record_without_an_answer_is_left_out() -> None:
    whole, lacking = record(0, "a"), record(1, "b", kinds=KINDS[:3])
    assert trainable([whole, lacking], "mine") == ([whole], [lacking])


def test_an_empty_training_split_is_told() -> None:
    with pytest.raises(UserError, match="mine has 0 training records"):
        trainable([], "mine")
