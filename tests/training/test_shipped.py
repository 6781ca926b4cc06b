"""The checkpoints that come with the package: found, of the shipped settings, and small."""

from pathlib import Path

import pytest

from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve
from mmke.editing.trained import check_fits, find, read, read_facts
from mmke.training.splitting import hold_out, trainable
from mmke.types import STRICT

TRAINED = ("serac", "mend", "ke")
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


def test_shipped_checkpoints_take_at_most_8_mb() -> None:
    assert sum(shipped(editor).stat().st_size for editor in TRAINED) <= 8e6


def test_no_evaluation_record_shares_its_edited_picture_with_one_that_was_trained_on() -> None:
    train = [
        case for name in MINI for case in open_benchmark(name, data=None).load("train", hop=0, switches=STRICT).cases
    ]
    seen = {edit.query.image for case in hold_out(trainable(train, "mini")[0], seed=0)[0] for edit in case.edits}
    asked = [
        case for name in MINI for case in open_benchmark(name, data=None).load("eval", hop=1, switches=STRICT).cases
    ]
    assert not [case.id for case in asked if {edit.query.image for edit in case.edits} & seen]
