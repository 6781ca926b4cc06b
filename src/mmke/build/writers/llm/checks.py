"""What the texts of a model must satisfy, in sentences that are told to the model and, in the end, to the user.

The rules that every record is held against (`mmke build check`) are asked here already, as far as they speak of texts;
a few things that only a writer can get wrong come before them.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmke.build.content import Draft, Edit, EditTexts, Plan, Question, Questions
from mmke.build.project import Project
from mmke.build.protocols import Rule, Scope
from mmke.build.record import EDIT_TEXTS, Record
from mmke.build.rules import answers, changes, copies, grammar, naming, texts
from mmke.build.rules.judged import names_of
from mmke.build.wording import says
from mmke.build.writers.llm.answers import AllAsked
from mmke.build.writers.llm.facts import asked_further
from mmke.build.writers.llm.plain import new_value

Make = Callable[[], Rule]

OF_EVERY_TEXT: tuple[Make, ...] = (texts.make_length, texts.make_private, grammar.make_words, copies.make_near)
OF_DESCRIPTIONS: tuple[Make, ...] = (changes.make_said, changes.make_gone, naming.make_description)
OF_QUESTIONS: tuple[Make, ...] = (
    answers.make_hidden,
    naming.make_unnamed,
    naming.make_named,
    grammar.make_pointed,
)

PICTURE = ("image", "picture", "photo", "photograph")
POINTING = (*PICTURE, "shown", "pictured", "depicted")
"""A question about a picture has one of these words; "the bird" alone points at nothing."""
SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of one project."""

    project: Project

    def of_texts(self, made: EditTexts, draft: Draft) -> list[str]:
        """Return what is wrong with a draft's texts, in the order of what matters."""
        places = [place for place in EDIT_TEXTS if draft.kind != "user" or place != "original"]
        record = _record(Edit(draft=draft, texts=made), ())
        return [*_texts(made, draft), *self._broken(record, (*OF_DESCRIPTIONS, *OF_EVERY_TEXT), places)]

    def of_questions(self, asked: AllAsked, edit: Edit, plans: Sequence[Plan]) -> list[str]:
        """Return what is wrong with the questions of a record, in the order of what matters."""
        wanted, given = [plan.key for plan in plans], [one.key for one in asked.questions]
        if sorted(wanted) != sorted(given):
            return [f"one question for each of {', '.join(wanted)} is wanted, not for {', '.join(given) or 'none'}"]
        worded = {one.key: one.question for one in asked.questions}
        questions = [Question(plan=plan, text=worded[plan.key]) for plan in plans]
        own = [f"{each.plan.key}.question: {problem}" for each in questions for problem in _question(each, edit)]
        places = [f"{key}.question" for key in wanted]
        return [*own, *self._broken(_record(edit, questions), (*OF_QUESTIONS, *OF_EVERY_TEXT), places)]

    def _broken(self, record: Record, rules: Sequence[Make], places: Collection[str]) -> Iterator[str]:
        project = self.project
        scope = Scope([record], project.settings, project.words, pictures={}, folder=Path())
        for make in rules:
            for finding in make().find(record, scope):
                if finding.place in places:
                    yield f"{finding.place}: {finding.message}"


def _record(edit: Edit, questions: Sequence[Question]) -> Record:
    """Return what there is of a record as one that rules about texts can look at."""
    return Record(edit, Questions(questions=tuple(questions), locality_picture=""), pictures={}, tags={})


def _texts(made: EditTexts, draft: Draft) -> Iterator[str]:
    if draft.user is not None and not _says_one(made.target, names_of(draft.subject)):
        yield f"target: it does not name {draft.subject.name!r}"
    for phrase in asked_further(draft):
        if says(made.target, phrase):
            yield f"target: it says {phrase!r}, which is asked one hop further"
    if draft.kind != "user" and not _says_one(made.original, names_of(draft.pictured)):
        yield f"original: it does not name {draft.pictured.name!r}, which the picture shows"
    for place, text in (("prompt", made.prompt), ("rephrase", made.rephrase)):
        for change in draft.changes:
            if says(text, change.after):
                yield f"{place}: it says {change.after!r}, which only the target tells"
    if draft.user is not None and not says(made.prompt, draft.user):
        yield f"prompt: it does not say the user's name, {draft.user!r}"


def _question(question: Question, edit: Edit) -> Iterator[str]:
    text, plan = question.text, question.plan
    if not text.endswith("?"):
        yield f"it does not end with a question mark: {text!r}"
    if plan.before is not None and says(text, plan.before):
        yield f"it says the old answer, {plan.before!r}"
    between = None if plan.side else new_value(edit.draft.changes, plan.via)
    if between is not None and says(text, between):
        yield f"it says {between!r}, which is to be found out"
    if plan.picture is None:
        yield from _speaks_of_a_picture(text, edit.draft)
    elif not _says_one(text, pointers := (*POINTING, *SIDES) if plan.picture == "one_hop" else POINTING):
        yield f"it is about a picture and has none of the words {', '.join(pointers)}"


def _speaks_of_a_picture(text: str, draft: Draft) -> Iterator[str]:
    """Yield the words of a picture in a question that has none; a thing can be called "picture frame"."""
    for word in PICTURE:
        if says(text, word) and not any(says(name, word) for name in names_of(draft.subject)):
            yield f"it is about no picture, and speaks of one ({word!r})"


def _says_one(text: str, phrases: Sequence[str]) -> bool:
    return any(says(text, phrase) for phrase in phrases)
