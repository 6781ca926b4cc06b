"""Exports of small projects, and what several tests do with them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from mmke.build.content import Decision, Verdict
from mmke.build.export.export import export
from mmke.build.project import Project, open_project
from mmke.build.protocols import Outcome
from mmke.build.records import records


def exported(project: Path, to: Path, *, unverified: bool = True, names: bool = False) -> Outcome:
    with open_project(project) as opened:
        return export(opened, to, unverified=unverified, names=names)


def decide(project: Project, n: int, decision: Decision, **more: Any) -> None:
    """Let two people decide the same of a record, so that it stands whether one or two are asked."""
    record = records(project)[n]
    for person in ("Ada Lovelace", "Bob Byrd"):
        verdict = Verdict(
            record=record.id,
            content=record.content,
            annotator=person,
            turn="first" if person.startswith("Ada") else "second",
            decision=decision,
            comment="Ask Carla about it.",
            time="2026-01-01T10:00:00+00:00",
            **more,
        )
        project.verdicts.put(
            f"{record.id} {person}", verdict, sources=(record.id,), by={"annotator": person}, inputs=""
        )


def content(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
