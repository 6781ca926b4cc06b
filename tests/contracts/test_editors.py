"""Every registered editor keeps what editors promise, on every architecture.

All claims are tried on one architecture. On the others, where an editor could differ only by how a module is called or
shaped, one session tries the main claims. The whole grid is slow.
"""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from quick import QUICK

from mmke import registry
from mmke.backbones.engine.store import MemoryStore
from mmke.protocols import Router, TrainableEditor
from mmke.testing import (
    ARCHITECTURES,
    IN_SHORT,
    STREAM_IN_SHORT,
    editor_contract,
    routing_contract,
    shared_kit,
    stream_contract,
    trained_editor_contract,
)
from mmke.testing.routing import (
    decoding_with_a_cache_equals_decoding_without_one,
    the_route_depends_on_question_and_picture_alone,
)
from mmke.types import PAPER, STRICT, Ask, Switches

EDITORS = tuple(registry.names("editors"))
TRAINED = ("serac", "mend", "ke", "mscke")
FIRST, *OTHERS = ARCHITECTURES
ROUTING = ("ike", "ike-random", "serac", "grace", "mscke", "wise", "gated-note")
ALIKE = ("none", "ike-random", "lora", "ultraedit", "grace", "m-ore", "mscke", "wise", "gated-note")
DIFFERENT = tuple(name for name in EDITORS if name not in ALIKE)
"""Editors that treat architectures in ways of their own: the floor only answers, ike-random prompts as ike does, lora,
ultraedit and m-ore reach the matrices of ft-llm, ft-alignment and mend, grace and wise read one of these, mscke is
serac with another scope, and gated-note has the adapters of lora."""
PROJECTOR: Mapping[str, Mapping[str, object]] = {"lora": {**QUICK["lora"], "sites": ["alignment.linears"]}}
BOTH: Mapping[str, Mapping[str, object]] = {
    "lora": {**QUICK["lora"], "sites": ["language.-1.mlp_out", "language.-1.mlp_in", "alignment.linears"]}
}
MERGED: Mapping[str, Mapping[str, object]] = {"lora": {**QUICK["lora"], "sequence": "merge"}}

SCOPED: Mapping[str, Mapping[str, object]] = {"m-ore": {**QUICK["m-ore"], "shared_rows": 4}}
BEHIND_A_NORM: Mapping[str, Mapping[str, object]] = {"m-ore": {**QUICK["m-ore"], "step": 0.1, "normalise": True}}

BRIEF = ("ike-random", "lora", "ultraedit", "grace", "m-ore", "mscke", "wise", "gated-note")
"""Editors of which one session is tried quickly: ike-random prompts as ike does, lora and ultraedit have the session of
ft-llm, m-ore that of ultraedit, and grace, mscke, wise and gated-note have that of serac."""
ALL = tuple(name for name in EDITORS if name not in BRIEF)

test_all_claims_on_one_architecture = editor_contract(*ALL, backbones=[FIRST], changes=QUICK)
test_main_claims_on_one_architecture = editor_contract(*BRIEF, backbones=[FIRST], claims=IN_SHORT, changes=QUICK)
test_all_claims_of_the_brief_ones = pytest.mark.slow(editor_contract(*BRIEF, backbones=[FIRST], changes=QUICK))
test_main_claims_on_another = editor_contract(*DIFFERENT, backbones=OTHERS[:1], claims=IN_SHORT, changes=QUICK)
test_grace_beside_another_mlp = editor_contract("grace", backbones=["tiny-blip2"], claims=IN_SHORT, changes=QUICK)
test_all_claims_on_the_others = pytest.mark.slow(editor_contract(*EDITORS, backbones=OTHERS, changes=QUICK))

test_streams_on_one_architecture = stream_contract(*ALL, backbones=[FIRST], changes=QUICK)
test_a_stream_in_short = stream_contract(*BRIEF, backbones=[FIRST], claims=STREAM_IN_SHORT, changes=QUICK)
test_all_streams_of_the_brief_ones = pytest.mark.slow(stream_contract(*BRIEF, backbones=[FIRST], changes=QUICK))
test_streams_on_the_others = pytest.mark.slow(stream_contract(*EDITORS, backbones=OTHERS, changes=QUICK))

test_a_projectors_adapter = pytest.mark.slow(editor_contract("lora", backbones=ARCHITECTURES, changes=PROJECTOR))
test_adapters_on_both_sides = pytest.mark.slow(editor_contract("lora", backbones=ARCHITECTURES, changes=BOTH))
test_streams_of_projectors_adapters = pytest.mark.slow(
    stream_contract("lora", backbones=ARCHITECTURES, changes=PROJECTOR)
)
test_streams_of_merged_adapters = pytest.mark.slow(stream_contract("lora", backbones=ARCHITECTURES, changes=MERGED))

test_a_write_gate = pytest.mark.slow(editor_contract("m-ore", backbones=ARCHITECTURES, claims=IN_SHORT, changes=SCOPED))
test_streams_through_a_write_gate = pytest.mark.slow(
    stream_contract("m-ore", backbones=ARCHITECTURES, claims=STREAM_IN_SHORT, changes=SCOPED)
)
test_writes_behind_a_norm = pytest.mark.slow(
    editor_contract("m-ore", backbones=ARCHITECTURES, claims=IN_SHORT, changes=BEHIND_A_NORM)
)
test_all_claims_behind_a_norm = pytest.mark.slow(editor_contract("m-ore", backbones=[FIRST], changes=BEHIND_A_NORM))
test_streams_behind_a_norm = pytest.mark.slow(stream_contract("m-ore", backbones=[FIRST], changes=BEHIND_A_NORM))

test_routing_on_one_architecture = routing_contract("serac", "grace", backbones=[FIRST], changes=QUICK)
test_routing_of_wise = routing_contract(
    "wise",
    backbones=[FIRST],
    claims=[the_route_depends_on_question_and_picture_alone, decoding_with_a_cache_equals_decoding_without_one],
    changes=QUICK,
)
test_routing_of_mscke = pytest.mark.slow(routing_contract("mscke", backbones=[FIRST], changes=QUICK))
test_all_routing_of_the_others = pytest.mark.slow(
    routing_contract("ike", "ike-random", "wise", backbones=[FIRST], changes=QUICK)
)
test_routing_on_the_others = pytest.mark.slow(routing_contract(*ROUTING, backbones=OTHERS, changes=QUICK))

test_base_weights = trained_editor_contract("serac", "mend", "ke", backbones=[FIRST], changes=QUICK)
test_base_weights_of_mscke = pytest.mark.slow(trained_editor_contract("mscke", backbones=[FIRST], changes=QUICK))
test_base_weights_on_the_others = pytest.mark.slow(trained_editor_contract(*TRAINED, backbones=OTHERS, changes=QUICK))


@pytest.mark.parametrize("name", EDITORS)
def test_the_editors_that_are_trained_are_these(name: str, request: pytest.FixtureRequest) -> None:
    kit = shared_kit(request)
    made = kit.editor(name, kit.backbone(FIRST), changes=QUICK)
    assert isinstance(made, TrainableEditor) == (name in TRAINED)


@pytest.mark.parametrize("name", EDITORS)
def test_the_editors_that_decide_which_edit_answers_are_these(name: str, request: pytest.FixtureRequest) -> None:
    kit = shared_kit(request)
    with kit.editor(name, kit.backbone(FIRST), changes=QUICK).open(kit.backbone(FIRST), MemoryStore()) as session:
        assert isinstance(session, Router) == (name in ROUTING)


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
