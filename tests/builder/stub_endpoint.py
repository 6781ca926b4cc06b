"""Endpoints for tests of the writer `llm`: a local server that answers as it is told, and recorded good replies."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

RECORDED = Path(__file__).parent / "replies"


def completion(text: str | None, **changed: Any) -> dict[str, Any]:
    """Return the body of a good response; `changed` are `finish_reason`, `refusal`, `usage`."""
    message = {"role": "assistant", "content": text, "refusal": changed.get("refusal")}
    usage = changed.get("usage", {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120})
    choice = {"index": 0, "message": message, "finish_reason": changed.get("finish_reason", "stop")}
    return {"id": "1", "object": "chat.completion", "model": "stub-1", "choices": [choice], "usage": usage}


def record_of(body: Mapping[str, Any]) -> str:
    """Return the id of the record that a request is about."""
    first: str = body["messages"][1]["content"].split("\n")[0]
    return first.removeprefix("Record: ")


def recorded(body: Mapping[str, Any]) -> str:
    """Return the recorded reply to a request, by its record and step; an unknown request is an error."""
    step = "ask" if "\nQuestions:\n" in body["messages"][1]["content"] else "describe"
    file = RECORDED / f"{record_of(body).replace('/', '-')}-{step}.json"
    return file.read_text(encoding="utf-8")


class Recorded(httpx2.BaseTransport):
    """Stands in for the network: answers with recorded replies."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        body = json.loads(request.read())
        self.asked.append(body)
        return httpx2.Response(200, json=completion(recorded(body)))


class NoNetwork(httpx2.BaseTransport):
    """Stands in for the network where nothing may be asked."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Refuse."""
        raise AssertionError(f"{request.url} was asked")


@dataclass(frozen=True)
class Sent:
    """A response: a body that is sent as JSON, or bytes as they are."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    """Seconds before it is sent."""


@dataclass
class Server:
    """A running server: its address, and the bodies and headers of what it was asked, in order."""

    url: str
    asked: list[dict[str, Any]]
    headers: list[Mapping[str, str]]
    models: Sequence[str] | None = None


@contextmanager
def serving(answer: Callable[[int, Mapping[str, Any]], Sent]) -> Iterator[Server]:
    """Run a server on a free port; `answer` is told how many requests came before, and the body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(server.asked)
                server.asked.append(body)
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
            self._send(answer(number, body))

        def do_GET(self) -> None:
            listed = [{"id": name, "object": "model"} for name in server.models or ()]
            self._send(Sent({"data": listed}) if server.models is not None else Sent({"detail": "Not Found"}, 404))

        def _send(self, sent: Sent) -> None:
            closing.wait(sent.after)
            plain = isinstance(sent.body, bytes)
            content = sent.body if plain else json.dumps(sent.body).encode()
            self.send_response(sent.status)
            headers = {"content-type": "text/html" if plain else "application/json", **sent.headers}
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            """A client that gave up is no error."""

    lock, closing = threading.Lock(), threading.Event()
    with Quiet(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_address[1]}/v1", [], [])
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            closing.set()
            http.shutdown()
            thread.join()
