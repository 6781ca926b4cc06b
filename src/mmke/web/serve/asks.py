"""Which requests are understood: one question, with one picture or none, answered greedily.

In: the JSON of `POST /v1/chat/completions`. Out: an `Asked`. What is not supported is refused by name, never passed
over: a request that was answered was answered as it was meant.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmke.web.serve.replies import RefusedError

MOST_TOKENS = 4096
USUAL_TOKENS = 128
"""Of an answer, where the request names no number."""
MOST_STOPS = 4
_DATA = re.compile(r"data:image/[\w.+-]+;base64,(.*)", re.DOTALL)

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "tools": ([],),
    "functions": ([],),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "tool_choice": ("none",),
    "reasoning_effort": ("none",),
}
"""Parameters that are understood in these values alone, in which they ask for nothing."""
_IGNORED = frozenset({"top_p", "top_k", "seed", "user", "metadata", "store", "service_tier", "safety_identifier"})
"""Parameters that change nothing where the most probable token is always taken, or say who asks."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ImageUrl(_Strict):
    """A picture, and in how much detail it is to be looked at; this model looks in its own."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class TextPart(_Strict):
    """Words of a message."""

    type: Literal["text"]
    text: str


class ImagePart(_Strict):
    """A picture in a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class Message(_Strict):
    """What somebody said."""

    role: Literal["user", "system", "developer", "assistant", "tool"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]
    name: str | None = None


class StreamOptions(_Strict):
    """What is sent besides the answer's pieces."""

    include_usage: bool | None = None


class Completion(_Strict):
    """The parameters that matter here."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class Asked(BaseModel):
    """A request that is understood.

    Attributes:
        model: who is asked.
        question: in the model's language, without its prompt.
        picture: bytes of the file that came with it; None: there is none.
        most: tokens of the answer at most.
        stops: texts before which the answer ends.
        stream: whether it is sent piece by piece.
        usage: whether the pieces end with the number of tokens.
    """

    model: str
    question: str
    picture: bytes | None
    most: int
    stops: tuple[str, ...]
    stream: bool
    usage: bool


def read(body: bytes) -> Asked:
    """Return what a request asks.

    Raises:
        RefusedError: it is no such request, or asks for what is not supported; it names the parameter.
    """
    try:
        plain = _Body.model_validate_json(body).root()
    except ValidationError as error:
        raise RefusedError(f"The body is no JSON object: {error.errors()[0]['msg']}") from error
    known = {name: value for name, value in plain.items() if name in Completion.model_fields}
    for name, value in plain.items():
        if name not in known:
            _check_neutral(name, value)
    try:
        request = Completion.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if str(part) not in ("str", "TextPart", "ImagePart"))
        raise RefusedError(f"{place}: {first['msg']}", param=place) from error
    return _asked(request)


class _Body(BaseModel):
    model_config = ConfigDict(extra="allow")

    def root(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


def _check_neutral(name: str, value: Any) -> None:
    if value is None or name in _IGNORED or value in _NEUTRAL.get(name, ()):
        return
    if name in _NEUTRAL:
        told = f"{name} is not supported here: one answer, in text, of the most probable tokens."
    else:
        told = f"{name} is not known here."
    raise RefusedError(told, param=name, code="unsupported_parameter")


def _asked(request: Completion) -> Asked:
    if request.temperature:
        raise RefusedError(
            f"temperature {request.temperature:g} is not supported: answers are greedy; give 0, or leave it out.",
            param="temperature",
            code="unsupported_value",
        )
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    if len(stops) > MOST_STOPS or "" in stops:
        raise RefusedError(f"stop: give one to {MOST_STOPS} texts.", param="stop")
    question, picture = _message(request.messages)
    return Asked(
        model=request.model,
        question=question,
        picture=picture,
        most=_most(request),
        stops=tuple(stops),
        stream=bool(request.stream),
        usage=bool(request.stream_options and request.stream_options.include_usage),
    )


def _most(request: Completion) -> int:
    name = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
    most = getattr(request, name)
    if most is None:
        return USUAL_TOKENS
    if not 1 <= most <= MOST_TOKENS:
        raise RefusedError(f"{name} {most}: give a number from 1 to {MOST_TOKENS}.", param=name)
    return int(most)


def _message(messages: list[Message]) -> tuple[str, bytes | None]:
    """Return the one question and its picture."""
    said = [message for message in messages if message.content not in ("", [])]
    if len(said) != 1 or said[0].role != "user":
        raise RefusedError(
            "One question is answered at a time: give one message, of the user. There are no turns, and the model's "
            "prompt has no place for a system message; put what it says in front of the question.",
            param="messages",
            code="unsupported_value",
        )
    content = said[0].content
    parts = [TextPart(type="text", text=content)] if isinstance(content, str) else content
    question = "\n".join(part.text.strip() for part in parts if isinstance(part, TextPart)).strip()
    pictures = [part.image_url.url for part in parts if isinstance(part, ImagePart)]
    if not question:
        raise RefusedError("The message holds no question.", param="messages")
    if len(pictures) > 1:
        raise RefusedError("One picture is looked at at a time.", param="messages", code="unsupported_value")
    return question, _picture(pictures[0]) if pictures else None


def _picture(url: str) -> bytes:
    found = _DATA.fullmatch(url)
    if found is None:
        raise RefusedError(
            "image_url: pictures are taken as data URLs alone (data:image/png;base64,…); no address is ever fetched.",
            param="messages",
            code="unsupported_value",
        )
    try:
        return base64.b64decode(found.group(1), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(f"image_url: this is no base64 ({error}).", param="messages") from error
