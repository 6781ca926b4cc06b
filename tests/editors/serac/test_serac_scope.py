"""SERAC's scope: how near texts and pictures are, and what the classifier is told."""

import math
from dataclasses import replace

import pytest
import torch
from serac_kit import ASK, answers, editor, same
from transformers import BertModel, BertTokenizer

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.probes.published import RECALL
from mmke.editors.serac.encoder import find_encoder
from mmke.editors.serac.scope import QuestionKeys, scope_loss
from mmke.types import PAPER, Edit, EditCase, Probe, Query


def test_without_the_answer_a_probes_text_is_its_question() -> None:
    assert QuestionKeys().of_probe("who ?", "me") == "who ?"


def test_the_scope_loss_is_the_cross_entropy_of_similarities() -> None:
    inside, outside = torch.tensor([0.8, 0.6]), torch.tensor([0.3])
    expected = -(math.log(0.8) + math.log(0.6)) / 2 - math.log(0.7)
    assert float(scope_loss(inside.log(), outside.log())) == pytest.approx(expected, abs=1e-6)


def test_the_scope_loss_stays_finite_where_texts_are_one() -> None:
    zero = torch.zeros(1, requires_grad=True)
    loss = scope_loss(zero, zero)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert torch.isfinite(zero.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("trained", [True, False], ids=["trained", "frozen"])
def test_similarity_falls_with_the_squared_distance(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], *, trained: bool
) -> None:
    scope = editor(llava, encoder, train, encoder_trained=trained).networks().scope
    store = MemoryStore()
    one, other = scope.embed(["who ?"], store)[0], scope.embed(["a red cat"], store)[0]
    near = scope.nearest(["who ?"], [["a red cat"]], store).log_similarity.exp()
    torch.testing.assert_close(near[0], (-(one - other).square().sum()).exp(), rtol=1e-4, atol=0)
    assert scope.state_dict()["scale"].tolist() == [1.0]


def test_the_embedding_is_the_first_tokens_last_state(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    scope = editor(llava, encoder, train, encoder_trained=True, pooling="first", head=0).networks().scope
    model = BertModel.from_pretrained(encoder).eval()
    ids = BertTokenizer.from_pretrained(encoder)("a red cat", return_tensors="pt")
    torch.testing.assert_close(scope.embed(["a red cat"], MemoryStore()), model(**ids).last_hidden_state[:, 0])


def test_a_text_beyond_the_encoders_table_is_cut(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    scope = editor(llava, encoder, train).networks().scope
    assert torch.isfinite(scope.embed(["a b " * 600], MemoryStore())).all()


def test_of_two_edits_the_nearest_one_speaks(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(llava, encoder, train)
    near, far = Edit(Query("a red cat"), "tin"), Edit(Query("zzz 999"), "wood")
    probe = Probe(RECALL, Query("a red cat"), "tin")
    for edits in ([near, far], [far, near]):
        assert same(answers(made, llava, edits, [probe], ASK), answers(made, llava, [near], [probe], ASK))


def test_the_same_question_about_another_picture_is_farther_and_one_without_a_picture_is_not(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(backbone, encoder, train)
    edit = cases[0].edits[0]
    elsewhere = next(probe for probe in cases[0].probes if probe.kind.name == "i_loc").query.image
    asked = [edit.query, replace(edit.query, image=elsewhere), replace(edit.query, image=None)]
    texts = [query.text for query in asked]
    near = made.nearest(backbone, texts, asked, [edit], store=MemoryStore()).log_similarity
    assert near[[0, 2]].abs().max() < 1e-9
    assert near[1] < -1e-6


def test_under_paper_pictures_are_not_compared(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    assert editor(llava, encoder, train, PAPER).networks().scope.picture_head is None


def test_the_packaged_encoder_is_found() -> None:
    assert (find_encoder("all-MiniLM-L6-v2", "serac") / "config.json").is_file()
