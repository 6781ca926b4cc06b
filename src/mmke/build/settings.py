"""The settings of a project: `build.toml`, checked by pydantic, every key of which `mmke build new` explains.

The settings of a source, `[sources.NAME]`, and of a writer, `[writers.NAME]`, are checked by that source or writer.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from mmke.build.content import Kind
from mmke.errors import UserError, did_you_mean

BUILD = "build.toml"

Model = TypeVar("Model", bound=BaseModel)

Share = Annotated[float, Field(ge=0, le=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Collecting(_Table):
    """`[collect]`: what is taken of the things and pictures that a source has.

    Attributes:
        short_side: a picture with fewer pixels on its short side is refused.
        duplicate_distance: two pictures whose perceptual hashes differ in at most so many of 64 bits are the same.
        facts: a thing with fewer facts is refused.
        licences: names of those that allow redistribution; pictures under any other are refused.
    """

    short_side: PositiveInt
    duplicate_distance: Annotated[int, Field(ge=0, le=64)]
    facts: Annotated[int, Field(ge=0)]
    licences: tuple[str, ...]


class Writing(_Table):
    """`[write]`: who writes, and how much is altered.

    Attributes:
        writer: name of the writer (`mmke ls writers`).
        changes: how many facts an edit alters, or, of user-specific knowledge, how many the user tells.
        words: least and most words of a description.
    """

    writer: str
    changes: PositiveInt
    words: tuple[PositiveInt, PositiveInt]


class Asking(_Table):
    """`[ask]`: where the unrelated questions come from.

    Attributes:
        facts: "mini": plain facts that come with mmke; else a file of the project with `question` and `answer`.
        pictures: "mini": pictures that come with mmke; "own": the project's things of other types.
    """

    facts: str
    pictures: str


class Verifying(_Table):
    """`[verify]`: how people decide.

    Attributes:
        double: share of the records that a second person decides too, without seeing the first verdict.
        reasons: what a rejection can be put down to.
    """

    double: Share
    reasons: tuple[str, ...]


class Exporting(_Table):
    """`[export]`.

    Attributes:
        train: share of the records that go into the training split.
        licence: of the benchmark's own texts.
        authors: who made it, for the card and the citation.
    """

    train: Share
    licence: str
    authors: tuple[str, ...]


NAME = r"^[\w][\w .+-]*$"
"""What a benchmark can be called."""


class Settings(_Table):
    """The whole of `build.toml`.

    Attributes:
        name: of the benchmark.
        kind: of knowledge.
        count: how many records are wanted.
        seed: of everything that is drawn.
        types: the types of thing that are edited; empty: all that the source has.
        source: name of the source (`mmke ls sources`).
        sources: settings of sources by their name.
        writers: settings of writers by their name.
        relations: how the project's own relations are put into words, or others' otherwise (see `words`).
        type_words: the same for types.
        user_words: names of users, lists of what they tell, and ties, laid over those of `user.toml`.
    """

    name: Annotated[str, Field(pattern=NAME)]
    kind: Kind
    count: PositiveInt
    seed: int
    types: tuple[str, ...]
    source: str
    collect: Collecting
    write: Writing
    ask: Asking
    verify: Verifying
    export: Exporting
    sources: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    writers: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    relations: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    type_words: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    user_words: Mapping[str, Any] = Field(default_factory=dict)


def read_settings(file: Path) -> Settings:
    """Read `build.toml`.

    Raises:
        UserError: no such file, no TOML, or a key that is missing, unknown or has another kind of value; every problem
            at once.
    """
    try:
        plain = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{file.parent} is no project: it has no {BUILD} (mmke build new DIR makes one)") from error
    except ValueError as error:  # also of bytes that are no UTF-8
        raise UserError(f"{file} is no TOML ({error})") from error
    return checked(Settings, plain, str(file))


def checked(model: type[Model], plain: Mapping[str, Any], place: str) -> Model:
    """Return plain values as a model of settings; `place` is told with each problem.

    Raises:
        UserError: a key is missing, unknown or has another kind of value; every problem at once.
    """
    try:
        return model.model_validate(dict(plain))
    except ValidationError as error:
        told = [f"{place}: {_told(model, found)}" for found in error.errors()]
        raise UserError("\n".join(told)) from error


def _told(model: type[BaseModel], found: Any) -> str:
    key = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        known = _keys(model, found["loc"][:-1])
        return f"unknown key {key!r}{did_you_mean(str(found['loc'][-1]), known)}"
    if found["type"] == "missing":
        return f"{key} is missing; `mmke build new` writes every key with its explanation"
    told = found["msg"].removeprefix("Value error, ")
    return f"{key} = {found['input']!r}: {told[:1].lower()}{told[1:]}"


def _keys(model: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    for part in place:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
