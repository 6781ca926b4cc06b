"""IKE's prompt: demonstrations, the sentences of edits, and the last edit's own fact in front of the question.

Where the prompt is too long, its optional pieces are left out from the least important one on: first demonstrations,
the farthest first, then earlier edits, the oldest first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmke.editors.ike.retrieval import fact, own_sentence
from mmke.types import Edit

SEAM = 4
"""By how many tokens two texts may be shorter joined than apart."""


@dataclass(frozen=True)
class Context:
    """What stands before a question.

    Attributes:
        demonstrations: most similar first. The farthest stand last, so that leaving them out keeps the beginning,
            which questions share.
        edits: at least one; later edits stand nearer to the question.
    """

    demonstrations: Sequence[str]
    edits: Sequence[Edit]

    @property
    def optional(self) -> list[str]:
        """Return the pieces that may be left out, the most important first."""
        earlier = [own_sentence(edit.query.text, edit.target) for edit in self.edits[-2::-1]]
        return [*earlier, *self.demonstrations]

    def kept(self, pieces: int) -> tuple[int, int]:
        """Return how many demonstrations and how many edits are among so many optional pieces."""
        earlier = min(pieces, len(self.edits) - 1)
        return pieces - earlier, 1 + earlier

    def text(self, pieces: int) -> str:
        """Return the text with so many optional pieces."""
        demonstrations, edits = self.kept(pieces)
        own = [own_sentence(edit.query.text, edit.target) for edit in self.edits[-edits:]]
        last = self.edits[-1]
        return "".join([*self.demonstrations[:demonstrations], *own, fact(last.query.text, last.target)])


def fit(
    context: Context, *, limit: int, length: Callable[[int], int], length_of: Callable[[str], int]
) -> tuple[int, int]:
    """Return how many optional pieces fit into so many positions, and the length of the prompt with them.

    Args:
        context: what stands before the question.
        limit: positions that the model holds.
        length: returns the length of the whole prompt with so many optional pieces.
        length_of: returns the length of a piece alone.
    """
    optional = context.optional
    # Long texts are slow to tokenise: guess from the pieces' own lengths, then make sure.
    kept, room = 0, limit - length(0)
    while kept < len(optional) and length_of(optional[kept]) <= room:
        room -= length_of(optional[kept])
        kept += 1
    taken = length(kept)
    while kept and taken > limit:
        kept -= 1
        taken = length(kept)
    # Joined texts are at most a few tokens shorter than apart.
    while kept < len(optional) and taken + length_of(optional[kept]) - SEAM <= limit:
        longer = length(kept + 1)
        if longer > limit:
            break
        kept, taken = kept + 1, longer
    return kept, taken


def notes_of(context: Context, pieces: int, length: int) -> Mapping[str, int]:
    """Return what rows state of a prompt; an edit's own sentence counts as a demonstration."""
    demonstrations, edits = context.kept(pieces)
    return {"demonstrations": demonstrations + edits, "context_tokens": length}
