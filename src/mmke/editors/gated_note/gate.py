"""The gate: which remembered edit a question is on, if any.

In: the features of a question beside every edit in force. Out: an edit's index, or None. There are two gates of one
form, one for questions in text and one for questions on pictures. Each gives every edit a score, which is linear in its
features; the edit with the highest score is the candidate, of equal ones the newest. It answers where its score reaches
a threshold. The threshold depends on how many edits are in force, since the highest of many scores of unrelated edits
is higher than that of few:

    threshold(t) = max(near, far₀ + far₁ · ln t)

`near` keeps out questions that look like ones on the edit itself, `far` those on something else that happens to look
like one of t edits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmke.editors.gated_note import words
from mmke.protocols import Route


@dataclass(frozen=True)
class Gate:
    """A gate by its numbers, which were fitted on training records.

    Attributes:
        weights: of the features.
        bias: added to their weighted sum.
        near: the threshold for any number of edits, at least.
        far: the threshold with one edit, and by how much it rises with the logarithm of their number.
    """

    weights: tuple[float, ...]
    bias: float
    near: float
    far: tuple[float, float]

    def scores(self, features: Float[Tensor, "edits features"]) -> Float[Tensor, "edits"]:
        """Return the score of each edit: the log odds that the question is on it."""
        return features @ torch.tensor(self.weights) + self.bias

    def threshold(self, edits: int) -> float:
        """Return the score that a candidate among so many edits has to reach."""
        return max(self.near, self.far[0] + self.far[1] * math.log(edits))

    def choose(self, features: Float[Tensor, "edits features"]) -> Route:
        """Return the edit that a question is on; None: none of them."""
        scores = self.scores(features)
        newest_first = scores.flip(0)
        best = len(scores) - 1 - int(newest_first.argmax())
        return best if float(scores[best]) >= self.threshold(len(scores)) else None


class Said(NamedTuple):
    """What an edit says: the stems of its question and its note together, and of names in its note alone."""

    content: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, question: str, note: str) -> "Said":
        """Read an edit; a word with a capital that begins a sentence of the note may be a name."""
        capitals = {word for word in words.WORD.findall(note) if word[0].isupper()}
        return cls(words.content(f"{question} {note}"), words.names(note) | {words.stem(word) for word in capitals})


class Sight(NamedTuple):
    """What the question's picture has to do with that of each edit.

    Attributes:
        alike: the cosine of their vectors.
        same: 1 where the model gives both the same name, else 0.
        shown: 1 where the model names the edit's thing in the question's picture, alone or beside others, else 0.
    """

    alike: Float[Tensor, "edits"]
    same: Float[Tensor, "edits"]
    shown: Float[Tensor, "edits"]


def on_text(question: str, likeness: Float[Tensor, "edits"], said: Sequence[Said]) -> Float[Tensor, "edits features"]:
    """Return the features of a question in text.

    They are: how alike question and edit are, the share of the question's content words that the edit has, the share of
    the question's names that the edit lacks, and how many of its content words the edit has.
    """
    asked, named = words.content(question), words.names(question)
    lacking = [len(named - each.names) / len(named) if named else 0.0 for each in said]
    shared = _shared(asked, said)
    return torch.stack([likeness, shared / max(1, len(asked)), torch.tensor(lacking), shared], dim=-1)


def on_picture(
    question: str,
    likeness: Float[Tensor, "edits"],
    said: Sequence[Said],
    *,
    sight: Sight,
    general: float,
) -> Float[Tensor, "edits features"]:
    """Return the features of a question on a picture.

    They are: how alike the pictures are, how alike question and edit are, the product and the squares of these two, the
    share of the question's content words that the edit has, how near the question is to one that can be asked of any
    picture, whether the model gives both pictures the same name, and that share once more, which is 0 where the
    model does not name the edit's thing in the question's picture.

    Args:
        question: its text.
        likeness: the highest cosine of the question with a text of each edit.
        said: by each edit.
        sight: of its picture.
        general: the highest cosine of the question with a general one.
    """
    asked = words.content(question)
    share = _shared(asked, said) / max(1, len(asked))
    form = [sight.alike, likeness, sight.alike * likeness, sight.alike**2, likeness**2]
    rest = [share, torch.full_like(share, general), sight.same, sight.shown * share]
    return torch.stack([*form, *rest], dim=-1)


def _shared(asked: frozenset[str], said: Sequence[Said]) -> Float[Tensor, "edits"]:
    return torch.tensor([float(len(asked & each.content)) for each in said])
