"""Asking the services of Wikidata and Commons: politely, with bounded retries, and nothing twice.

Politeness, after the services' etiquette (mediawiki.org/wiki/API:Etiquette, .../Manual:Maxlag_parameter, and the user
agent policy of the Wikimedia Foundation): requests one after the other with a pause between them, a User-Agent with a
way to reach the user, `maxlag` on every request to a MediaWiki, and as long a wait as `Retry-After` says.

Replies are kept in the project, one file each, by a digest of what was asked. A run that goes on, or a repeated one,
reads them from there; the folder can be deleted to ask anew.
"""

import email.utils
import hashlib
import json
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmke.errors import UnreachableError, UserError
from mmke.lines import write_at_once

ATTEMPTS = 5
"""How often one request is sent at most."""
ATTEMPTS_OFFLINE = 2
"""The same where no connection comes about, which waiting seldom changes."""
FIRST_WAIT = 5.0
"""Seconds before the second attempt where the service names none; doubled before each one after it."""
LONGEST_WAIT = 300.0
"""Seconds; a service that asks for a longer wait is asked again by the next run."""
MAXLAG = "5"
"""Seconds that the service's copies may lag behind; the etiquette's number."""
LONGEST_ADDRESS = 1500
"""Letters, of which each can take nine in an address; servers take some 8,000."""
MOST_BYTES = 50_000_000
TIMEOUT = 90.0
"""Seconds; the query service itself gives up after 60."""

_LATER = (429, 500, 502, 503, 504)
_LATER_CODES = ("maxlag", "ratelimited", "readonly")


@dataclass(frozen=True, slots=True)
class Clock:
    """How time passes; tests let it pass otherwise."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class _Again:
    """A request that did not succeed and may be sent again.

    Attributes:
        why: what the service did.
        after: seconds to wait, where the service named them.
        attempts: how often it is worth while.
        broken: of a file: it is this one that fails, and not the service.
    """

    why: str
    after: float | None = None
    attempts: int = ATTEMPTS
    broken: bool = False


class Web:
    """The services, and the replies that are kept."""

    def __init__(self, *, contact: str, pause: float, kept: Path, clock: Clock) -> None:
        """Make ready to ask.

        Args:
            contact: goes into the User-Agent.
            pause: seconds between the end of a request and the next one.
            kept: folder of the replies.
            clock: how time passes.
        """
        import httpx2

        self._pause, self._kept, self._clock = pause, kept, clock
        self._free_at = -float("inf")
        headers = {"User-Agent": f"mmke/{version('mmke')} ({contact})"}
        self._client = httpx2.Client(headers=headers, timeout=TIMEOUT, follow_redirects=True)
        weakref.finalize(self, self._client.close)

    def json(self, url: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the JSON object that a service answers.

        Raises:
            UserError: the service refuses the request; the message says why.
            UnreachableError: it does not answer, or answers something else.
        """
        found: dict[str, Any] = json.loads(self._once(url, params, file=False))
        return found

    def content(self, url: str) -> bytes:
        """Return a file.

        Raises:
            UserError: there is no such file, or it is too large.
            UnreachableError: the service does not answer.
        """
        return self._once(url, {}, file=True)

    def _once(self, url: str, params: Mapping[str, str], *, file: bool) -> bytes:
        asked = json.dumps([url, sorted(params.items())])
        kept = self._kept / (hashlib.sha256(asked.encode()).hexdigest()[:24] + (".bytes" if file else ".json"))
        if kept.exists():
            return kept.read_bytes()
        content = self._ask(url, params, file=file)
        self._kept.mkdir(parents=True, exist_ok=True)
        write_at_once(kept, content)
        return content

    def _ask(self, url: str, params: Mapping[str, str], *, file: bool) -> bytes:
        wait = FIRST_WAIT
        for attempt in range(1, ATTEMPTS + 1):
            found = self._send(url, params, file=file)
            if isinstance(found, bytes):
                return found
            after = wait if found.after is None else found.after
            if attempt == ATTEMPTS and file and found.broken:
                raise UserError(f"{url} {found.why}, {ATTEMPTS} times")
            if attempt >= found.attempts or after > LONGEST_WAIT:
                later = f", and asks for a wait of {after:.0f} seconds" if after > LONGEST_WAIT else ""
                raise UnreachableError(
                    f"{_host(url)} {found.why}{later}; the source wikidata needs the network. What was collected is "
                    "kept: run this again later, or use the source folder or mini"
                )
            self._clock.sleep(after)
            wait *= 2
        raise AssertionError("the last attempt returns or raises")

    def _send(self, url: str, params: Mapping[str, str], *, file: bool) -> bytes | _Again:
        """Send one request after the pause; return the content, or why it may be sent again."""
        import httpx2

        self._clock.sleep(max(0.0, self._free_at - self._clock.now()))
        try:
            with self._client.stream(**_request(url, params)) as reply:
                read = bytearray()
                for part in reply.iter_bytes():
                    read += part
                    if len(read) > MOST_BYTES:
                        raise UserError(f"{url} is over {MOST_BYTES // 1_000_000} MB")
        except httpx2.ConnectError as error:
            return _Again(f"cannot be reached ({error})", attempts=ATTEMPTS_OFFLINE)
        except (httpx2.InvalidURL, httpx2.TooManyRedirects) as error:
            raise UserError(f"{url}: {error}") from error
        except httpx2.RequestError as error:
            return _Again(f"broke the connection off ({type(error).__name__}: {error})")
        finally:
            self._free_at = self._clock.now() + self._pause
        content = bytes(read)
        after = _seconds(reply.headers.get("Retry-After", ""))
        if reply.status_code in _LATER:
            broken = reply.status_code == httpx2.codes.INTERNAL_SERVER_ERROR
            return _Again(f"answers {reply.status_code} {reply.reason_phrase}", after, broken=broken)
        if reply.status_code != httpx2.codes.OK:
            raise UserError(f"{url}: {reply.status_code} {reply.reason_phrase}{_first_line(content)}")
        again = None if file else _checked_json(url, content)
        return content if again is None else _Again(again.why, after)


def _checked_json(url: str, content: bytes) -> _Again | None:
    """Return None for a usable answer, else why it may be asked for again."""
    try:
        found = json.loads(content)
    except ValueError:
        return _Again("answers something that is no JSON")
    if not isinstance(found, dict):
        return _Again("answers no JSON object")
    error = found.get("error")
    if error is None:
        return None
    if error.get("code") in _LATER_CODES:
        return _Again(f"is too busy ({error.get('code')}: {error.get('info', '')})")
    raise UserError(f"{_host(url)} refuses the request: {error.get('code')}: {error.get('info', '')}")


def _request(url: str, params: Mapping[str, str]) -> dict[str, Any]:
    """Return a request's method, address and parameters: in the address, where it does not become too long."""
    if sum(map(len, params.values())) > LONGEST_ADDRESS:
        return {"method": "POST", "url": url, "data": dict(params)}
    return {"method": "GET", "url": url, "params": dict(params) or None}


def _seconds(retry_after: str) -> float | None:
    """Return how long a `Retry-After` header asks to wait; None where there is none. It is a number or a date."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        at = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, at.timestamp() - time.time())


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _first_line(content: bytes) -> str:
    text = content[:200].decode("utf-8", errors="replace").strip()
    return f" ({text.splitlines()[0]})" if text and not text.startswith("<") else ""
