"""The reader: how a question is put to the model when it is on a remembered edit.

In: a question and the edit. Out: the question behind invented examples, and behind the edit's note. Where the model has
no room for all of it, first examples are left out, then the note's last sentences.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Literal

from mmke.editors.gated_note import words
from mmke.protocols import Backbone
from mmke.types import Edit, Query

Form = Literal["fact", "note", "none"]
"""How the note stands before the question: as IKE writes it, behind the edit's own question; alone in a line; or not at
all, so that the edit's patch alone answers."""
ROOM = 64
"""Positions that are left for the answer."""


def behind_note(backbone: Backbone, query: Query, edit: Edit, form: Form, examples: int) -> Query:
    """Return a question behind as much of an edit's note as the model has room for, which may be nothing.

    Neither a gold answer nor its length is read.
    """
    if form == "none":
        return query
    limit = backbone.max_positions - ROOM
    for before, note in _shorter(edit.target, examples):
        put = replace(query, text=before + _put(form, edit.query.text, note, query.text))
        if backbone.length(put, "") <= limit:
            return put
    return query


def _shorter(note: str, examples: int) -> Iterator[tuple[str, str]]:
    """Yield what stands before the note, and the note: first all of it, then less and less."""
    shown = demonstrations()[:examples]
    for kept in range(len(shown), 0, -1):
        yield "".join(shown[:kept]), note
    yield "", note
    said = words.sentences(note)
    for kept in range(len(said) - 1, 0, -1):
        yield "", " ".join(said[:kept])


@cache
def demonstrations() -> tuple[str, ...]:
    """Return the invented examples, each with its question and answer, as they stand before a note."""
    shipped = files("mmke.editors.gated_note") / "demonstrations.toml"
    read = tomllib.loads(shipped.read_text(encoding="utf-8"))["demonstration"]
    return tuple(f"{_put('fact', each['question'], each['note'], each['asked'])} {each['answer']}\n\n" for each in read)


def _put(form: Form, own: str, note: str, question: str) -> str:
    return f"New Fact: {own} {note}\nPrompt: {question}" if form == "fact" else f"{note}\n{question}"
