"""What a failed request means for the user: one line, and whether all other requests would fail as well."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from mmke.build.writers.llm.answers import shortened
from mmke.build.writers.llm.settings import LlmSettings
from mmke.errors import did_you_mean

KEPT = "what was finished is kept, and the same command goes on from there"
NO_CREDIT = re.compile(
    r"insufficient_quota|billing_hard_limit_reached|billing_not_active|insufficient[_ ]balance", re.IGNORECASE
)
PAYMENT_REQUIRED = 402
MODELS_TOLD = 8


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request.

    Attributes:
        message: for the user, in one line.
        all: every other request would fail as well.
    """

    message: str
    all: bool


def no_credit(response: httpx2.Response) -> bool:
    """Tell whether a response says that the quota is used up; waiting does not help then."""
    told = response.status_code in (403, 429) and NO_CREDIT.search(response.text) is not None
    return response.status_code == PAYMENT_REQUIRED or told


def failure(error: openai.APIError, settings: LlmSettings, *, key: bool, models: Callable[[], list[str]]) -> Failure:
    """Return what an error of the client means.

    Args:
        error: what it raised after the last try.
        settings: of the writer.
        key: whether a key was sent.
        models: asks which models the endpoint has.
    """
    if isinstance(error, openai.APITimeoutError):
        return Failure(f"no reply within {settings.timeout:g} seconds (timeout in build.toml)", all=False)
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, settings, key=key, models=models)
    why = shortened(str(error.__cause__ or error), 120)
    return Failure(f"no connection ({why}); is the server running, and is base_url right? {_tried(settings)}", all=True)


def _of_status(
    error: openai.APIStatusError, settings: LlmSettings, *, key: bool, models: Callable[[], list[str]]
) -> Failure:
    status, said = error.status_code, _said(error)
    if no_credit(error.response):
        return Failure(f"the quota is used up ({said}); {KEPT}", all=True)
    if status == 404 or error.code == "model_not_found":
        return Failure(_no_model(status, settings.model, models()), all=True)
    if status in (401, 403):
        return Failure(_no_entry(status, settings.key if key else None), all=True)
    if status == 429:
        wait = error.response.headers.get("retry-after")
        asked = f"; it asks to wait {wait} seconds" if wait and wait.isdecimal() else ""
        return Failure(f"too many requests (429: {said}){asked}; lower at_once, or wait. {_tried(settings)}", all=False)
    if status >= 500:
        return Failure(f"an error of the server ({status}: {said}). {_tried(settings)}", all=False)
    return Failure(f"the request was refused ({status}: {said})", all=False)


def _no_entry(status: int, variable: str | None) -> str:
    """Return why a key is not enough. What the server says is left out: it can repeat a part of the key."""
    if variable is None:
        return f"a key is wanted ({status}); set the environment variable that `key` in build.toml names"
    return f"the key in the environment variable {variable} is not accepted ({status})"


def _no_model(status: int, model: str, listed: Sequence[str]) -> str:
    if not listed:
        return f"no model {model!r} ({status}), and no list of models either; is base_url right (most end in /v1)?"
    told = ", ".join(listed[:MODELS_TOLD]) + (f" and {len(listed) - MODELS_TOLD} more" if listed[MODELS_TOLD:] else "")
    return f"no model {model!r} ({status}){did_you_mean(model, listed)}; the endpoint has {told}"


def _tried(settings: LlmSettings) -> str:
    return f"Sent up to {settings.retries + 1} times" if settings.retries else "Sent once"


def _said(error: openai.APIStatusError) -> str:
    """Return what the server says, in one line."""
    body: Any = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body.get("code") or body
    plain = re.sub(r"<[^>]*>", " ", str(body if body is not None else ""))
    return shortened(plain, 160) or "without a reason"
