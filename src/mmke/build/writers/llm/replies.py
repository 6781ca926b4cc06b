"""Every reply that a model has sent, kept in the project: `replies/llm/<digest>.json`.

The digest is of the model, how it is asked, the prompt's version and all messages, so that a second run asks nothing
twice, and a reviewer sees each prompt with its reply. What is kept is one conversation's turn, not the traffic: a
recording transport would also keep requests that were refused or sent again, and would miss a reply when an option of
the request changes that has no part in the text, such as the longest time to wait.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mmke.build.log import digest_of
from mmke.build.writers.llm.prompts import Step
from mmke.errors import UserError
from mmke.lines import write_at_once

FOLDER = "replies/llm"


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Kept):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Request(_Kept):
    """What was asked."""

    model: str
    temperature: float
    tokens: int
    extra: dict[str, Any]
    messages: tuple[Message, ...]


class Reply(_Kept):
    """What came back.

    Attributes:
        model: as the server names it; empty where it does not.
        text: of the reply, empty where there is none.
        refusal: in the model's words; None where it did not refuse.
        finish: why it ended: "stop", "length" (cut off), "content_filter", …
        sent: tokens of the request by the server's count; None where it gives none.
        received: tokens of the reply likewise.
    """

    model: str
    text: str
    refusal: str | None
    finish: str
    sent: int | None
    received: int | None

    @property
    def cut_off(self) -> bool:
        """Tell whether the reply is longer than was allowed."""
        return self.finish == "length"


class Kept(_Kept):
    """One kept file: which record and step it is of, which attempt, and the prompt's version."""

    record: str
    step: Step
    attempt: int
    prompt: str
    request: Request
    reply: Reply


class Replies:
    """The kept replies of a project."""

    def __init__(self, project: Path) -> None:
        self._folder = project / FOLDER

    def name(self, request: Request, prompt: str) -> str:
        """Return where a reply is kept, from the project's folder."""
        digest = digest_of(request.model, request.temperature, request.extra, prompt, list(request.messages))
        return f"{FOLDER}/{digest}.json"

    def get(self, request: Request, prompt: str) -> Reply | None:
        """Return the kept reply to a request; None where there is none, or it was cut off and more is allowed now.

        Raises:
            UserError: the file cannot be read.
        """
        file = self._file(request, prompt)
        if not file.exists():
            return None
        kept = _read(file)
        return None if kept.reply.cut_off and kept.request.tokens < request.tokens else kept.reply

    def put(self, kept: Kept) -> None:
        """Keep a reply; when this returns, it survives a kill and a power cut."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_at_once(self._file(kept.request, kept.prompt), kept.model_dump_json(indent=2).encode() + b"\n")

    def all(self) -> Sequence[Kept]:
        """Return everything that is kept, in the order of the files' names.

        Raises:
            UserError: a file cannot be read.
        """
        return [_read(file) for file in sorted(self._folder.glob("*.json"))]

    def _file(self, request: Request, prompt: str) -> Path:
        return self._folder / self.name(request, prompt).rpartition("/")[2]


def _read(file: Path) -> Kept:
    try:
        return Kept.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise UserError(
            f"{file} cannot be read ({place}: {first['msg']}); was it edited? Restore it, or delete it to ask again"
        ) from error
