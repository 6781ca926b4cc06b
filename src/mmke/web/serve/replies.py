"""Answers and errors in the shape in which OpenAI's clients read them."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, Response

KINDS: Mapping[int, str] = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
"""The `type` of an error by its status; of every other one it is `invalid_request_error`."""


class RefusedError(Exception):
    """A request that is not answered: why, with which status, and which parameter is to blame."""

    def __init__(self, told: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        """Take what the client is told."""
        super().__init__(told)
        self.status, self.param, self.code = status, param, code


def error(status: int, told: str, param: str | None = None, code: str | None = None) -> Response:
    """Return an error object."""
    kind = KINDS.get(status, "invalid_request_error")
    headers = {"retry-after": "1"} if status in (429, 503) else None
    plain = {"error": {"message": told, "type": kind, "param": param, "code": code}}
    return JSONResponse(plain, status, headers)


@dataclass(frozen=True)
class Reply:
    """One answer on its way out.

    Attributes:
        model: who answered.
        id: of the answer.
        created: seconds since 1970.
    """

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer as one object; what only this server tells stands under `mmke`."""
        message = {"role": "assistant", "content": answer["text"], "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer["finish_reason"]}
        return self._object("chat.completion", [choice]) | {"usage": answer["usage"], "mmke": answer["mmke"]}

    def piece(self, delta: Mapping[str, Any], *, finish_reason: str | None = None) -> bytes:
        """Return a piece of the answer as an event."""
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish_reason}
        return event(self._object("chat.completion.chunk", [choice]))

    def usage(self, answer: Mapping[str, Any]) -> bytes:
        """Return the event with the number of tokens."""
        return event(self._object("chat.completion.chunk", []) | {"usage": answer["usage"], "mmke": answer["mmke"]})

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}


END = b"data: [DONE]\n\n"


def event(plain: Mapping[str, Any]) -> bytes:
    """Return one server-sent event."""
    return f"data: {json.dumps(plain, ensure_ascii=False)}\n\n".encode()


def released(text: str, stops: tuple[str, ...], *, final: bool) -> str:
    """Return how much of a text may be sent: up to a stop, and not what may still become one, or a broken character.

    Args:
        text: all that is written so far.
        stops: before which it ends.
        final: whether nothing more comes.
    """
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    if places:
        return text[: min(places)]
    if final:
        return text
    begun = max((n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
    return text[: len(text) - begun].rstrip("\N{REPLACEMENT CHARACTER}")
