"""What IKE remembers of the applied edits, and which of them a question is asked behind.

In: edits, each with its demonstrations, and the text of a question. Out: an edit's index. An edit is found by the
cosine of two sentence embeddings: that of the question's text, and that of the edit's own question with its target,
which is made once, when the edit is applied. Neither a gold answer nor a record's id is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmke.editing import states
from mmke.editing.sentence_encoder import SentenceEncoder
from mmke.errors import UserError
from mmke.protocols import SessionState, Store
from mmke.types import Edit

VECTORS = "vectors"
"""Name of the embeddings in a saved session."""


class Note(NamedTuple):
    """An applied edit and its demonstrations, most similar first."""

    edit: Edit
    demonstrations: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return what its embedding is of."""
        return f"{self.edit.query.text} {self.edit.target}"


@dataclass
class Memory:
    """The applied edits, oldest first.

    Attributes:
        encoder: embeds edits and questions; None: nothing is searched.
        notes: the edits.
        vectors: their embeddings; made from the second edit on, since one edit needs no search.
    """

    encoder: SentenceEncoder | None
    notes: list[Note] = field(default_factory=list)
    vectors: Float[Tensor, "notes hidden"] | None = None

    def add(self, notes: Sequence[Note]) -> None:
        """Remember further edits."""
        both = [*self.notes, *notes]
        if self.encoder is not None and len(both) > 1:
            known = [] if self.vectors is None else [self.vectors]
            # One text at a time: its bits must not depend on the texts beside it.
            new = [self.encoder.embed([note.text]) for note in both[sum(map(len, known)) :]]
            self.vectors = torch.cat([*known, *new])
        self.notes = both

    def nearest(self, question: str, among: Sequence[int], *, store: Store) -> int:
        """Return which of some edits is nearest to a question; of edits with the same text the newest.

        Args:
            question: its text.
            among: indices of edits, at least one.
            store: keeps the embeddings of questions.
        """
        if self.encoder is None or self.vectors is None or len(among) == 1:
            return among[-1]
        vector = store.get(("ike", self.encoder.name, question), lambda: self._embedded(question))
        similarity = self.vectors[list(among)] @ vector
        text = self.notes[among[int(similarity.argmax())]].text
        return max(i for i in among if self.notes[i].text == text)

    def places(self, edits: Sequence[Edit]) -> list[int]:
        """Return the indices of those remembered edits that are among some edits."""
        wanted = set(edits)
        return [i for i, note in enumerate(self.notes) if note.edit in wanted]

    def state(self, facts: Mapping[str, Any]) -> SessionState:
        """Return the edits, their demonstrations and their embeddings; a demonstration is written once."""
        sentences = list(dict.fromkeys(each for note in self.notes for each in note.demonstrations))
        number = {sentence: i for i, sentence in enumerate(sentences)}
        return SessionState(
            {} if self.vectors is None else {VECTORS: self.vectors},
            {
                **facts,
                "edits": states.of_edits([note.edit for note in self.notes]),
                "sentences": sentences,
                "demonstrations": [[number[each] for each in note.demonstrations] for note in self.notes],
            },
        )

    def load(self, state: SessionState, *, editor: str) -> None:
        """Take over what `state` returned; nothing is retrieved or embedded again.

        Raises:
            UserError: the embeddings are not those of the edits.
        """
        edits, sentences = states.edits_of(state.facts["edits"]), state.facts["sentences"]
        chosen = state.facts["demonstrations"]
        notes = [Note(edit, tuple(sentences[i] for i in each)) for edit, each in zip(edits, chosen, strict=True)]
        vectors = state.tensors.get(VECTORS)
        searched = self.encoder is not None and len(notes) > 1
        if (len(notes) if searched else None) != (None if vectors is None else len(vectors)):
            raise UserError(
                f"{editor}: the saved session does not fit: it has {0 if vectors is None else len(vectors)} embeddings "
                f"for {len(notes)} edits; it was saved under another memory, so open the session with that setting"
            )
        self.notes, self.vectors = notes, None if vectors is None else vectors.cpu()

    def _embedded(self, text: str) -> Tensor:
        assert self.encoder is not None  # noqa: S101  # nothing is searched without it
        return self.encoder.embed([text])[0]
