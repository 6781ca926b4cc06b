"""Whether what a record was assigned still holds: the pools have it, and it still has nothing to do with any edit."""

from collections.abc import Callable, Mapping, Sequence

from mmke.build.ask.unrelated import Other, Pools, fact_fits, other_fits, without_end
from mmke.build.collect.measure import is_kept
from mmke.build.content import Edit, Question, Questions
from mmke.build.project import Project


def still_fits(
    project: Project, pools: Pools, names: Mapping[str, Mapping[str, Sequence[str]]], edit: Edit, asked: Questions
) -> bool:
    """Tell whether a record keeps its unrelated questions and its picture side by side.

    `names` is what `names_by_type` returns.
    """
    edits = [entry.content.draft for entry in project.edits]
    fits = other_fits(edit, [thing for draft in edits for thing in (draft.subject, draft.pictured)])
    texts = {question.plan.key: question for question in asked.questions}
    other = pools.pictures.get(without_end(asked.locality_picture))
    if other is None or not fits(other) or not _same(texts.get("i_loc"), other.question, other.answer):
        return False
    fact = pools.facts.get(texts["t_loc"].text) if "t_loc" in texts else None
    if fact is None or not _same(texts["t_loc"], fact.question, fact.answer):
        return False
    if not fact_fits(edit, names[edit.draft.subject.type])(fact):
        return False
    return _files_are_kept(project, asked) and (
        asked.one_hop is None or _beside_still_fits(project, pools, asked, fits)
    )


def _files_are_kept(project: Project, asked: Questions) -> bool:
    """Tell whether the files of this stage are there as they were written; one that is lost is made again."""
    made = asked.one_hop
    files = {} if made is None else {made.id: made.sha256}
    for id_ in (asked.locality_picture, *(() if made is None else (made.left, made.right))):
        entry = project.pictures.get(id_)
        files[id_] = "" if entry is None else entry.content.sha256
    return all(is_kept(project.pictures_folder / id_, sha256) for id_, sha256 in files.items())


def _same(question: Question | None, text: str, answer: str) -> bool:
    return question is not None and (question.text, question.plan.answer) == (text, answer)


def _beside_still_fits(project: Project, pools: Pools, asked: Questions, fits: Callable[[Other], bool]) -> bool:
    made = asked.one_hop
    if made is None:
        return False
    halves = (without_end(made.left), without_end(made.right))
    beside = next((pools.beside[half] for half in halves if half in pools.beside), None)
    port = next((question.plan for question in asked.questions if question.plan.key == "port"), None)
    return beside is not None and fits(beside) and port is not None and port.beside == beside.answer
