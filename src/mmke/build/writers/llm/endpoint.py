"""Requests to an OpenAI-compatible endpoint, through the `openai` client.

The client sends again what failed on its way (no connection, too slow, 429 with Retry-After, errors of the server).
What it raises in the end becomes one line: either one text cannot be written and the others go on, or all would fail
and nothing more is sent.
"""

import threading
import weakref
from collections.abc import Mapping
from typing import Any

import httpx2
import openai
from pydantic import BaseModel, ValidationError

from mmke.build.writers.llm.answers import response_format, shortened
from mmke.build.writers.llm.failures import KEPT, Failure, failure, no_credit
from mmke.build.writers.llm.replies import Reply, Request
from mmke.build.writers.llm.settings import LlmSettings
from mmke.errors import CannotWriteError, UserError

IN_A_ROW = 3
"""So many failed requests without a good one between them end the work."""

CONNECT = 10.0
"""Seconds within which a connection must stand; a model's thinking is not counted."""

SHORTEST_KEY = 8
"""Characters of what can be a secret."""

OPTIONS = {
    "response_format": ("response_format", "json_schema", "guided", "structured"),
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens",),
}
"""Options that a server may refuse, and words by which its refusal is known. It is asked again without them."""


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(BaseModel):
    """The part of a server's reply that is read; everything else in it is passed over."""

    model: str | None = None
    choices: tuple[_Choice, ...]
    usage: _Usage | None = None


class Endpoint:
    """One endpoint; several threads may ask at once."""

    def __init__(
        self, settings: LlmSettings, environment: Mapping[str, str], transport: httpx2.BaseTransport | None = None
    ) -> None:
        self._settings, self._transport = settings, transport
        self._key = environment.get(settings.key, "").strip() if settings.key else ""
        self._lock = threading.Lock()
        self._client: openai.OpenAI | None = None
        self._ended: str | None = None
        self._failed = 0
        self._refused: set[str] = set()

    @property
    def key_problem(self) -> str | None:
        """Return what is wrong with the key; None where there is one, or the endpoint is on this machine."""
        settings = self._settings
        if not (self._key.isascii() and self._key.isprintable()) or " " in self._key:
            return f"the environment variable {settings.key} holds a character that is in no key; copy the key again"
        if self._key or not settings.key or settings.local:
            return None
        return (
            f"the environment variable {settings.key} is not set, which holds the key of {settings.base_url}; set it, "
            'or write key = "" where the endpoint needs none'
        )

    def send(self, request: Request, answer: type[BaseModel]) -> Reply:
        """Return the model's reply.

        Raises:
            CannotWriteError: this request failed; others may do.
            UserError: every request would fail; nothing more is sent.
        """
        client = self._open()
        try:
            reply = self._read(self._post(client, request, answer))
        except openai.APIError as error:
            raise self._end(failure(error, self._settings, key=bool(self._key), models=self._models)) from None
        except (ValidationError, ValueError) as error:
            raise self._end(Failure(str(error), all=False)) from None
        with self._lock:
            self._failed = 0
        return reply

    def _open(self) -> openai.OpenAI:
        with self._lock:
            problem = self._ended or self.key_problem
            if problem is not None:
                raise UserError(problem)
            if self._client is None:
                settings = self._settings
                network = openai.DefaultHttpxClient(
                    transport=self._transport,
                    event_hooks={"response": [_do_not_wait_for_credit]},
                    timeout=httpx2.Timeout(settings.timeout, connect=min(CONNECT, settings.timeout)),
                    trust_env=not settings.local,  # no proxy stands between this machine and itself
                )
                weakref.finalize(self, network.close)
                self._client = openai.OpenAI(
                    base_url=settings.base_url,
                    api_key=self._key or "none",
                    max_retries=settings.retries,
                    http_client=network,
                )
            return self._client

    def _post(self, client: openai.OpenAI, request: Request, answer: type[BaseModel]) -> httpx2.Response:
        while True:
            refused = frozenset(self._refused)
            try:
                return client.post("/chat/completions", body=_body(request, answer, refused), cast_to=httpx2.Response)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                option = _refused_option(error, refused)
                if option is None:
                    raise
                self._refused.add(option)

    def _read(self, response: httpx2.Response) -> Reply:
        """Return what a response holds.

        Raises:
            ValueError: it is no completion; the message shows how it begins.
        """
        text = self._without_key(response.text)
        try:
            found = _Completion.model_validate_json(text)
            choice = found.choices[0]
        except (ValidationError, IndexError) as error:
            kind = response.headers.get("content-type", "no type")
            begins = shortened(text) or "nothing"
            raise ValueError(
                f"the reply is no completion ({kind}: {begins!r}); is base_url right (most end in /v1)?"
            ) from error
        usage = found.usage or _Usage()
        return Reply(
            model=found.model or "",
            text=choice.message.content or "",
            refusal=choice.message.refusal,
            finish=choice.finish_reason or "",
            sent=usage.prompt_tokens,
            received=usage.completion_tokens,
        )

    def _end(self, failed: Failure) -> UserError:
        """Return the error that a failure becomes, and remember what ends the work."""
        message = f"{self._settings.base_url}: {self._without_key(failed.message)}"
        with self._lock:
            if self._ended is not None:  # another thread met the end first
                return UserError(self._ended)
            self._failed += 1
            if failed.all:
                self._ended = message
            elif self._failed >= IN_A_ROW:
                self._ended = f"{message}; {IN_A_ROW} requests in a row failed, {KEPT}"
            return CannotWriteError(message) if self._ended is None else UserError(self._ended)

    def _models(self) -> list[str]:
        """Return the models that the endpoint lists; nothing where it lists none."""
        client = self._client
        try:
            return (
                [] if client is None else sorted(model.id for model in client.with_options(max_retries=0).models.list())
            )
        except (openai.APIError, TypeError, AttributeError):  # no list, or one of another shape
            return []

    def _without_key(self, text: str) -> str:
        # A short one is a stand-in such as "none", which a local server is given, and can be a word of the text.
        return text.replace(self._key, "…") if len(self._key) >= SHORTEST_KEY else text


def _do_not_wait_for_credit(response: httpx2.Response) -> None:
    if response.is_error:
        response.read()
        if no_credit(response):
            response.headers["x-should-retry"] = "false"  # the client obeys it, also where it would wait


def _body(request: Request, answer: type[BaseModel], refused: frozenset[str]) -> dict[str, Any]:
    tokens = "max_completion_tokens" if "max_tokens" in refused else "max_tokens"
    body = {
        **request.extra,
        "model": request.model,
        "messages": [message.model_dump() for message in request.messages],
        "temperature": request.temperature,
        tokens: request.tokens,
        "response_format": response_format(answer),
    }
    return {name: value for name, value in body.items() if name not in refused}


def _refused_option(error: openai.APIStatusError, refused: frozenset[str]) -> str | None:
    text = error.response.text
    known = (name for name, tokens in OPTIONS.items() if any(token in text for token in tokens))
    return next((name for name in known if name not in refused), None)
