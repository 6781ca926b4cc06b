"""The settings of the writer `llm`: `[writers.llm]` of `build.toml`, explained there line by line."""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from pydantic_core import PydanticCustomError

from mmke.build.project import Project
from mmke.build.settings import BUILD
from mmke.errors import UserError

NAME = "llm"
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*|")
_THIS_MACHINE = re.compile(r"localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|::1")


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PydanticCustomError("no_address", "an address such as http://127.0.0.1:8000/v1 is expected")
    return value.rstrip("/")


def _named(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("no_model", "write the name of the model as the endpoint lists it")
    return value


OWN = ("model", "messages", "temperature", "max_tokens", "max_completion_tokens", "response_format", "stream", "n")
"""Fields of a request that `extra` may not set."""


def _further(value: dict[str, Any]) -> dict[str, Any]:
    own = [name for name in OWN if name in value]
    if own:
        raise PydanticCustomError("own_field", "{name} is not set here", {"name": own[0]})
    return value


class LlmSettings(BaseModel):
    """`[writers.llm]`.

    Attributes:
        base_url: address of the endpoint, with its version, such as `http://127.0.0.1:8000/v1`.
        model: its name there.
        key: name of the environment variable that holds the key; empty: the endpoint needs none.
        temperature: of the sampling; 0 takes the likeliest token.
        tokens: most tokens of one reply.
        at_once: how many requests are on their way at once.
        timeout: seconds until a request is given up.
        retries: how often a request is sent again that failed on its way.
        attempts: how often a text is asked for, each time with what was wrong before.
        extra: further fields of each request, for what only some endpoints know.
        price_in: of a million tokens that are sent; 0: not counted.
        price_out: of a million tokens that come back; 0: not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, AfterValidator(_address)]
    model: Annotated[str, AfterValidator(_named)]
    key: str
    temperature: NonNegativeFloat
    tokens: PositiveInt
    at_once: PositiveInt
    timeout: Annotated[float, Field(gt=0)]
    retries: NonNegativeInt
    attempts: PositiveInt
    extra: Annotated[dict[str, Any], AfterValidator(_further)]
    price_in: NonNegativeFloat
    price_out: NonNegativeFloat

    @property
    def local(self) -> bool:
        """Tell whether the endpoint is on this machine."""
        return _THIS_MACHINE.fullmatch(urlsplit(self.base_url).hostname or "") is not None


def read_llm_settings(project: Project) -> LlmSettings:
    """Return the settings of a project's writer.

    Raises:
        UserError: a key is missing, unknown or wrong. A message never repeats what may be a secret.
    """
    plain, place = project.settings.writers.get(NAME, {}), f"{project.folder / BUILD} [writers.{NAME}]"
    # Looked at before anything else, as other messages repeat the value that is wrong.
    if not _VARIABLE.fullmatch(str(plain.get("key", ""))):
        raise UserError(
            f"{place}: key is the name of an environment variable in capitals, such as OPENAI_API_KEY, never the key "
            "itself (if a key stood there, take it out of the file)"
        )
    address = urlsplit(str(plain.get("base_url", "")))
    if "@" in address.netloc or address.query or address.fragment:
        raise UserError(
            f"{place}: base_url is an address without a name, password or query in it; a key is taken from the "
            "environment variable that `key` names"
        )
    return project.settings_of("writers", NAME, LlmSettings)
