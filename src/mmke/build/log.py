"""The log of one stage: JSON lines that are only ever appended.

A line is `{"id", "from", "by", "inputs", "content"}`: what it is of, the ids that it was made from, who made it (a
source, a writer's model and prompt version, an annotator), a digest of the inputs, and the content. Of two lines with
one id the later counts; a line whose content is null takes the id away. A kill can leave half a line at the end, which
is cut off before the next line is written.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from mmke.build.content import Content
from mmke.lines import json_object, put, read_lines, to_line, validated

C = TypeVar("C", bound=Content)


@dataclass(frozen=True, slots=True)
class Entry(Generic[C]):
    """One line: what it is of, what it was made from, by whom, of which inputs, and its content."""

    id: str
    sources: tuple[str, ...]
    by: Mapping[str, str]
    inputs: str
    content: C


class Log(Generic[C]):
    """One stage's file; it is read once and then kept in step with what is appended."""

    def __init__(self, file: Path, kind: type[C]) -> None:
        """Read the file; one that is not there has no lines.

        Raises:
            UserError: a line is broken; the message names it.
        """
        self.file, self._kind = file, kind
        lines = read_lines(file, self._parse, way_out="take the line out and run again")
        self._end = lines[-1].end if lines else 0
        self._entries: dict[str, Entry[C]] = {}
        self.lines: list[Entry[C]] = []
        for line in lines:
            self._take(line.content)

    def __iter__(self) -> Iterator[Entry[C]]:
        """Yield what counts, in the order in which the ids first appeared."""
        return iter(self._entries.values())

    def __len__(self) -> int:
        """Return how many ids there are."""
        return len(self._entries)

    def get(self, id_: str) -> Entry[C] | None:
        """Return what counts of an id; None where there is nothing."""
        return self._entries.get(id_)

    def has(self, id_: str, inputs: str) -> bool:
        """Tell whether an id was made of these inputs, so that nothing is to be done."""
        entry = self._entries.get(id_)
        return entry is not None and entry.inputs == inputs

    def put(self, id_: str, content: C, *, sources: Sequence[str], by: Mapping[str, str], inputs: str) -> None:
        """Append one line; when this returns, it survives a kill and a power cut.

        Raises:
            OSError: the disk is full or gone.
        """
        self._append(Entry(id_, tuple(sources), dict(by), inputs, content))

    def keep_only(self, ids: Collection[str]) -> None:
        """Take away every id that is not among `ids`."""
        for entry in [entry for entry in self if entry.id not in ids]:
            self._append_line({**_head(entry), "content": None})
            del self._entries[entry.id]

    def _append(self, entry: Entry[C]) -> None:
        self._append_line({**_head(entry), "content": entry.content.model_dump(mode="json")})
        self._take(entry)

    def _append_line(self, plain: Mapping[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        line = to_line(plain)
        with self.file.open("r+b" if self.file.exists() else "w+b") as out:
            out.truncate(self._end)
            out.seek(self._end)
            put(out, line)
        self._end += len(line)

    def _take(self, entry: Entry[C] | tuple[str, None]) -> None:
        if isinstance(entry, tuple):
            self._entries.pop(entry[0], None)
            return
        self._entries[entry.id] = entry
        self.lines.append(entry)

    def _parse(self, line: bytes) -> Entry[C] | tuple[str, None]:
        plain = json_object(line)
        try:
            head = (str(plain["id"]), tuple(plain["from"]), plain["by"], str(plain["inputs"]))
            content = plain["content"]
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is missing") from error
        return (head[0], None) if content is None else Entry(*head, validated(self._kind.model_validate, content))


def _head(entry: Entry[C]) -> dict[str, Any]:
    return {"id": entry.id, "from": list(entry.sources), "by": dict(entry.by), "inputs": entry.inputs}


def digest_of(*parts: object) -> str:
    """Return 16 hexadecimal digits that differ where any of the parts, plain data or contents, differs."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(part: object) -> object:
    if isinstance(part, BaseModel):
        return part.model_dump(mode="json")
    if isinstance(part, tuple | set | frozenset | Mapping):
        return (
            dict(part)
            if isinstance(part, Mapping)
            else sorted(part)
            if isinstance(part, set | frozenset)
            else list(part)
        )
    raise TypeError(f"{type(part).__name__} has no digest")
