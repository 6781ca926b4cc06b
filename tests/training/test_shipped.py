"""The checkpoints that come with the package: found, of the shipped settings, and small."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from mmke.benchmarks.digests import among, record_digests
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve
from mmke.editing.trained import BEST, check_fits, find, read, read_facts
from mmke.errors import UserError
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.training.splitting import hold_out, trainable
from mmke.types import STRICT, EditCase

TRAINED = ("serac", "mend", "ke", "mscke")
MINI_IN_ORDER = ("mini-entity", "mini-visual", "mini-user")
"""As `mmke train` takes them; which records are held out depends on the order."""
MINI = ("mini-entity", "mini-user", "mini-visual")


def shipped(editor: str) -> Path:
    (path,) = find(editor, "smol-llava", "mini-entity", folder=Path("nowhere"))
    return path


@pytest.mark.parametrize("editor", TRAINED)
def test_a_shipped_checkpoint_was_trained_with_the_shipped_settings(editor: str) -> None:
    facts, _ = read_facts(shipped(editor))
    check_fits(shipped(editor), facts, editor=editor, backbone="smol-llava", settings=resolve(editor, "smol-llava", {}))
    assert facts.settings.keys() == resolve(editor, "smol-llava", {}).keys()
    assert (facts.protocol, facts.benchmarks, facts.seed) == ("strict", MINI, 0)


@pytest.mark.parametrize("editor", TRAINED)
def test_a_shipped_checkpoint_holds_networks_alone(editor: str) -> None:
    assert all(name.startswith("network.") for name in read(shipped(editor)).tensors)


def test_a_setting_that_acts_while_editing_alone_is_not_held_against_a_checkpoint() -> None:
    def planned(**changes: object) -> Mapping[str, object]:
        return (
            plan(Request("smol-llava", ("mend",), ("mini-entity",), limit=1, changes={"mend": changes}))
            .cells[-1]
            .settings
        )

    assert planned(gradients_at="unedited weights")["gradients_at"] == "unedited weights"
    assert planned()["gradients_at"] == "edited weights"
    with pytest.raises(UserError, match="was trained with other settings: rank = 32 there and 8 here"):
        planned(rank=8)


def test_shipped_checkpoints_take_at_most_12_mb() -> None:
    assert sum(shipped(editor).stat().st_size for editor in TRAINED) <= 12e6


@pytest.mark.parametrize("editor", TRAINED)
def test_a_shipped_checkpoint_says_which_records_it_was_trained_on(editor: str) -> None:
    train = cases("train", hop=0)
    facts, _ = read_facts(shipped(editor))
    learned, held = hold_out(trainable(train, "mini")[0], seed=facts.seed)
    assert (len(learned), len(held)) == (162, 18)
    assert facts.trained_on == record_digests(learned)
    assert facts.validated_on == record_digests(held)
    assert not among(cases("eval", hop=0), (*facts.trained_on, *facts.validated_on))


def test_no_evaluation_record_shares_its_edited_picture_with_one_that_was_trained_on() -> None:
    seen = {edit.query.image for case in cases("train", hop=0) for edit in case.edits}
    assert not [case.id for case in cases("eval", hop=1) if {edit.query.image for edit in case.edits} & seen]


def cases(split: Literal["train", "eval"], *, hop: int) -> list[EditCase]:
    """Return the mini records in the order of `mmke train`."""
    return [
        case
        for name in MINI_IN_ORDER
        for case in open_benchmark(name, data=None).load(split, hop=hop, switches=STRICT).cases
    ]


@pytest.mark.parametrize(
    ("benchmark", "found"),
    [
        ("mini-user", True),
        ("mini-user@split", True),
        ("mini-user+mini-entity", True),
        ("mini-user@split-text-first+mini-entity", True),
        ("mini-user+mini-visual", False),
        ("mini", False),
    ],
)
def test_a_joined_benchmark_takes_what_was_trained_on_all_of_it(benchmark: str, *, found: bool, tmp_path: Path) -> None:
    best = tmp_path / "smol-llava" / "mini-entity+mini-user" / "mend" / BEST
    best.parent.mkdir(parents=True)
    best.touch()
    places = find("mend", "smol-llava", benchmark, folder=tmp_path)
    assert places == ([best] if found else []) + [shipped("mend")]
