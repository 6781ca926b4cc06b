"""A record as the rules, those who verify and the export see it: an edit, its questions and its pictures together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mmke.build.content import Edit, Picture, PictureRole, Question, Questions
from mmke.build.log import digest_of
from mmke.errors import UserError

EDIT_TEXTS = ("prompt", "rephrase", "original", "target")


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        edit: what is changed, in words.
        asked: its questions.
        pictures: those that it shows by their role; "one_hop" is not among them where the tool made it.
        tags: what an unedited model knows of it (`mmke build check --backbone`), by name.
    """

    edit: Edit
    asked: Questions
    pictures: Mapping[PictureRole, Picture]
    tags: Mapping[str, str]

    @property
    def id(self) -> str:
        """Return its id, such as `entity/bird/kingfisher`."""
        return self.edit.draft.id

    @property
    def content(self) -> str:
        """Return a digest of everything that a person sees of it."""
        files = {role: picture.sha256 for role, picture in self.pictures.items()}
        return digest_of(self.edit.model_dump(), self.asked.model_dump(), files)

    @property
    def texts(self) -> dict[str, str]:
        """Return every text that a person can correct, by its name: `target`, `port.question`, `port.answer`, …."""
        found = {name: getattr(self.edit.texts, name) for name in EDIT_TEXTS}
        for question in self.asked.questions:
            found[f"{question.plan.key}.question"] = question.text
            found[f"{question.plan.key}.answer"] = question.plan.answer
        return found

    def corrected(self, corrections: Mapping[str, str]) -> "Record":
        """Return the record with other texts.

        Raises:
            UserError: a name that is none of `texts`.
        """
        unknown = set(corrections) - set(self.texts)
        if unknown:
            raise UserError(f"record {self.id}: it has no text {min(unknown)!r}; known: {', '.join(self.texts)}")
        texts = {name: text for name, text in corrections.items() if name in EDIT_TEXTS}
        edit = self.edit.model_copy(update={"texts": self.edit.texts.model_copy(update=texts)})
        questions = tuple(_corrected(question, corrections) for question in self.asked.questions)
        # What a model knows was asked in the words before the correction.
        tags = self.tags if set(corrections) <= set(EDIT_TEXTS) else {}
        return replace(self, edit=edit, asked=self.asked.model_copy(update={"questions": questions}), tags=tags)


def _corrected(question: Question, corrections: Mapping[str, str]) -> Question:
    key = question.plan.key
    plan = question.plan.model_copy(update={"answer": corrections.get(f"{key}.answer", question.plan.answer)})
    return question.model_copy(update={"plan": plan, "text": corrections.get(f"{key}.question", question.text)})
