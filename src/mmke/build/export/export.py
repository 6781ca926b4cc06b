"""`mmke build export`: the accepted records of a project as a folder that `mmke run --data` reads.

    data_json/<kind>_{train,eval}.json   data_image/<kind>/   the published format
    provenance/<kind>.jsonl   verdicts/<kind>.jsonl           how records were made, what people decided
    manifest.json   README.md   CITATION.cff   ATTRIBUTION.md

The same project gives the same bytes. Projects of other kinds can be exported into the same folder, one after the
other: each replaces its own kind and leaves the others. In a folder with an earlier export of its kind, records stay
in the split that they were in.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmke.build.content import Kind
from mmke.build.export.chosen import Chosen, choose
from mmke.build.export.folder import read_manifest, replaced
from mmke.build.export.part import part_of
from mmke.build.export.pictures import asks_share_alike, origins, shares
from mmke.build.export.published import FOLDERS
from mmke.build.export.sides import Item, Side, Sides, divide
from mmke.build.export.writing import carry, describe, write
from mmke.build.project import Project
from mmke.build.protocols import Outcome
from mmke.build.records import records as records_of
from mmke.counting import counted
from mmke.errors import UserError


def export(project: Project, to: Path, *, unverified: bool, names: bool) -> Outcome:
    """Write the records that people accepted or corrected.

    Args:
        project: only read.
        to: the folder to make; one with an earlier export is replaced as a whole, or left as it was.
        unverified: also take records that nobody decided on yet; the card says so.
        names: keep the annotators' names, comments and times in the log of verdicts.

    Raises:
        UserError: nothing can be exported, the folder holds something else, or it cannot be written.
    """
    kind = project.settings.kind
    chosen = choose(project, records_of(project), unverified=unverified)
    with replaced(to) as folder:
        before = read_manifest(to)
        sides = _divide(project, chosen, _earlier(to, kind))
        pictures = write(project, chosen, sides, folder, names=names)
        part = part_of(project, chosen, sides, unverified=unverified)
        carry(to, folder, before, kind)
        describe(folder, before, part, pictures)
    notes = (
        _told(to, part),
        *_notes(project, sides, pictures),
        f"run it: mmke run --data {to} --benchmark mmke-{FOLDERS[kind]} --backbone smol-llava --editor ft-llm",
    )
    return Outcome(made=len(chosen.records), kept=0, refused=chosen.left_out, notes=notes)


def _divide(project: Project, chosen: Chosen, earlier: Mapping[str, Side]) -> Sides:
    pictures = {entry.id: entry.content for entry in project.pictures}
    items = [Item(each.id, each.edit.draft.subject.type, shares(each, pictures)) for each in chosen.records]
    settings = project.settings
    sides = divide(items, train=settings.export.train, seed=settings.seed, earlier=earlier)
    lacking = {"train", "eval"} - set(sides.of.values())
    if lacking:
        why = (
            f"[export].train = {settings.export.train:g} leaves none for it"
            if len(set(sides.group.values())) > 1
            else "all of them share pictures or things, so that they cannot be divided; collect more things"
        )
        split = min(lacking)
        raise UserError(f"{project.folder}: the {split} split has no record, and a run needs both: {why}")
    return sides


def _earlier(to: Path, kind: Kind) -> dict[str, Side]:
    file = to / "provenance" / f"{FOLDERS[kind]}.jsonl"
    if not file.is_file():
        return {}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {line["record"]: line["split"] for line in lines}


def _told(to: Path, part: Mapping[str, Any]) -> str:
    counts, groups = part["records"], part["groups"]
    return (
        f"{to}: {counted(counts['train'], 'record')} for training, {counts['eval']} for evaluation; "
        f"groups that share no picture and no thing: {groups}"
    )


def _notes(project: Project, sides: Sides, pictures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    notes = []
    if sides.moved:
        notes.append(
            f"{counted(len(sides.moved), 'record')} changed split since the earlier export, because new records join "
            f"groups of both: {', '.join(sides.moved[:3])}"
        )
    alike = sum(asks_share_alike(each["licence"]) for each in origins(pictures))
    if alike:
        told = counted(alike, "picture")
        notes.append(f"under share-alike licences: {told}; pass on what is made of them under the same")
    if not project.settings.export.authors:
        notes.append("[export].authors is empty, so that CITATION.cff names nobody; fill it in and export again")
    return notes
