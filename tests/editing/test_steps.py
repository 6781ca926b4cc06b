"""What an edit says of its progress: every step, with its loss; and watching changes no bit of what is made."""

from collections.abc import Sequence

import pytest
import torch

from mmke import steps
from mmke.api import load_backbone, load_editor, say, store
from mmke.protocols import Backbone
from mmke.steps import Loss
from mmke.types import Edit, Query

EDIT = Edit(Query("Who lives here?"), "nobody")
STEPS = 4


class Listener:
    """Writes down what it is told; ends the work after a number of steps."""

    def __init__(self, last: int = 1000) -> None:
        self.last, self.steps, self.said, self.written = last, [], [], []

    def step(self, done: int, total: int, loss: Loss | None) -> None:
        self.steps.append((done, total, None if loss is None else loss()))
        if done == self.last:
            raise InterruptedError

    def say(self, words: str) -> None:
        self.said.append(words)

    def wrote(self, query: int, ids: Sequence[int]) -> None:
        self.written.append((query, tuple(ids)))


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone("tiny-llava")


def edited(backbone: Backbone) -> dict[str, torch.Tensor]:
    editor = load_editor("ft-llm", backbone=backbone, steps=STEPS)
    with editor.open(backbone, store()) as session:
        session.apply([EDIT])
        return dict(session.state().tensors)


def test_every_step_is_reported_with_its_loss(backbone: Backbone) -> None:
    listener = Listener()
    with steps.watched(listener):
        edited(backbone)
    assert [(done, total) for done, total, _ in listener.steps] == [(n + 1, STEPS) for n in range(STEPS)]
    losses = [loss for _, _, loss in listener.steps]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1] > 0
    assert listener.said == ["optimising"]


def test_watching_changes_no_bit(backbone: Backbone) -> None:
    alone = edited(backbone)
    with steps.watched(Listener()):
        watched = edited(backbone)
    assert alone.keys() == watched.keys()
    assert all(torch.equal(alone[name], watched[name]) for name in alone)


def test_a_watcher_ends_the_work_and_nobody_watches_afterwards(backbone: Backbone) -> None:
    listener = Listener(last=2)
    with pytest.raises(InterruptedError), steps.watched(listener):
        edited(backbone)
    assert len(listener.steps) == 2
    assert not steps.watching()
    edited(backbone)
    assert len(listener.steps) == 2


def test_tokens_are_told_as_they_are_written(backbone: Backbone) -> None:
    listener = Listener()
    alone = say(backbone, EDIT.query.text, max_new_tokens=5)
    with steps.watched(listener):
        assert say(backbone, EDIT.query.text, max_new_tokens=5) == alone
    assert [len(ids) for _, ids in listener.written][:2] == [1, 2]
    assert backbone.text(listener.written[-1][1]).strip() == alone
