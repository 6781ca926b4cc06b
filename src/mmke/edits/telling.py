"""What an edit holds, in lines for people: lists, one edit, the difference between two. No torch here.

Texts may come from somebody else's file: what a terminal would act on is shown and not sent.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmke.counting import counted
from mmke.edits.record import PICTURES, RECORD, TENSORS, EditRecord, PlainEdit, read_record
from mmke.errors import UserError

LONGEST = 100
DEEPEST = 3
"""Folders below the one that is listed."""


def shown(text: str, longest: int = LONGEST) -> str:
    """Return a text on one line, shortened, with control characters as escapes."""
    plain = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def find_edits(folder: Path) -> list[Path]:
    """Return the folders of edits in a folder and in those within it, by name.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; name one with edits in it")
    patterns = ["/".join(["*"] * depth + [RECORD]) for depth in range(DEEPEST + 1)]
    found = (file.parent for pattern in patterns for file in folder.glob(pattern))
    return sorted(place for place in found if not place.name.startswith("."))


def listed(folder: Path) -> list[str]:
    """Return a line for each edit in a folder; one that is broken says why."""
    return [_listed(place) for place in find_edits(folder)] or [f"no edits in {folder}; mmke edit --out makes one"]


def _listed(place: Path) -> str:
    try:
        record = read_record(place)
    except UserError as error:
        return str(error)
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / 1e6
    what = f"{counted(len(record.edits), 'edit')} by {shown(record.by.editor)} on {shown(record.on.backbone)}"
    return f"{place}  {what}, {size:.2g} MB, {shown(record.made)}"


def described(folder: Path, record: EditRecord) -> Iterator[str]:
    """Yield what an edit is, then its edits with their numbers; one that was made together with the last has a +."""
    yield from summed_up(folder, record)
    number = 0
    for batch in record.batches:
        for position, edit in enumerate(batch):
            number += 1
            yield f"{number:>4}{' ' if position == 0 else '+'} {told(edit)}"


def summed_up(folder: Path, record: EditRecord) -> Iterator[str]:
    """Yield what an edit is: its model, editor and settings, when it was made, and what its folder holds."""
    on, by = record.on, record.by
    yield f"{folder}: {counted(len(record.edits), 'edit')} in {counted(len(record.batches), 'batch', 'batches')}"
    yield f"model     {shown(on.backbone)}, {shown(on.weights_revision)}, {shown(on.dtype)} on {shown(on.device)}"
    settings = ", ".join(f"{key} = {json.dumps(value)}" for key, value in by.settings.items())
    yield f"editor    {shown(by.editor)}, protocol {shown(by.protocol)}, seed {by.seed}"
    yield f"settings  {shown(settings, 2_000) or 'none'}"
    if by.checkpoint is not None:
        yield f"networks  {by.checkpoint[:16]}…"
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    yield f"made      {shown(record.made)}, {shown(versions, 500)}"
    embedded = len(record.pictured & record.pictures.keys())
    yield f"pictures  {len(record.pictured)}, of which {embedded} embedded in {PICTURES}/"
    size = (folder / TENSORS).stat().st_size if (folder / TENSORS).is_file() else 0
    yield f"tensors   {size / 1e6:.1f} MB, sha256 {record.tensors[:16]}…"


def told(edit: PlainEdit) -> str:
    """Return an edit on one line."""
    picture = "" if edit.image is None else f" [picture {edit.image.sha256[:8]}]"
    return f"{shown(edit.query)}{picture} → {shown(edit.target)}"


def compared(folders: Sequence[Path], records: Sequence[EditRecord]) -> Iterator[str]:
    """Yield in what two edits differ: model, editor, settings, and the edits themselves."""
    (left, right), (one, other) = folders, records
    facts = [made_with(each) | each.on.model_dump() | each.versions for each in (one, other)]
    for key, here, there in unlike(*facts):
        yield f"{shown(key)}: {shown(here)} in {left}, {shown(there)} in {right}"
    both = [edit for edit in one.edits if edit in other.edits]
    for folder, own, rest in ((left, one, other), (right, other, one)):
        for number, edit in enumerate(own.edits, 1):
            if edit not in rest.edits:
                yield f"only in {folder}, {number}: {told(edit)}"
    yield f"in both: {counted(len(both), 'edit')}"


def made_with(record: EditRecord) -> dict[str, Any]:
    """Return what an edit was made with, by name; a setting is called `settings.NAME`."""
    plain = record.by.model_dump()
    settings = plain.pop("settings")
    return plain | {f"settings.{key}": value for key, value in settings.items()}


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the names of facts that differ, with both values as JSON, or "nothing" where one is missing."""
    plain = [{key: json.dumps(value, ensure_ascii=False) for key, value in facts.items()} for facts in (one, other)]
    for key in dict.fromkeys([*one, *other]):
        here, there = (each.get(key, "nothing") for each in plain)
        if here != there:
            yield key, here, there
