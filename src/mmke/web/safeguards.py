"""What every request passes before a page answers it.

* Only known hosts: a foreign page that points its own name at this machine (DNS rebinding) gets 400.
* Calls (`/api/`) carry the token of this start in a header, which a foreign page cannot send; it is compared in
  constant time. The token stands in the address behind `#`, which browsers send to nobody. `mmke serve` has other calls
  (`/v1/`), which carry it as other programs send it: `Carrying` says how.
* Calls that write carry JSON, or a file where files are taken, come from this page, and are small.
* The page runs its own scripts and styles alone, may be framed by nobody, sends no referrer, and is not kept.
"""

import hmac
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CARRIED_IN = "x-mmke-token"
"""The header that carries the token."""
CALLS = "/api/"
FILE = "application/octet-stream"
"""What an upload calls itself; what it is, its bytes alone say."""
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")

_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


def new_token() -> str:
    """Return a token that nobody guesses: 256 random bits."""
    return secrets.token_urlsafe(32)


def known_hosts(host: str) -> list[str]:
    """Return the names under which a server that listens on `host` may be asked."""
    names = [*LOOPBACK, host, f"[{host}]"]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - every address of this machine, which the user asked for
        name = socket.gethostname()
        names += [name, f"{name}.local", *_addresses(name)]
    return names


def _addresses(name: str) -> list[str]:
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(name, None)]
    except OSError:  # a machine that does not know its own name
        return []


def _told(status: int, told: str) -> Response:
    return JSONResponse({"message": told}, status)


@dataclass(frozen=True)
class Carrying:
    """Which calls carry the token, how, and how a refusal is told; unless said otherwise, as a page of ours does.

    Attributes:
        calls: how the paths of calls begin.
        token: reads it from the headers of a request.
        stale: what is told to a call with another token, or without one.
        told: makes the answer of a status and a reason.
    """

    calls: str = CALLS
    token: Callable[[Headers], str] = lambda headers: headers.get(CARRIED_IN, "")
    stale: str = "This page belongs to an earlier start. Open the address that the command printed last."
    told: Callable[[int, str], Response] = _told


class Safeguards:
    """The middleware; `scope["nonce"]` is what the page gives its scripts and styles."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        most_bytes: int,
        uploads: Mapping[str, int] = MappingProxyType({}),
        carrying: Carrying = Carrying(),
    ) -> None:
        """Let through to `app` what carries the token and is at most so big.

        Args:
            app: what answers.
            token: that calls carry.
            most_bytes: of a call in JSON.
            uploads: calls that take a file, with the most bytes of each.
            carrying: which calls carry the token, and how.
        """
        self._carrying = carrying
        self.app, self._token, self._most_bytes, self._uploads = app, token, most_bytes, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused, and hand on the rest."""
        if scope["type"] != "http":
            return
        nonce = scope["nonce"] = secrets.token_urlsafe(16)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({**_HEADERS, "content-security-policy": _POLICY.format(nonce=nonce)})
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await self._carrying.told(*refusal)(scope, receive, send_guarded)
            return
        await self.app(scope, _Capped(receive, self._most(scope)), send_guarded)

    def _most(self, scope: Scope) -> int:
        return self._uploads.get(scope["path"], self._most_bytes)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and reason where a request is refused."""
        headers = Headers(scope=scope)
        if not scope["path"].startswith(self._carrying.calls):
            return None
        if not hmac.compare_digest(self._carrying.token(headers).encode(), self._token.encode()):
            return 401, self._carrying.stale
        return None if scope["method"] in ("GET", "HEAD") else self._refusal_to_write(scope, headers)

    def _refusal_to_write(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        if headers.get("origin", own := f"{scope['scheme']}://{headers.get('host')}") != own:
            return 403, "This call comes from another page."
        # Neither of the two can be sent by another page's form.
        kind, what = (FILE, "a file") if scope["path"] in self._uploads else ("application/json", "JSON")
        if headers.get("content-type", "").partition(";")[0].strip() != kind:
            return 415, f"This call takes {what}."
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > self._most(scope):
            return 413, f"This is more than {self._most(scope)} bytes."
        return None


class _Capped:
    """Receives a body and stops it where it grows too long; a body in pieces states no length."""

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive, self._left = receive, most_bytes

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, "This is too long.")
        return message
