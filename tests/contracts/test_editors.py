"""Every registered editor keeps what editors promise, on every architecture.

All claims are tried on one architecture. On the others, where an editor could differ only by how a module is called or
shaped, one session tries the main claims. The whole grid is slow.
"""

import numpy as np
import pytest
import torch
from quick import QUICK

from mmke import registry
from mmke.protocols import TrainableEditor
from mmke.testing import (
    ARCHITECTURES,
    IN_SHORT,
    editor_contract,
    shared_kit,
    stream_contract,
    trained_editor_contract,
)
from mmke.types import PAPER, STRICT, Ask, Switches

EDITORS = tuple(registry.names("editors"))
TRAINED = ("serac", "mend", "ke")
FIRST, *OTHERS = ARCHITECTURES
DIFFERENT = tuple(name for name in EDITORS if name not in ("none", "ike-random"))
"""Editors that treat architectures in ways of their own: the floor only answers, and ike-random prompts as ike does."""

test_all_claims_on_one_architecture = editor_contract(*EDITORS, backbones=[FIRST], changes=QUICK)
test_main_claims_on_the_others = editor_contract(*DIFFERENT, backbones=OTHERS, claims=IN_SHORT, changes=QUICK)
test_all_claims_on_the_others = pytest.mark.slow(editor_contract(*EDITORS, backbones=OTHERS, changes=QUICK))

test_streams_on_one_architecture = stream_contract(*EDITORS, backbones=[FIRST], changes=QUICK)
test_streams_on_the_others = pytest.mark.slow(stream_contract(*EDITORS, backbones=OTHERS, changes=QUICK))

test_base_weights = trained_editor_contract(*TRAINED, backbones=[FIRST], changes=QUICK)
test_base_weights_on_the_others = pytest.mark.slow(trained_editor_contract(*TRAINED, backbones=OTHERS, changes=QUICK))


@pytest.mark.parametrize("name", EDITORS)
def test_the_editors_that_are_trained_are_these(name: str, request: pytest.FixtureRequest) -> None:
    kit = shared_kit(request)
    made = kit.editor(name, kit.backbone(FIRST), changes=QUICK)
    assert isinstance(made, TrainableEditor) == (name in TRAINED)


@pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])
def test_in_half_precision_what_cannot_change_does_not(request: pytest.FixtureRequest, switches: Switches) -> None:
    kit = shared_kit(request)
    half = kit.backbone("tiny-minigpt4", torch.bfloat16)
    ask = Ask(top=10, labels=switches.labels, positions=switches.locality_positions, native_topk=True)
    editor = kit.editor("ft-alignment", half, changes=QUICK, switches=switches)
    loc = [probe for probe in kit.cases[0].probes if probe.kind.name in ("t_loc", "i_loc")]
    with editor.open(half, kit.reading_store) as session:
        before = session.answer(loc, ask)
        session.apply(kit.cases[0].edits)
        after = session.answer(loc, ask)
    assert np.array_equal(before[0].top_ids, after[0].top_ids)
    assert not np.array_equal(before[1].top_ids, after[1].top_ids)
