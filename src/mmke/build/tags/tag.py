"""`mmke build check --backbone`: what an unedited model knows of each record, kept as tags for break-downs.

    known   the relation questions, answered as before the edit: "known" where the model has all of them right, "partly"
            where some, "unknown" where none. About the picture, that is the answer for the thing that it shows.
            User-specific records have no answer before the edit, and no such tag.
    blind   the relation and portability questions without their picture, and the gold answer: "guessed" where the model
            writes it to one of them, else "not guessed". Such a question says too much, or its answer is likely anyway.

The model writes freely (greedy decoding, one line); an answer is right where its words stand in what is written. A
record of which nothing could be asked gets the tag's value "not asked".
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from mmke.build.content import Question
from mmke.build.project import Project, Tags
from mmke.build.protocols import Outcome, Shown
from mmke.build.record import Record
from mmke.build.rules.judged import relation_questions
from mmke.build.wording import says
from mmke.errors import CannotAskError
from mmke.types import ASKED, Answer, Ask, ImageRef, Probe, Query

LONGEST = 32
"""Tokens of a written answer."""


@runtime_checkable
class Model(Protocol):
    """What is asked: a backbone of mmke."""

    @property
    def name(self) -> str:
        """Return its registered name."""
        ...

    @property
    def revision(self) -> str:
        """Return what identifies its weights."""
        ...

    def answer(self, probes: Sequence[Probe], ask: Ask) -> list[Answer]:
        """Answer each probe, in the given order."""
        ...


def tag(project: Project, records: Sequence[Record], model: Model, shown: Shown) -> Outcome:
    """Ask a model about records and write `tags.jsonl`; what was asked of the same record and model is kept.

    Args:
        project: open for writing.
        records: that are asked about.
        model: a loaded backbone (`mmke.load_backbone`), unedited.
        shown: the progress.
    """
    by = {"backbone": model.name, "revision": model.revision}
    todo = [record for record in records if not _is_there(project, record, by)]
    shown.stage("tags", len(records), len(records) - len(todo))
    for record in todo:
        tags = _tags(project, record, model)
        project.tags.put(record.id, Tags(tags=tags), sources=(record.id,), by=by, inputs=record.content)
        shown.step()
    project.tags.keep_only({record.id for record in records})
    return Outcome(len(todo), len(records) - len(todo), {}, (_counted(project),))


def _is_there(project: Project, record: Record, by: Mapping[str, str]) -> bool:
    entry = project.tags.get(record.id)
    return entry is not None and project.tags.has(record.id, record.content) and entry.by == by


def _tags(project: Project, record: Record, model: Model) -> dict[str, str]:
    questions = relation_questions(record)
    before = [(_shown(project, record, each), each.plan.before) for each in questions if each.plan.before is not None]
    asked = [*questions, *(each for each in record.asked.questions if each.plan.key == "port")]
    blind = [(Query(each.text), each.plan.answer) for each in asked if each.plan.picture is not None]
    right = _right(model, before)
    tags = {}
    if before:
        tags["known"] = "not asked" if not right else "known" if all(right) else "partly" if any(right) else "unknown"
    guessed = _right(model, blind)
    return tags | {"blind": "not asked" if not guessed else "guessed" if any(guessed) else "not guessed"}


def _shown(project: Project, record: Record, question: Question) -> Query:
    role = question.plan.picture
    if role is None:
        return Query(question.text)
    picture = record.pictures[role]
    return Query(question.text, ImageRef(project.pictures_folder / picture.id, picture.sha256))


def _right(model: Model, asked: Sequence[tuple[Query, str]]) -> list[bool]:
    """Return of each question that the model could be asked whether it wrote the answer."""
    found = []
    for query, answer in asked:
        try:
            written = model.answer([Probe(ASKED, query, answer)], Ask(decode="generate", max_new=LONGEST))[0]
        except CannotAskError:
            continue
        found.append(says(written.text, answer))
    return found


def _counted(project: Project) -> str:
    counts: dict[str, int] = {}
    for entry in project.tags:
        for name, value in entry.content.tags.items():
            counts[f"{name}: {value}"] = counts.get(f"{name}: {value}", 0) + 1
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
