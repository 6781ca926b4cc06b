"""An application: one page, the files that it loads, and the calls that it makes."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from mmke.errors import UserError
from mmke.web.safeguards import Safeguards

MOST_BYTES = 256 * 1024
_TYPES = {"css": "text/css", "js": "text/javascript"}

Asked = TypeVar("Asked", bound=BaseModel)


def make_app(
    template: str,
    calls: Sequence[BaseRoute],
    *,
    token: str,
    hosts: Sequence[str],
    most_bytes: int = MOST_BYTES,
    uploads: Mapping[str, int] = MappingProxyType({}),
) -> Starlette:
    """Return an application with its safeguards.

    Args:
        template: of the page at `/`, in `templates/`. Anybody may ask for it: it holds nothing of the user's.
        calls: what the page calls, all of them under `/api/`.
        token: that calls carry.
        hosts: names under which it may be asked.
        most_bytes: of what one call sends.
        uploads: calls that take a file, with the most bytes of each.
    """
    pages = Environment(loader=PackageLoader("mmke.web"), autoescape=True, undefined=StrictUndefined)
    page = pages.get_template(template)
    parts = {part.name: part.read_bytes() for part in (files("mmke.web") / "files").iterdir() if part.is_file()}

    async def show(request: Request) -> Response:
        return HTMLResponse(page.render(nonce=request.scope["nonce"]))

    async def load(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in parts:
            raise HTTPException(404)
        return Response(parts[name], media_type=_TYPES.get(name.rpartition(".")[2]))

    return Starlette(
        routes=[Route("/", show), Route("/files/{name}", load), *calls],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(Safeguards, token=token, most_bytes=most_bytes, uploads=uploads),
        ],
        exception_handlers={HTTPException: _told, UserError: _told_to_user, OSError: _told_of_disk},
    )


async def asked(request: Request, model: type[Asked]) -> Asked:
    """Return what a call sends.

    Raises:
        HTTPException: it is no JSON, or not what `model` describes; the message names the place.
    """
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise HTTPException(422, f"{place}: {first['msg']}" if place else first["msg"]) from error


def message(text: str, status: int, more: Mapping[str, object] | None = None) -> Response:
    """Return an answer that the page shows to the user."""
    return JSONResponse({"message": text, **(more or {})}, status)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what Starlette calls it for
    return message(error.detail, error.status_code)


async def _told_to_user(request: Request, error: Exception) -> Response:
    return message(str(error), 400)


async def _told_of_disk(request: Request, error: Exception) -> Response:
    return message(f"This could not be read or saved ({error}).", 507)
