"""The calls of the page. Work for the model is answered by a stream of events, one line of JSON each.

A page that goes away in the middle closes its stream, and with that stops its work.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NoReturn

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mmke.errors import UserError
from mmke.pictures import read_bytes
from mmke.web.app import asked, make_app
from mmke.web.play.asks import AskEdit, AskOpen, AskQuestion, AskRecord, AskRepeat, AskSave, AskTab, AskUndo
from mmke.web.play.events import events
from mmke.web.play.service import AtWorkError, Service
from mmke.web.play.tabs import GoneError
from mmke.web.play.uploads import MOST_BYTES
from mmke.web.play.worker import BusyError, Event, Job

MOST_SAVED = 1 << 30
"""Bytes of a file with edits that is loaded."""
TAB = "x-mmke-tab"


def play_app(service: Service, *, token: str, hosts: Sequence[str]) -> Starlette:
    """Return the application of the page."""
    calls = [
        _shown("/api/about", service.about),
        _shown("/api/state", service.state),
        _answered("/api/open", AskOpen, lambda ask: service.open(ask.tab)),
        _answered("/api/leave", AskTab, lambda ask: service.tabs.leave(ask.tab)),
        _answered("/api/record", AskRecord, lambda ask: service.gallery.record(ask.record) or _missing("record")),
        *_pictures_and_files(service),
        _streamed("/api/ask", AskQuestion, service.ask),
        _streamed("/api/edit", AskEdit, service.edit),
        _streamed("/api/repeat", AskRepeat, service.repeat),
        _streamed("/api/undo", AskUndo, service.undo),
        _file("/api/save", AskSave, service.save, "application/octet-stream"),
        _file("/api/share", AskTab, lambda ask: service.share(ask.tab), "text/html; charset=utf-8"),
    ]
    uploads = {"/api/upload": MOST_BYTES, "/api/load": MOST_SAVED}
    return make_app("play.html", calls, token=token, hosts=hosts, uploads=uploads)


def _missing(what: str) -> NoReturn:
    raise HTTPException(404, f"There is no such {what}.")


def _shown(path: str, tell: Callable[[], Event]) -> Route:
    async def handle(request: Request) -> Response:
        return JSONResponse(tell())

    return Route(path, handle)


def _answered(path: str, model: type[BaseModel], answer: Callable[[Any], Event | None]) -> Route:
    async def handle(request: Request) -> Response:
        return JSONResponse(answer(await asked(request, model)) or {})

    return Route(path, handle, methods=["POST"])


def _pictures_and_files(service: Service) -> list[Route]:
    """Return the calls that send and take pictures, and take files with edits."""

    async def picture(request: Request) -> Response:
        image = service.picture(request.query_params.get("id", "")) or _missing("picture")
        return Response(read_bytes(image.path), media_type="image/png")

    async def upload(request: Request) -> Response:
        content = await request.body()
        taken = await asyncio.get_running_loop().run_in_executor(None, service.uploads.take, content)
        return JSONResponse({"picture": taken.sha256})

    async def load(request: Request) -> Response:
        content = await request.body()
        return _stream(request, _begun(lambda: service.load(request.headers.get(TAB, ""), content)))

    return [
        Route("/api/picture", picture),
        Route("/api/upload", upload, methods=["POST"]),
        Route("/api/load", load, methods=["POST"]),
    ]


def _begun(begin: Callable[[], Job]) -> Job:
    """Return a job that waits for its turn; a refusal is told with its status."""
    try:
        return begin()
    except AtWorkError as error:
        raise HTTPException(409, str(error)) from error
    except GoneError as error:
        raise HTTPException(410, str(error)) from error
    except BusyError as error:
        raise HTTPException(503, str(error)) from error


def _streamed(path: str, model: type[BaseModel], begin: Callable[[Any], Job]) -> Route:
    async def handle(request: Request) -> Response:
        ask = await asked(request, model)
        return _stream(request, _begun(lambda: begin(ask)))

    return Route(path, handle, methods=["POST"])


def _file(path: str, model: type[BaseModel], begin: Callable[[Any], Job], kind: str) -> Route:
    async def handle(request: Request) -> Response:
        ask = await asked(request, model)
        job, content = _begun(lambda: begin(ask)), b""
        async for event in events(request, job):
            if event["event"] == "failed":
                raise UserError(event["message"])
            content = event.get("content", content)
        return Response(content, media_type=kind)

    return Route(path, handle, methods=["POST"])


def _stream(request: Request, job: Job) -> Response:
    async def lines() -> AsyncIterator[str]:
        async for event in events(request, job):
            yield json.dumps(event) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")
