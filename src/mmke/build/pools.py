"""Pools for questions about something else: unrelated facts and pictures, and things to stand beside an edited one.

Those that come with mmke are the unrelated ones of the benchmark `mini`; `recipes/building` writes them down. Facts may
come from a file of the project instead.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mmke.build.project import Project
from mmke.build.protocols import FoundPicture
from mmke.build.settings import BUILD
from mmke.build.sources.mini.shipped import Pictures, read_lines
from mmke.errors import UserError

SHIPPED = "mini"
COLUMNS = ("question", "answer")


class UnrelatedFact(BaseModel):
    """A plain fact: a question, or a sentence that the answer ends ("The capital of Japan is"); and its source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str
    source: str


@dataclass(frozen=True, slots=True)
class UnrelatedPicture:
    """A picture with a question that an unedited model answers; `type` is the one that a source would give it."""

    name: str
    type: str
    question: str
    answer: str
    picture: FoundPicture


@dataclass(frozen=True, slots=True)
class Companion:
    """A thing that stands beside an edited one: its name ("lemon"), and the answer that names it ("a lemon")."""

    name: str
    type: str
    answer: str
    picture: FoundPicture


class _Picture(BaseModel):
    name: str
    type: str
    question: str
    answer: str
    picture: str


class _Companion(BaseModel):
    name: str
    type: str
    answer: str
    picture: str


def unrelated_facts(project: Project) -> Sequence[UnrelatedFact]:
    """Return the facts that `[ask].facts` names, each question once, always in the same order.

    Raises:
        UserError: the project's file is missing, lacks a column, or has a line without question or answer.
    """
    name = project.settings.ask.facts
    return read_lines("pool/facts.jsonl", UnrelatedFact) if name == SHIPPED else _own_facts(project.folder, name)


def unrelated_pictures() -> Sequence[UnrelatedPicture]:
    """Return the unrelated pictures that come with mmke, each of another thing, always in the same order."""
    pictures = Pictures()
    return [
        UnrelatedPicture(each.name, each.type, each.question, each.answer, pictures.find(each.picture))
        for each in read_lines("pool/pictures.jsonl", _Picture)
    ]


def companions() -> Sequence[Companion]:
    """Return things that the source `mini` edits in no kind, each once, always in the same order."""
    pictures = Pictures()
    return [
        Companion(each.name, each.type, each.answer, pictures.find(each.picture))
        for each in read_lines("pool/companions.jsonl", _Companion)
    ]


def _own_facts(folder: Path, name: str) -> list[UnrelatedFact]:
    file = folder / name
    place = f"{folder / BUILD}: [ask].facts"
    if file.suffix.lower() != ".csv":
        raise UserError(f'{place} = {name!r}: give "{SHIPPED}", or a .csv file with the columns question and answer')
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{place} = {name!r}: {file} cannot be read ({error.strerror}); put it there") from error
    except ValueError as error:
        raise UserError(f"{file} is not UTF-8 ({error}); save it as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise UserError(f"{file}: no column {missing[0]!r}; the first line must name the columns question and answer")
    found: dict[str, UnrelatedFact] = {}
    for row in reader:
        question, answer = ((row[column] or "").strip() for column in COLUMNS)
        if not question or not answer:
            lacking = "question" if not question else "answer"
            raise UserError(f"{file}, line {reader.line_num}: the {lacking} is empty; fill it in or take the line out")
        found.setdefault(question, UnrelatedFact(question=question, answer=answer, source=f"{name} of the project"))
    if not found:
        raise UserError(f"{file} has no facts; write one a line below question,answer")
    return list(found.values())
