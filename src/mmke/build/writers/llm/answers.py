"""What a model must send back, and how it is read out of a reply, whatever stands around it."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError


def _one_line(text: str) -> str:
    plain = " ".join(text.split())
    if not plain:
        raise ValueError("it is empty")
    return plain


Text = Annotated[str, AfterValidator(_one_line)]
"""White space is made plain: a description is one paragraph."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Described(_Answer):
    """A draft in words."""

    prompt: Text
    rephrase: Text
    original: Text
    target: Text


class Told(_Answer):
    """A draft of user-specific knowledge in words: nothing is replaced, so that there is no original."""

    prompt: Text
    rephrase: Text
    target: Text


class Asked(_Answer):
    """One question, with the key that it was given."""

    key: str
    question: Text


class AllAsked(_Answer):
    """Questions, one for each key."""

    questions: list[Asked]


def response_format(answer: type[BaseModel]) -> dict[str, Any]:
    """Return what asks an endpoint for this kind of answer; those that do not know it pass it over."""
    schema = {"name": answer.__name__.lower(), "strict": True, "schema": answer.model_json_schema()}
    return {"type": "json_schema", "json_schema": schema}


def read_answer(text: str, answer: type[BaseModel]) -> tuple[BaseModel | None, list[str]]:
    """Return the answer that a reply holds; or None, and what is wrong with the reply."""
    plain = _last_object(text)
    if plain is None:
        return None, [f"the reply holds no JSON object: {shortened(text)!r}"]
    try:
        return answer.model_validate(plain), []
    except ValidationError as error:
        return None, [_told(found) for found in error.errors()]


def _last_object(text: str) -> dict[str, Any] | None:
    """Return the last JSON object in a text; before it can stand what a model thought, around it a fence."""
    decoder, found, start = json.JSONDecoder(), None, text.find("{")
    while start >= 0:
        try:
            found, end = decoder.raw_decode(text, start)
        except ValueError:
            end = start + 1
        except RecursionError:  # thousands of braces within each other, which no answer has
            return None
        start = text.find("{", end)
    return found


def _told(found: Any) -> str:
    place = ".".join(map(str, found["loc"]))
    if found["type"] == "missing":
        return f"{place} is missing"
    if found["type"] == "extra_forbidden":
        return f"{place} is not asked for"
    message = found["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"


def shortened(text: str, limit: int = 80) -> str:
    """Return a text as one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
