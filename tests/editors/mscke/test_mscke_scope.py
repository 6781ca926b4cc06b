"""MSCKE's scope: similarity on numbers, what a missing picture does, and of what a key is made."""

import json

import pytest
import torch
from mscke_kit import Written, apart, asks, near, skeleton

from mmke.backbones.engine.store import MemoryStore
from mmke.editors.mscke.scope import JointScope, OneKey
from mmke.types import Edit, Query

STORE = MemoryStore()
HERE, SEEN = "[1.0, 0.0]", "[0.0, 1.0]"


@pytest.mark.parametrize(("distance", "similarity", "inside"), [(1.0, 0.3679, False), (0.8, 0.5273, True)])
def test_a_query_is_in_scope_where_its_similarity_is_above_one_half(
    distance: float, similarity: float, *, inside: bool
) -> None:
    found = near([asks(apart(distance**2), SEEN)], [asks(HERE, SEEN)])
    assert float(found.log_similarity.exp()) == pytest.approx(similarity, abs=5e-5)
    assert found.routes() == [0 if inside else None]


def test_the_distances_of_text_and_picture_add_up() -> None:
    found = near([asks(apart(0.25), HERE)], [asks(HERE, apart(0.5))])
    assert float(found.log_similarity) == pytest.approx(-0.75, abs=1e-6)


@pytest.mark.parametrize(("asked", "edited"), [(None, None), (SEEN, None), (None, SEEN)])
def test_without_a_picture_on_both_sides_the_texts_distance_counts_twice(asked: str | None, edited: str | None) -> None:
    found = near([asks(apart(0.25), asked)], [asks(HERE, edited)])
    assert float(found.log_similarity) == pytest.approx(-0.5, abs=1e-6)


def test_vectors_have_length_one() -> None:
    longer = near([asks("[5.0, 0.0]", "[0.0, 7.0]")], [asks(HERE, SEEN)])
    assert float(longer.log_similarity) == pytest.approx(0, abs=1e-9)


def test_a_key_does_not_depend_on_the_other_edits() -> None:
    scope = JointScope(Written(), head=0)
    edits = [asks(HERE, SEEN), asks(apart(0.4), apart(0.1)), asks(apart(0.9))]
    together = scope.keys([[edit.text] for edit in edits], scope.pictures(skeleton(), edits, STORE), STORE)
    for number, edit in enumerate(edits):
        alone = scope.keys([[edit.text]], scope.pictures(skeleton(), [edit], STORE), STORE)
        assert torch.equal(alone.texts[0], together.texts[number])
        assert alone.pictures.tolist() == together.pictures[together.whose == number].tolist()


def test_each_edit_is_compared_by_itself() -> None:
    query, far, close = asks(apart(0.1), SEEN), asks(apart(2.0), SEEN), asks(HERE, SEEN)
    alone = near([query], [close]).log_similarity
    for edits in ([far, close], [close, far], [far, close, far]):
        found = near([query], edits)
        assert found.edits == [edits.index(close)]
        assert torch.equal(found.log_similarity, alone)


def test_of_equally_near_edits_the_newest_is_taken() -> None:
    assert near([asks(HERE, SEEN)], [asks(HERE, SEEN)] * 3).edits == [2]


def test_the_querys_vectors_come_from_the_query() -> None:
    edit = asks(HERE, SEEN)
    same, other_text, other_picture = near(
        [edit, asks(apart(1.5), SEEN), asks(HERE, apart(0.3))], [edit]
    ).log_similarity.tolist()
    assert (same, other_text) == (0, pytest.approx(-1.5, abs=1e-6))
    assert other_picture == pytest.approx(
        -float((torch.tensor(json.loads(apart(0.3))) - torch.tensor([0, 1])).square().sum()), abs=1e-6
    )


@pytest.mark.parametrize(("with_answer", "key"), [(True, "who? Ana"), (False, "who?")])
def test_an_edits_text_has_its_answer_or_not_and_a_probes_never(*, with_answer: bool, key: str) -> None:
    keys = OneKey(with_answer)
    assert keys.of_edit(Edit(Query("who?"), "Ana")) == (key,)
    assert keys.of_probe("who?", "Ana") == "who?"
