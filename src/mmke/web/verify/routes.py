"""The calls of the page. They run one after the other in the server's loop, so that no two verdicts meet."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from mmke.build.verdicts.deciding import ChangedError
from mmke.errors import UserError
from mmke.web.app import asked, make_app, message
from mmke.web.verify.asks import Ask, AskCheck, AskDecide, AskNext, AskRecord, AskUndo
from mmke.web.verify.service import Service


def verify_app(service: Service, *, token: str, hosts: Sequence[str]) -> Starlette:
    """Return the application of the verification page."""

    async def start(request: Request) -> Response:
        return JSONResponse(service.start())

    async def picture(request: Request) -> Response:
        query = request.query_params
        try:
            return FileResponse(service.picture(query.get("record", ""), query.get("role", "")))
        except UserError as error:
            return message(str(error), 404)

    calls = [
        Route("/api/start", start),
        Route("/api/picture", picture),
        _call("/api/name", Ask, lambda ask: {"annotator": service.person(ask.annotator)}),
        _call("/api/next", AskNext, service.next),
        _call("/api/record", AskRecord, service.show),
        _call("/api/check", AskCheck, service.check),
        _call("/api/decide", AskDecide, service.decide),
        _call("/api/undo", AskUndo, service.undo),
    ]
    return make_app("verify.html", calls, token=token, hosts=hosts)


def _call(path: str, model: type[BaseModel], answer: Callable[[Any], dict[str, Any]]) -> Route:
    async def handle(request: Request) -> Response:
        ask = await asked(request, model)
        try:
            return JSONResponse(answer(ask))
        except ChangedError as error:  # the page then asks for what is there now
            return message(str(error), 409)

    return Route(path, handle, methods=["POST"])
