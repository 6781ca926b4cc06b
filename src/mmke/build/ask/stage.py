"""`mmke build ask`: the questions of each record; what they ask is planned here, the writer words them."""

from collections.abc import Iterator, Sequence

from mmke.build.ask.assigning import Assigned, Assigner
from mmke.build.ask.pictures import copied, made, take_away, third_picture
from mmke.build.ask.still_fits import still_fits
from mmke.build.ask.unrelated import names_by_type, read_pools
from mmke.build.concurrently import concurrently
from mmke.build.content import Edit, Plan, Question, Questions
from mmke.build.log import digest_of
from mmke.build.project import Project
from mmke.build.protocols import Outcome, Shown, Writer
from mmke.build.write.stage import at_once, made_writer, used
from mmke.counting import counted
from mmke.errors import CannotWriteError, UserError


def ask(project: Project, shown: Shown) -> Outcome:
    """Plan the questions of edits that are new or changed, have them put into words, and write `questions.jsonl`.

    Raises:
        UserError: nothing was written, the settings are wrong, or the writer cannot work at all.
    """
    if not len(project.edits):
        raise UserError(f"{project.folder}: there is no edit; mmke build write {project.folder} comes first")
    writer, pools, names = made_writer(project), read_pools(project), names_by_type(project)
    inputs = {entry.id: _inputs(project, writer, entry.content) for entry in project.edits}
    kept = {
        entry.id: asked.content
        for entry in project.edits
        if (asked := project.questions.get(entry.id)) is not None
        and asked.inputs == inputs[entry.id]
        and still_fits(project, pools, names, entry.content, asked.content)
    }
    refused: dict[str, str] = {}
    todo = _assigned(project, Assigner(project, pools, list(kept.values())), kept, refused)
    shown.stage("ask", len(kept) + len(todo), len(kept))
    done = dict(kept)
    for assigned, texts in concurrently(lambda each: writer.ask(each.edit, each.plans), todo, at_once=at_once(writer)):
        id_ = assigned.edit.draft.id
        try:
            questions = _questions(project, assigned, texts)
        except CannotWriteError as error:
            refused[id_] = str(error)
        else:
            project.questions.put(id_, questions, sources=(id_,), by=writer.by, inputs=inputs[id_])
            done[id_] = questions
        shown.step()
    project.questions.keep_only(done)
    take_away(project, {picture for questions in done.values() for picture in _shown_by(questions)})
    return Outcome(len(done) - len(kept), len(kept), refused, used(writer))


def _assigned(
    project: Project, assigner: Assigner, kept: dict[str, Questions], refused: dict[str, str]
) -> list[Assigned]:
    """Assign to all records that are not kept, in the order of the edits."""
    found = []
    for entry in project.edits:
        if entry.id in kept:
            continue
        try:
            found.append(assigner.assign(entry.content))
        except CannotWriteError as error:
            refused[entry.id] = str(error)
    return found


def _questions(project: Project, assigned: Assigned, texts: Sequence[str] | CannotWriteError) -> Questions:
    if isinstance(texts, CannotWriteError):
        raise texts
    if len(texts) != len(assigned.plans):
        given = counted(len(texts), "question")
        raise CannotWriteError(f"the writer gave {given} for {counted(len(assigned.plans), 'plan')}")
    picture = copied(project, assigned.other)
    one_hop = None
    if assigned.beside is not None:
        one_hop = made(project, assigned.edit.draft, copied(project, assigned.beside), assigned.side)
    asked = [Question(plan=plan, text=text) for plan, text in zip(assigned.plans, texts, strict=True)]
    fact, other = assigned.fact, assigned.other
    asked.append(Question(plan=Plan(key="t_loc", answer=fact.answer), text=fact.question, source=fact.source))
    on_picture = Plan(key="i_loc", answer=other.answer, picture="locality")
    asked.append(Question(plan=on_picture, text=other.question, source=project.settings.ask.pictures))
    return Questions(questions=tuple(asked), locality_picture=picture, one_hop=one_hop)


def _shown_by(questions: Questions) -> Iterator[str]:
    yield questions.locality_picture
    if questions.one_hop is not None:
        yield from (questions.one_hop.id, questions.one_hop.left, questions.one_hop.right)


def _inputs(project: Project, writer: Writer, edit: Edit) -> str:
    """Return a digest of all that a record's questions depend on, besides what comes from the pools."""
    draft, words = edit.draft, project.words
    named = {fact.relation for change in draft.changes for fact in change.further}
    relations = sorted({change.relation for change in draft.changes} | named)
    grammar = [words.type(draft.subject.type), *map(words.relation, relations)]
    third = None if draft.kind == "entity" else _third(project, edit)
    own = [project.settings.user_words] if project.settings.user_words else []
    return digest_of(edit, grammar, dict(writer.by), project.settings.seed, project.settings.ask, third, *own)


def _third(project: Project, edit: Edit) -> tuple[str, str] | None:
    try:
        picture = third_picture(project, edit.draft)
    except CannotWriteError:  # which is told when the record is asked
        return None
    return picture.id, picture.sha256
