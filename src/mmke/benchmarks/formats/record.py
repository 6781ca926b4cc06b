"""One record under our own names, whatever format it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mmke.types import ImageRef


class Asked(NamedTuple):
    """A question with its gold answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        source: what it is a record of, such as "entity" or "e-vqa"; its case is named after it.
        prompt: the edit's question.
        paraphrase: the same question in other words.
        description: the edit's target.
        original: the answer before the edit; empty where the data have none.
        picture: the picture that is edited on.
        other_picture: another picture of the same thing.
        hop_picture: the picture of the portability question.
        text_locality: an unrelated question.
        image_locality: an unrelated question on `locality_picture`.
        locality_picture: an unrelated picture.
        text_relations: questions on the new knowledge without a picture.
        image_relations: questions on `picture`.
        generalisation: the same questions, to be asked on `other_picture`.
        hops: the first portability question of each hop; None where the record has no list of them.
        tags: for break-downs.
    """

    source: str
    prompt: str
    paraphrase: str
    description: str
    original: str
    picture: ImageRef
    other_picture: ImageRef
    hop_picture: ImageRef
    text_locality: Asked
    image_locality: Asked
    locality_picture: ImageRef
    text_relations: tuple[Asked, ...] = ()
    image_relations: tuple[Asked, ...] = ()
    generalisation: tuple[Asked, ...] = ()
    hops: Mapping[int, Asked] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def answers(self) -> list[str]:
        """Return the edit's target and every gold answer that is asked for."""
        asked = [self.text_locality, self.image_locality, *self.text_relations, *self.image_relations]
        return [self.description, *(each.answer for each in (*asked, *(self.hops or {}).values()))]
