"""The endpoint: `/v1/models` and `/v1/chat/completions`, with the safeguards of every page."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mmke.web.play.events import events
from mmke.web.play.uploads import MOST_BYTES
from mmke.web.play.worker import BusyError, Event, Job
from mmke.web.safeguards import Carrying, Safeguards
from mmke.web.serve.asks import Asked, read
from mmke.web.serve.replies import END, RefusedError, Reply, error
from mmke.web.serve.service import Service

MOST_BODY = 2 * MOST_BYTES
"""Bytes of a request: a picture in base64 takes a third more than its file."""


def serve_app(service: Service, *, key: str, hosts: Sequence[str]) -> Starlette:
    """Return the application.

    Args:
        service: who answers.
        key: that requests carry.
        hosts: names under which it may be asked.
    """

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(name) for name in service.models]})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        service.check(name)
        return JSONResponse(_model(name))

    async def complete(request: Request) -> Response:
        asked = read(await request.body())
        service.check(asked.model)
        picture = await asyncio.get_running_loop().run_in_executor(None, service.picture, asked)
        job = service.ask(asked, picture)
        if asked.stream:
            return StreamingResponse(_pieces(request, job, asked), media_type="text/event-stream")
        return JSONResponse(Reply(asked.model).whole(await _answer(request, job)))

    carrying = Carrying(
        calls="/v1/",
        token=_key,
        stale="The API key is another one; the command printed it, as OPENAI_API_KEY, when it started.",
        told=error,
    )
    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/v1/chat/completions", complete, methods=["POST"]),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(Safeguards, token=key, most_bytes=MOST_BODY, carrying=carrying),
        ],
        exception_handlers={RefusedError: _refused, HTTPException: _told, BusyError: _busy},
    )


def _key(headers: Headers) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ")


def _model(name: str) -> Mapping[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "mmke"}


def _heard(event: Event) -> Event:
    """Return what a job told.

    Raises:
        RefusedError: it failed.
    """
    if event["event"] == "failed":
        raise RefusedError(event["message"], status=500)
    if "refused" in event:
        raise RefusedError(event["refused"], param="messages")
    return event


async def _answer(request: Request, job: Job) -> Event:
    async with aclosing(events(request, job)) as told:
        async for event in told:
            if _heard(event)["event"] == "done":
                return event
    raise RefusedError("The client went away.", status=499)


async def _pieces(request: Request, job: Job, asked: Asked) -> AsyncIterator[bytes]:
    """Yield the events of an answer that is sent piece by piece; an error in the middle is an event too."""
    reply = Reply(asked.model)
    yield reply.piece({"role": "assistant", "content": ""})
    try:
        async with aclosing(events(request, job)) as told:
            async for event in told:
                if _heard(event)["event"] == "piece":
                    yield reply.piece({"content": event["text"]})
                elif event["event"] == "done":
                    yield reply.piece({}, finish_reason=event["finish_reason"])
                    if asked.usage:
                        yield reply.usage(event)
    except RefusedError as refused:
        yield b"data: " + bytes(_of(refused).body) + b"\n\n"
    yield END


def _of(refused: RefusedError) -> Response:
    return error(refused.status, str(refused), refused.param, refused.code)


async def _refused(request: Request, raised: Exception) -> Response:
    assert isinstance(raised, RefusedError)  # noqa: S101 - what Starlette calls it for
    return _of(raised)


async def _told(request: Request, raised: Exception) -> Response:
    assert isinstance(raised, HTTPException)  # noqa: S101
    return error(raised.status_code, f"{request.method} {request.url.path}: {raised.detail}")


async def _busy(request: Request, raised: Exception) -> Response:
    return error(429, str(raised), code="rate_limit_exceeded")
