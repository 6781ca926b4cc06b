"""The small real models as backbones: golden prompts, a pack against separate passes, and a real edit."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import mmke
from grid import first_quick
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.probes.published import I_REL, T_LOC
from mmke.errors import UserError
from mmke.protocols import OUTPUT
from mmke.running.fingerprint import fingerprint
from mmke.types import STRICT, Ask, EditCase, Probe, Query

SUM, WHAT, RED_APPLE = [1780, 314, 216, 34, 27, 34, 47, 216, 36], [1780, 314, 451, 47], [253, 2382, 11977]
HUMAN, CLOSED = [3757, 14917, 42, 2067, 2777, 87, 46], [9617, 2777, 87, 46, 216]
BEFORE_TEXT = {
    "smol-llava": list(range(-1, -14, -1)),
    "smol-minigpt4": [*HUMAN, *range(-1, -17, -1), *CLOSED],
}


@pytest.fixture(scope="module", params=first_quick(BEFORE_TEXT))
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    return mmke.load_backbone(request.param)


@pytest.fixture(scope="module")
def case() -> EditCase:
    return open_benchmark("mini-entity", data=None).load("eval", hop=1, switches=STRICT).cases[0]


def test_prompts_are_these_tokens(backbone: ComposedBackbone, case: EditCase) -> None:
    queries = [Query("What is 2+2?"), Query("What is this?", case.edits[0].query.image)]
    without, with_image = backbone.encode(queries, ["4", "a red apple"], Ask()).encoded
    assert list(without.input_ids) == SUM
    assert list(with_image.input_ids) == [*BEFORE_TEXT[backbone.name], *WHAT, *RED_APPLE]
    assert list(with_image.target_ids) == RED_APPLE
    # The space before a digit is a token of its own, and no part of the answer.
    assert without.target_ids == (36,)


def test_the_language_model_answers_what_its_authors_taught_it(backbone: ComposedBackbone) -> None:
    probe = Probe(T_LOC, Query("The capital of France is"), "Paris")
    assert backbone.answer([probe], Ask())[0].text == "Paris"
    assert backbone.answer([probe], Ask(decode="generate"))[0].text.startswith("Paris")


@pytest.mark.slow
def test_a_pack_answers_what_separate_passes_answer(backbone: ComposedBackbone, case: EditCase) -> None:
    for probe, among in zip(case.probes, backbone.answer(case.probes, Ask()), strict=True):
        assert backbone.answer([probe], Ask())[0].token_ids == among.token_ids


@pytest.mark.slow
def test_a_pack_is_as_exact_as_separate_passes(case: EditCase) -> None:
    # Both stray from float64 by up to some 1e-4 nats in 30 float32 layers; neither may stray farther than the other.
    single, double = mmke.load_backbone("smol-llava"), mmke.load_backbone("smol-llava")
    double.module.language_model.double()
    exact = logprobs(replace(double, logits_dtype=None), case.probes)
    packed = (logprobs(single, case.probes) - exact).abs().max()
    alone = (torch.cat([logprobs(single, [probe]) for probe in case.probes]) - exact).abs().max()
    assert packed < 2 * alone
    assert packed < 1e-3


def logprobs(backbone: ComposedBackbone, probes: Sequence[Probe]) -> Tensor:
    """Return the log-probability of every scored token, computed from the logits in float64."""
    batch = backbone.encode([probe.query for probe in probes], [probe.target for probe in probes], Ask())
    with torch.no_grad():
        logits = backbone.tail(backbone.trunk(batch, OUTPUT, store=mmke.store()), {}).double()
    targets = torch.tensor([token for encoded in batch.encoded for token in encoded.target_ids])
    return logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]


def test_an_edit_holds_inside_its_session_and_nowhere_else(backbone: ComposedBackbone, case: EditCase) -> None:
    before, recall = fingerprint(backbone.module), case.probes[:1]
    unedited = backbone.answer(recall, Ask())[0].target_logprob
    editor = mmke.load_editor("ft-llm", backbone=backbone.name, steps=8)
    with editor.open(backbone, mmke.store()) as session:
        session.apply(case.edits)
        assert session.answer(recall, Ask())[0].target_logprob > unedited + 1
    assert backbone.answer(recall, Ask())[0].target_logprob == unedited
    assert fingerprint(backbone.module) == before


def test_a_picture_is_known_before_any_edit(backbone: ComposedBackbone) -> None:
    cases = open_benchmark("mini-user", data=None).load("eval", hop=1, switches=STRICT).cases[:4]
    local = [next(probe for probe in case.probes if probe.kind.name == "i_loc") for case in cases]
    answers = backbone.answer(local, Ask())
    assert sum(answer.token_ids == answer.target_ids for answer in answers) >= 3


def test_phone_and_scanner_pictures_are_read(backbone: ComposedBackbone, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("I;16", (300, 260), 30000).save(tmp_path / "deep.png")
    grey = Image.new("L", (300, 260), round(30000 / 257))
    grey.save(tmp_path / "plain.png")
    deep, plain = (
        backbone.answer([Probe(I_REL, Query("What is this?", mmke.picture(tmp_path / name)), "grey")], Ask())[0]
        for name in ("deep.png", "plain.png")
    )
    assert deep.target_logprob == pytest.approx(plain.target_logprob, abs=1e-3)
    assert torch.isfinite(torch.tensor(deep.target_logprob))


@pytest.mark.parametrize("name", ["smol-llava", "smol-minigpt4"])
def test_weights_for_a_model_that_brings_its_own_are_a_mistake(name: str) -> None:
    with pytest.raises(UserError, match=f"--weights random: {name} comes with its weights"):
        mmke.load_backbone(name, weights="random")
