"""Edits as a file, and back: safetensors, which holds tensors and texts and can run nothing.

In the file: the session's state, its facts and the edits as JSON in the metadata, and the edits' pictures. No path is
written, and none is read: pictures go by the digest of their bytes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mmke.edits.pictures import HERE, without_paths
from mmke.errors import UserError
from mmke.pictures import read_bytes
from mmke.protocols import SessionState
from mmke.types import Edit, ImageRef, Query
from mmke.web.play.asks import PlainEdit
from mmke.web.play.room.desk import plain

FORMAT = "mmke play 1"
STATE, PICTURE = "state.", "picture."
MOST_EDITS = 1_000


class Loaded(NamedTuple):
    """What a file holds."""

    editor: str
    state: SessionState
    edits: tuple[Edit, ...]


def pack(editor: str, state: SessionState, edits: Sequence[Edit]) -> bytes:
    """Return a session as a file."""
    images = {edit.query.image.sha256: edit.query.image for edit in edits if edit.query.image is not None}
    tensors = {STATE + name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.tensors.items()}
    for name, image in images.items():
        tensors[PICTURE + name] = torch.from_numpy(np.frombuffer(read_bytes(image.path), np.uint8).copy())
    metadata = {
        "format": FORMAT,
        "editor": editor,
        "facts": json.dumps(without_paths(dict(state.facts)), ensure_ascii=False),
        "edits": json.dumps([plain(edit) for edit in edits], ensure_ascii=False),
    }
    return save(tensors, metadata)


def unpack(content: bytes, find: Callable[[str], ImageRef | None], take: Callable[[bytes], ImageRef]) -> Loaded:
    """Read a file that came from the browser.

    Args:
        content: its bytes.
        find: returns a picture that is known already.
        take: checks and keeps a picture's bytes.

    Raises:
        UserError: it is no such file, or a broken one.
    """
    metadata = _metadata(content)
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"This is no safetensors file ({str(error)[:100]}).") from error
    pictures: dict[str, ImageRef] = {}
    for name, tensor in tensors.items():
        if name.startswith(PICTURE):
            digest = name.removeprefix(PICTURE)
            pictures[digest] = find(digest) or take(_bytes(tensor))
    state = {name.removeprefix(STATE): _checked(tensor) for name, tensor in tensors.items() if name.startswith(STATE)}
    facts = _with_pictures(_json(metadata, "facts"), pictures)
    if not isinstance(facts, dict):
        raise UserError("This file's facts are no table.")
    return Loaded(metadata.get("editor", ""), SessionState(state, facts), _edits(_json(metadata, "edits"), pictures))


def _metadata(content: bytes) -> Mapping[str, str]:
    length = int.from_bytes(content[:8], "little")
    try:
        found = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError("This is no safetensors file.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UserError("This safetensors file holds no edits that mmke play saved.")
    return found


def _json(metadata: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(metadata[key], parse_constant=_not_finite)
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"This file's {key} cannot be read.") from error


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _edits(found: Any, pictures: Mapping[str, ImageRef]) -> tuple[Edit, ...]:
    try:
        read = TypeAdapter(list[PlainEdit]).validate_python(found)
    except ValidationError as error:
        raise UserError("This file's edits cannot be read.") from error
    if not 1 <= len(read) <= MOST_EDITS:
        raise UserError(f"This file has {len(read)} edits; from 1 to {MOST_EDITS} are taken.")
    return tuple(Edit(Query(each.question, _picture(each.picture, pictures)), each.target) for each in read)


def _picture(name: str | None, pictures: Mapping[str, ImageRef]) -> ImageRef | None:
    if name is not None and name not in pictures:
        raise UserError("A picture of this file's edits is not in it.")
    return None if name is None else pictures[name]


def _bytes(tensor: Tensor) -> bytes:
    if tensor.dtype != torch.uint8 or tensor.dim() != 1:
        raise UserError("A picture in this file is no picture.")
    return tensor.numpy().tobytes()


def _checked(tensor: Tensor) -> Tensor:
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise UserError("This file holds numbers that are not finite.")
    return tensor.clone()


def _with_pictures(value: Any, pictures: Mapping[str, ImageRef]) -> Any:
    if isinstance(value, dict):
        if HERE in value:
            found = asdict(_picture(str(value[HERE]), pictures))  # type: ignore[arg-type] # a name has a picture
            return {**found, "path": str(found["path"])}
        if "path" in value:
            raise UserError("This file names a path; pictures are read from the file itself.")
        return {key: _with_pictures(each, pictures) for key, each in value.items()}
    return [_with_pictures(each, pictures) for each in value] if isinstance(value, list) else value
