"""`mmke build write`: what each record edits, drawn here, and its texts, by the writer."""

from mmke import registry
from mmke.build.concurrently import concurrently
from mmke.build.content import Draft, Edit, EditTexts
from mmke.build.log import digest_of
from mmke.build.project import Project
from mmke.build.protocols import Outcome, Shown, Writer
from mmke.build.write.drafts import plan_drafts
from mmke.build.write.kept import drawn_with
from mmke.counting import counted
from mmke.errors import CannotWriteError


def write(project: Project, shown: Shown) -> Outcome:
    """Draw the edits, have those that are new or changed put into words, and write `edits.jsonl`.

    Raises:
        UserError: nothing was collected, the settings are wrong, or the writer cannot work at all.
    """
    writer, planned = made_writer(project), plan_drafts(project)
    refused = dict(planned.refused)
    kept = [draft.id for draft in planned.drafts if project.edits.has(draft.id, _inputs(project, writer, draft))]
    todo = [draft for draft in planned.drafts if draft.id not in set(kept)]
    shown.stage("write", len(planned.drafts), len(kept))
    made = []
    for draft, texts in concurrently(writer.describe, todo, at_once=at_once(writer)):
        if isinstance(texts, CannotWriteError):
            refused[draft.id] = str(texts)
        else:
            _put(project, writer, draft, texts)
            made.append(draft.id)
        shown.step()
    project.edits.keep_only({*kept, *made})
    return Outcome(len(made), len(kept), refused, (*planned.notes, *used(writer)))


def dry(project: Project) -> str:
    """Return what a writer would be asked: how many edits and questions, and its own estimate where it has one.

    Raises:
        UserError: as `write`.
    """
    writer, planned = made_writer(project), plan_drafts(project)
    todo = [draft for draft in planned.drafts if not project.edits.has(draft.id, _inputs(project, writer, draft))]
    there, name = len(planned.drafts) - len(todo), project.settings.write.writer
    told = [f"{name} would write {counted(len(todo), 'edit')} with questions; there already: {there}", *planned.notes]
    estimate = getattr(writer, "estimate", None)
    if estimate is not None:
        new = {draft.id for draft in todo}
        open_ = [draft for draft in planned.drafts if draft.id in new or project.questions.get(draft.id) is None]
        told.append(str(estimate(open_)))
    return "\n".join(told)


def made_writer(project: Project) -> Writer:
    """Return the writer that the settings name.

    Raises:
        UserError: it is unknown, or its settings are wrong.
    """
    writer: Writer = registry.factory("writers", project.settings.write.writer)(project)
    return writer


def at_once(writer: Writer) -> int:
    """Return how many texts a writer can be asked for at a time."""
    return int(getattr(writer, "at_once", 1))


def used(writer: Writer) -> tuple[str, ...]:
    """Return what a writer says it has used, such as tokens and their cost; nothing where it counts nothing."""
    summary = getattr(writer, "summary", None)
    return () if summary is None else (str(summary()),)


def _put(project: Project, writer: Writer, draft: Draft, texts: EditTexts) -> None:
    lenders = [change.taken_from for change in draft.changes if change.taken_from is not None]
    sources = dict.fromkeys([draft.subject.id, draft.pictured.id, *lenders, draft.edit_picture, draft.rephrase_picture])
    by = {**writer.by, **drawn_with(project)}
    inputs = _inputs(project, writer, draft)
    project.edits.put(draft.id, Edit(draft=draft, texts=texts), sources=list(sources), by=by, inputs=inputs)


def _inputs(project: Project, writer: Writer, draft: Draft) -> str:
    """Return a digest of all that a draft's texts and place in the log depend on."""
    relations = [project.words.relation(change.relation) for change in draft.changes]
    types = project.words.type(draft.subject.type)
    return digest_of(draft, relations, types, dict(writer.by), drawn_with(project), project.settings.write.words)
