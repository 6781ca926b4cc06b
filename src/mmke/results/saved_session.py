"""`session/`: from which step, on which model and in which stream the session saved there goes on. No tensor is read.

`session/session.json` states all this and the sha256 of the file of tensors beside it, which is complete before
`session.json` names it; the older file of tensors is removed only after that. So a kill at any moment leaves one
complete state. A state that does not fit is refused, and never passed over: without it the stream would edit again for
hours.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, NonNegativeInt, TypeAdapter
from typing_extensions import TypedDict

from mmke.errors import UserError
from mmke.lines import json_object, sync_folder, to_line, validated, write_at_once

SESSION = "session"
FACTS = "session.json"
FORMAT = 1
"""Of the folder; a reader refuses every other number."""
WAY_OUT = "delete the folder {folder}, and the same command edits the stream again from its beginning"


@dataclass(frozen=True, slots=True)
class Origin:
    """On which model and in which stream a session was saved; all of it has to be equal where it goes on.

    Attributes:
        editor: its name.
        backbone: its name.
        weights_revision: of the backbone.
        stream: digest of what decides the stream (`digest_of`): settings, order, batches, data.
    """

    editor: str
    backbone: str
    weights_revision: str
    stream: str


@dataclass(frozen=True, slots=True)
class SavedSession:
    """What `session.json` states.

    Attributes:
        origin: on which model and in which stream.
        step: number of the stream's step after which it was saved.
        edits_applied: how many cases were in the model.
        cases: digest of the ids of these cases, in the order of their edits (`digest_of`).
        tensors: name of the file of tensors beside it.
        sha256: of that file.
        facts: what the session itself says of its state.
    """

    origin: Origin
    step: int
    edits_applied: int
    cases: str
    tensors: str
    sha256: str
    facts: Mapping[str, Any]


class _Origin(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    editor: str
    backbone: str
    weights_revision: str
    stream: str


class _Session(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    format: int
    origin: _Origin
    step: NonNegativeInt
    edits_applied: NonNegativeInt
    cases: str
    tensors: str
    sha256: str
    facts: dict[str, Any]


_ADAPTER = TypeAdapter(_Session)


def digest_of(plain: object) -> str:
    """Return the sha256 of what JSON can hold, whatever the order of its keys."""
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(file: Path) -> str:
    """Return the sha256 of a file's bytes; they are read each time, unlike those of data and weights."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_facts(folder: Path, saved: SavedSession) -> None:
    """State in `session.json` which session lies in a stream's `session/`, and remove every other file there.

    Args:
        folder: the stream's; the file of tensors lies in its `session/`, complete.
        saved: what to state.
    """
    place = folder / SESSION
    sync_folder(place)
    write_at_once(place / FACTS, to_line({"format": FORMAT, **asdict(saved)}))
    for file in place.iterdir():
        if file.name not in (FACTS, saved.tensors):
            file.unlink()


def read_session(
    folder: Path, origin: Origin, *, in_force: Callable[[int], Sequence[str] | None]
) -> SavedSession | None:
    """Return what the session saved in a stream's folder goes on from; None where none was saved.

    Args:
        folder: the stream's.
        origin: the model and the stream that are to go on.
        in_force: returns the ids of the cases that are in the model after a step of the stream, in the order of their
            edits; None where the stream has no such step.

    Raises:
        UserError: it is broken, incomplete, of another format, or does not fit; the message says what to delete.
    """
    file = folder / SESSION / FACTS
    if not file.exists():
        return None
    plain = _read(file)
    saved = SavedSession(**{**plain, "origin": Origin(**plain["origin"])})
    _check_origin(file, saved.origin, origin)
    applied = in_force(saved.step)
    if applied is None or (len(applied), digest_of(list(applied))) != (saved.edits_applied, saved.cases):
        raise _unfit(file, f"it was saved after other edits than those of this stream up to step {saved.step}")
    _check_tensors(file, saved)
    return saved


def _read(file: Path) -> dict[str, Any]:
    try:
        plain = json_object(file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise _unfit(file, f"it is broken: {error}") from error
    if plain.get("format") != FORMAT:
        raise _unfit(file, f"it has the format {plain.get('format')!r}, and this version of mmke reads {FORMAT}")
    try:
        found: dict[str, Any] = dict(validated(_ADAPTER.validate_python, plain))
    except ValueError as error:
        raise _unfit(file, f"it is broken: {error}") from error
    del found["format"]
    return found


def _check_origin(file: Path, there: Origin, here: Origin) -> None:
    changes = [
        f"of the {what} {old!r}, and this one's is {new!r}"
        for what, old, new in (
            ("editor", there.editor, here.editor),
            ("backbone", there.backbone, here.backbone),
            ("weights", there.weights_revision, here.weights_revision),
        )
        if old != new
    ]
    if there.stream != here.stream:
        changes.append("of a stream with other settings, another order or other data")
    if changes:
        raise _unfit(file, f"it is {'; '.join(changes)}")


def _check_tensors(file: Path, saved: SavedSession) -> None:
    tensors = file.parent / saved.tensors
    if tensors not in file.parent.iterdir():  # a name edited by hand may lead anywhere
        raise _unfit(file, f"its file of tensors {saved.tensors!r} is missing")
    found = file_sha256(tensors)
    if found != saved.sha256:
        raise _unfit(tensors, f"it has the sha256 {found[:16]}…, and {FACTS} states {saved.sha256[:16]}…")


def _unfit(file: Path, why: str) -> UserError:
    return UserError(f"{file}: this saved session cannot go on: {why}; {WAY_OUT.format(folder=file.parent)}")


def unfit(folder: Path, why: str) -> UserError:
    """Return the error for a session saved in a stream's folder that an editor cannot go on from."""
    return _unfit(folder / SESSION / FACTS, why)
