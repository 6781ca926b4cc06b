"""How relations and types are put into words: `relations.toml` and `type_words.toml`, and the project's own tables.

A relation is a little grammar. With `x` for the thing (its name, or "the bird in the image"):

    [country]
    phrase = "the country in which {x} lives"
    questions = ["In which country does {x} live?", "What is the country in which {x} lives?"]
    statement = "{x} lives in {value}."

Questions compose: the question of `capital` about the phrase of `country` asks one hop further ("What is the capital of
the country in which the bird in the image lives?"). A relation without a table of its own is put into words by its
name: "the wing span of {x}".
"""

import tomllib
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mmke.build.settings import checked

LEFT_OPEN = "{x}"


def _with(*needed: str, others: Collection[str] = ()) -> AfterValidator:
    """Ask of a text that its places are these: each of `needed`, and at most some of `others`."""
    known = [f"{{{name}}}" for name in (*needed, *others)]

    def check(text: str) -> str:
        try:
            parts = [part for part in Formatter().parse(text) if part[1] is not None]
        except ValueError as error:
            raise ValueError(f"{error}; a brace that is no place is written twice") from error
        names = {name for _, name, _, _ in parts}
        for _, name, form, conversion in parts:
            if f"{{{name}}}" not in known or form or conversion:
                raise ValueError(f"unknown place {{{name}}}; known: {', '.join(known)}")
        missing = [name for name in needed if name not in names]
        if missing:
            raise ValueError(f"the place {{{missing[0]}}} is missing")
        return text

    return AfterValidator(check)


class Relation(BaseModel):
    """The grammar of one relation.

    Attributes:
        phrase: a noun phrase for the value: "the capital of {x}".
        questions: at least two wordings of the same question about {x}, the first the plainest.
        statement: a sentence with {x} and {value}.
        before: a relation whose value, a year, must be later than this one's ("born" before "died").
        range: least and most of a value that is a number; None: it is no number, or any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    phrase: Annotated[str, _with("x")]
    questions: Annotated[tuple[Annotated[str, _with("x")], ...], Field(min_length=2)]
    statement: Annotated[str, _with("value", others=("x",))]
    before: str | None = None
    range: tuple[float, float] | None = None


class TypeWords(BaseModel):
    """How things of one type are pointed at.

    Attributes:
        noun: "bird".
        shown: the thing in a picture, without its name: "the bird in the image".
        on_side: the same in a picture of two things, with {side} for left or right: "the bird on the {side}".
        named: the thing by its name {name}: "the {name}", or "{name}" for names of their own.
        identity: the question that the name answers: "Which bird is in the image?".
        intros: first sentences of a description, with {name} ("This is the flag of {name}."); empty: made of `shown`.
        pronoun: "it" where a description may say it of a thing; empty: the noun is said again.
        ties: what a thing of this type may be to a user, by the names in `user.toml`; empty: the type's own name
            where it stands there, else "favourite".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    noun: str
    shown: str
    on_side: Annotated[str, _with("side")]
    named: Annotated[str, _with("name")]
    identity: str
    intros: tuple[Annotated[str, _with(others=("name", "shown", "x"))], ...] = ()
    pronoun: str = ""
    ties: tuple[str, ...] = ()


class Words:
    """The grammar of every relation and type."""

    def __init__(self, relations: Mapping[str, Relation], types: Mapping[str, TypeWords]) -> None:
        self._relations, self._types = relations, types

    def relation(self, name: str) -> Relation:
        """Return the grammar of a relation; of one without a table, by its name."""
        plain = _literal(name.replace("_", " "))
        return self._relations.get(name) or Relation(
            phrase=f"the {plain} of {{x}}",
            questions=(f"What is the {plain} of {{x}}?", f"Which {plain} does {{x}} have?"),
            statement=f"The {plain} of {{x}} is {{value}}.",
        )

    def type(self, name: str) -> TypeWords:
        """Return how things of a type are pointed at; of a type without a table, by its name."""
        return self._types.get(name) or TypeWords(
            noun=name,
            shown=f"the {name} in the image",
            on_side=f"the {_literal(name)} on the {{side}}",
            named="the {name}",
            identity=f"Which {name} is shown in the image?",
        )


def _literal(name: str) -> str:
    """Return a name for a text with places: braces in it are no place."""
    return name.replace("{", "{{").replace("}", "}}")


def read_words(relations: Mapping[str, Any], types: Mapping[str, Any], *, place: Path) -> Words:
    """Return the grammar that comes with mmke, with a project's own tables laid over it.

    Raises:
        UserError: a table of the project lacks something or has unknown keys.
    """
    shipped = files("mmke.build")
    made: list[dict[str, Any]] = []
    for name, model, own in (("relations", Relation, relations), ("type_words", TypeWords, types)):
        plain = tomllib.loads((shipped / f"{name}.toml").read_text(encoding="utf-8"))
        merged = {**plain, **{key: {**plain.get(key, {}), **value} for key, value in own.items()}}
        made.append({key: checked(model, value, f"{place} [{name}.{key}]") for key, value in merged.items()})
    return Words(made[0], made[1])
