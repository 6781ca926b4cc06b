"""MSCKE's training: the loss as it is stated, what is trained, what it teaches, and which settings are refused."""

from typing import Any

import pytest
import torch
from mscke_kit import ASK, editor

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.settings import resolve
from mmke.editors.mscke.edit import make
from mmke.editors.serac.edit import Serac
from mmke.errors import UserError
from mmke.types import STRICT, Edit, EditCase, Query

MINILM = "all-MiniLM-L6-v2"


def figures(made: Serac, backbone: ComposedBackbone, case: EditCase) -> dict[str, float]:
    found = made.losses(backbone, case, store=MemoryStore(), learn=False)
    return {name: float(value.detach()) for name, value in found.items()}


def learn(made: Serac, backbone: ComposedBackbone, case: EditCase, times: int) -> list[float]:
    (optimizer, _), store, totals = made.optimizer(), MemoryStore(), []
    for _ in range(times):
        optimizer.zero_grad()
        total = made.losses(backbone, case, store=store, learn=True)["total"]
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    return totals


def test_the_scope_loss_is_that_of_the_records_own_questions(
    llava: ComposedBackbone, clip: str, train: tuple[EditCase, ...]
) -> None:
    made, case, store = editor(llava, clip, train), train[0], MemoryStore()
    edit: Edit = case.edits[0]

    def similarity(role: str) -> torch.Tensor:
        kinds = ("recall", "relation") if role == "inside" else ("locality",)
        queries = list(dict.fromkeys(p.query for p in case.probes if p.kind.role in kinds))
        texts = [query.text for query in queries]
        return made.nearest(llava, texts, queries, [edit], store=store).log_similarity.exp().clamp(max=1 - 1e-6)

    with torch.no_grad():
        expected = -similarity("inside").log().mean() - (1 - similarity("outside")).log().mean()
    assert figures(made, llava, case)["scope"] == pytest.approx(float(expected), rel=1e-4)


def test_questions_of_other_records_can_be_added(
    llava: ComposedBackbone, clip: str, train: tuple[EditCase, ...]
) -> None:
    alone, more = (figures(editor(llava, clip, train, negatives=n), llava, train[0]) for n in (0, 2))
    assert alone["scope"] != more["scope"]


def test_of_a_frozen_clip_the_layers_behind_it_are_trained_and_saved_alone(
    llava: ComposedBackbone, clip: str, train: tuple[EditCase, ...]
) -> None:
    made = editor(llava, clip, train)
    made.losses(llava, train[0], store=MemoryStore(), learn=True)["total"].backward()
    scope = made.networks().scope
    names = {name for name, _ in scope.named_parameters()}  # type: ignore[attr-defined]
    assert names == {
        f"{side}_head.{n}.{part}" for side in ("text", "picture") for n in (1, 3) for part in ("weight", "bias")
    }
    assert [each for each in scope.parameters() if each.grad is None] == []


def test_all_of_clip_can_be_trained(llava: ComposedBackbone, clip: str, train: tuple[EditCase, ...]) -> None:
    made = editor(llava, clip, train, encoder_trained=True, head=0)
    before = {name: each.clone() for name, each in made.networks().state_dict().items()}
    learn(made, llava, train[0], 1)
    after = made.networks().state_dict()
    moved = {name for name, each in after.items() if not torch.equal(each, before[name])}
    assert {"scope.clip.text_projection.weight", "scope.clip.visual_projection.weight"} <= moved
    assert "scope.clip.vision_model.embeddings.patch_embedding.weight" in moved


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "changes"),
    [("clip", {}), ("clip", {"encoder_trained": True}), (MINILM, {})],
    ids=["clip", "trained clip", "packaged"],
)
def test_training_lowers_the_loss_and_tells_what_is_in_scope(
    llava: ComposedBackbone, clip: str, train: tuple[EditCase, ...], which: str, changes: dict[str, Any]
) -> None:
    made = editor(llava, clip if which == "clip" else which, train, **changes)
    totals = learn(made, llava, train[0], 40)
    assert totals[-1] < totals[0]
    told = figures(made, llava, train[0])
    assert (told["inside"], told["outside"]) == (1.0, 1.0)


def test_a_checkpoint_gives_the_same_decisions(
    llava: ComposedBackbone, clip: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(llava, clip, train)
    learn(made, llava, train[0], 2)
    other = make(made.settings.__dict__, STRICT, train=(), seed=1)
    other.load_state_dict(llava, {name: each.clone() for name, each in made.networks().state_dict().items()})
    said = []
    for each in (made, other):
        with each.open(llava, MemoryStore()) as session:
            session.apply(cases[0].edits)
            said.append([(a.notes, a.token_ids) for a in session.answer(cases[0].probes, ASK)])
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"head": 0}, "leave nothing of the scope classifier to train"),
        ({"encoder_trained": True}, "encoder_trained = true needs a CLIP model as encoder"),
        ({"key": "answer"}, "key = 'answer'"),
        ({"picture_head": 8}, "unknown key 'picture_head'"),
    ],
)
def test_mistakes_are_told_before_weights_are_read(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        make({**resolve("mscke", "tiny-llava", {}), **changes}, STRICT, train=(), seed=0)


def test_a_published_checkpoint_is_refused_with_the_way_out(
    llava: ComposedBackbone, clip: str, train: tuple[EditCase, ...]
) -> None:
    with pytest.raises(UserError, match="train it: mmke train mscke"):
        editor(llava, clip, train).translate({"scale": torch.ones(1)})


def test_a_missing_encoder_is_told_on_a_skeleton(llava: ComposedBackbone) -> None:
    made = make(resolve("mscke", "tiny-llava", {"encoder": "no/such-clip"}), STRICT, train=(), seed=0)
    with pytest.raises(UserError, match="there is no 'no/such-clip'"):
        made.check(llava)


def test_the_same_question_about_another_picture_is_farther(
    llava: ComposedBackbone, clip: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made, edit = editor(llava, clip, train, key="question"), cases[0].edits[0]
    elsewhere = next(probe for probe in cases[0].probes if probe.kind.name == "i_loc").query.image
    asked = [edit.query, Query(edit.query.text, elsewhere), Query(edit.query.text)]
    near = made.nearest(llava, [query.text for query in asked], asked, [edit], store=MemoryStore()).log_similarity
    assert near[[0, 2]].abs().max() < 1e-9
    assert near[1] < -1e-6
