"""The prompts: Markdown files with a version in their head. A project can lay its own over those that come with mmke.

A file begins with `version: N`, an empty line, and then the text that is sent as the system message. The last block in
```json fences is a worked example of a reply. What is told of a record is sent after it (`facts`).
"""

import hashlib
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from mmke.build.content import Kind
from mmke.errors import UserError

Step = Literal["describe", "ask"]
STEPS: tuple[Step, ...] = ("describe", "ask")

_FILE = re.compile(r"version: *([^\n]*[^\s])\s*\n\n(.+)", re.DOTALL)
_EXAMPLE = re.compile(r"```json\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Attributes:
        version: its number, and 8 digits that differ where the text does: "1-0a3f5be2".
        text: the system message.
        example: the worked example of a reply, as JSON.
    """

    version: str
    text: str
    example: str


def read_prompt(project: Path, kind: Kind, step: Step) -> Prompt:
    """Return the prompt of a kind and step: the project's own `prompts/<kind>-<step>.md`, else mmke's.

    Raises:
        UserError: the project's file has no version or no example, or is no text.
    """
    name = f"{kind}-{step}.md"
    own = project / "prompts" / name
    file: Traversable = own if own.exists() else files("mmke.build.writers.llm") / "prompts" / name
    try:
        found = _FILE.fullmatch(file.read_text(encoding="utf-8").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8") from error
    if found is None:
        raise UserError(f"{file} does not begin with `version: N` and an empty line")
    examples = _EXAMPLE.findall(found[2])
    try:
        json.loads(examples[-1] if examples else "")
    except ValueError as error:
        raise UserError(f"{file} has no example of a reply: a block that begins with ```json") from error
    text = found[2].strip()
    return Prompt(f"{found[1]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}", text, examples[-1].strip())
