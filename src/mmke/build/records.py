"""The records of a project: each edit with its questions and its pictures."""

from dataclasses import replace

from mmke.build.content import Edit, Picture, PictureRole, Questions
from mmke.build.log import Entry
from mmke.build.project import Project
from mmke.build.record import Record
from mmke.build.settings import BUILD
from mmke.errors import UserError


def records(project: Project) -> list[Record]:
    """Return the records that have both an edit and questions, in the order of the edits.

    Raises:
        UserError: there is none, a picture that a record shows is not in `pictures.jsonl`, or the project's kind was
            changed since.
    """
    _check_kind(project)
    found = [_record(project, entry, asked) for entry in project.edits if (asked := project.questions.get(entry.id))]
    if not found:
        raise UserError(f"{project.folder}: there is no record yet; mmke build run {project.folder} makes them")
    return found


def _check_kind(project: Project) -> None:
    kind = next((entry.content.draft.kind for entry in project.edits), project.settings.kind)
    if kind != project.settings.kind:
        raise UserError(
            f"{project.folder / BUILD}: kind = {project.settings.kind!r}, and the records were made with {kind!r}; set "
            "it back, or begin a project of its own for the other kind (mmke build new)"
        )


def _record(project: Project, edit: Entry[Edit], asked: Entry[Questions]) -> Record:
    draft = edit.content.draft
    names: dict[PictureRole, str] = {
        "edit": draft.edit_picture,
        "rephrase": draft.rephrase_picture,
        "locality": asked.content.locality_picture,
    }
    pictures = {role: _picture(project, edit.id, name) for role, name in names.items()}
    record, tags = Record(edit.content, asked.content, pictures, {}), project.tags.get(edit.id)
    # Tags of a record that was written anew since speak of other texts.
    return replace(record, tags=tags.content.tags) if tags is not None and tags.inputs == record.content else record


def _picture(project: Project, record: str, name: str) -> Picture:
    entry = project.pictures.get(name)
    if entry is None:
        raise UserError(
            f"{project.folder}: record {record} shows {name}, which is not in pictures.jsonl; collect again"
        )
    return entry.content
