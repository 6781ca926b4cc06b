"""What a user tells of a thing, in words: `user.toml`.

A tie, such as "pet", says what a thing is to the user; it has facts, each with values to draw from, a sentence to the
user, and questions. The places {user}, {name}, {named}, {noun}, {shown} and {value} are filled in by `str.format`.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mmke.build.settings import checked

Wordings = Annotated[tuple[str, ...], Field(min_length=2)]

PEOPLE = "people"
"""In the place of a list's name: names of people, made as the users' are."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToldFact(_Table):
    """A fact that a user tells of a thing.

    Attributes:
        values: the name of a list, "people", or the first and the last year.
        statement: a sentence to the user, with {value}.
        text: its question without a picture; it names the user and the thing.
        image: its question on the picture.
        which: a phrase that finds the thing between two: "the {noun} that {user} calls {value}".
    """

    values: str | tuple[int, int]
    statement: str
    text: Wordings
    image: Wordings
    which: str


class Tie(_Table):
    """What a thing is to a user.

    Attributes:
        intros: first sentences of a description, to the user.
        identity: questions on the picture that the user's name answers.
        facts: what can be told, by the name of the relation, in the order in which it is told.
    """

    intros: Wordings
    identity: Wordings
    facts: Annotated[Mapping[str, ToldFact], Field(min_length=2)]


class Names(_Table):
    """Given and family names that go together."""

    given: tuple[str, ...]
    family: tuple[str, ...]


class UserWords(_Table):
    """The whole of `user.toml`."""

    lists: Mapping[str, tuple[str, ...]]
    names: tuple[Names, ...]
    ties: Mapping[str, Tie]


def read_user_words(own: Mapping[str, Any], *, place: str) -> UserWords:
    """Return the ties, facts and lists that come with mmke, with a project's own lists, names and ties laid over them.

    Raises:
        UserError: a table of the project lacks something or has unknown keys.
    """
    plain: dict[str, Any] = tomllib.loads((files("mmke.build") / "user.toml").read_text(encoding="utf-8"))
    for key, value in own.items():
        plain[key] = {**plain[key], **value} if isinstance(plain.get(key), dict) and isinstance(value, dict) else value
    return checked(UserWords, plain, place)
