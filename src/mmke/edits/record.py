"""`edit.json`: what an edit says of itself, and the check of it. No tensor and no picture is read here.

A folder with an edit holds `edit.json`, `tensors.safetensors` and, where there are pictures, `pictures/`. What came
from somebody else is only data: sizes, types, names and digests are checked, and no path in it is followed.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mmke.errors import UserError
from mmke.lines import json_object, to_line, validated
from mmke.results.provenance import versions

FORMAT: Literal[1] = 1
"""Of the folder; a reader refuses every other number."""
RECORD, TENSORS, PICTURES = "edit.json", "tensors.safetensors", "pictures"
DEEPEST = 50
"""How deep the values of `edit.json` are nested at most."""
LARGEST_RECORD = 64 << 20
"""Bytes of `edit.json` that are read at most: the texts of a hundred thousand edits are smaller."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class PlainPicture(_Plain):
    """A picture by the sha256 of its file; `upright`: whether its EXIF orientation is applied."""

    sha256: Digest
    upright: bool


class PlainEdit(_Plain):
    """One edit, as `types.Edit` has it."""

    query: str
    target: str
    original: str | None
    image: PlainPicture | None


class MadeOn(_Plain):
    """The model that was edited.

    Attributes:
        backbone: its name.
        weights_revision: of its weights; an edit is loaded on no others.
        prompt_revision: of its prompt.
        dtype: precision of its language model.
        device: type of the device, `cpu` or `cuda`.
    """

    backbone: str
    weights_revision: str
    prompt_revision: str | None
    dtype: str
    device: str


class MadeWith(_Plain):
    """The editor.

    Attributes:
        editor: its name.
        protocol: under which its settings were resolved.
        seed: set before each batch of edits.
        settings: resolved.
        checkpoint: digest of its trained networks; None: it has none.
        training_records: digest of the records that it takes texts or questions from; None: it was given none.
    """

    editor: str
    protocol: str
    seed: int
    settings: dict[str, Any]
    checkpoint: Digest | None
    training_records: Digest | None


class EditRecord(_Plain):
    """What `edit.json` states.

    Attributes:
        format: of the folder.
        made: when, in ISO 8601.
        versions: of Python and of the packages at work.
        on: the model.
        by: the editor.
        batches: the edits; those of one batch were applied together.
        pictures: file names of those that are embedded in `pictures/`, by their sha256.
        tensors: sha256 of the file of tensors.
        facts: what the session itself says of its state; in a picture's place its digest.
    """

    format: Literal[1]
    made: str
    versions: dict[str, str | None]
    on: MadeOn
    by: MadeWith
    batches: list[list[PlainEdit]]
    pictures: dict[Digest, Annotated[str, Field(pattern=r"^[0-9a-f]{64}\.[a-z0-9]{1,8}$")]]
    tensors: Digest
    facts: dict[str, Any]

    @property
    def edits(self) -> list[PlainEdit]:
        """Return all edits, the oldest first."""
        return [edit for batch in self.batches for edit in batch]

    @property
    def pictured(self) -> set[str]:
        """Return the digests of all pictures of the edits."""
        return {edit.image.sha256 for edit in self.edits if edit.image is not None}


def now() -> dict[str, Any]:
    """Return when and by which versions an edit is being made."""
    return {"format": FORMAT, "made": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions()}


def to_bytes(record: EditRecord) -> bytes:
    """Return a record as the content of `edit.json`."""
    return to_line(record.model_dump())


def read_record(folder: Path) -> EditRecord:
    """Read what an edit says of itself.

    Raises:
        UserError: there is no edit, or a broken one, or one of another format; the message names the place.
    """
    file = folder / RECORD
    if not file.is_file():
        what = "there is no such folder" if not folder.exists() else f"it has no {RECORD}"
        raise UserError(
            f"{folder} is no edit: {what}; mmke edit --out writes one, and mmke edits list shows those here"
        )
    size = file.stat().st_size
    if size > LARGEST_RECORD:
        raise UserError(f"{file}: it has {size} bytes, and at most {LARGEST_RECORD} are read; it is no edit of mmke's")
    try:
        plain = json_object(file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise broken(file, str(error)) from error
    if plain.get("format") != FORMAT:
        raise UserError(
            f"{file} has the format {plain.get('format')!r:.20}, and this version of mmke reads {FORMAT}; load it with "
            "the version that made it"
        )
    if _too_deep(plain):
        raise broken(file, f"its values are nested more than {DEEPEST} deep")
    try:
        record = validated(EditRecord.model_validate, plain)
    except ValueError as error:
        raise broken(file, str(error)) from error
    strange = [name for digest, name in record.pictures.items() if name.partition(".")[0] != digest]
    if strange:
        raise broken(file, f"the picture {strange[0]} is not called by its own digest")
    return record


def _too_deep(plain: object) -> bool:
    """Tell whether values are nested so deep that what walks through them would not end well."""
    layer = [plain]
    for _ in range(DEEPEST):
        inside = [list(each.values()) if isinstance(each, dict) else each for each in layer]
        layer = [value for each in inside if isinstance(each, list) for value in each if isinstance(value, dict | list)]
    return bool(layer)


def broken(file: Path, why: str) -> UserError:
    """Return the error for a file of an edit that cannot be used."""
    return UserError(f"{file}: this edit is broken: {' '.join(why[:300].split())}; copy it again, or make it again")
