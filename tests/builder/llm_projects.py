"""Projects whose writer is a language model, for tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit import make_project

from mmke.build.content import Edit, Kind, Plan, Question
from mmke.build.project import Project
from mmke.build.record import Record
from mmke.build.records import records
from mmke.build.writers.llm.writer import LlmWriter


def set_up(folder: Path, kind: Kind = "entity", **changed: Any) -> Path:
    """Make a project with two records, and change settings of the writer `llm`."""
    project = make_project(folder, kind, count=2)
    change(project, **{"model": "good-1", "retries": 0, **changed})
    return project


def change(project: Path, **changed: Any) -> None:
    """Change settings of the writer `llm` in a project's `build.toml`."""
    file = project / "build.toml"
    lines = file.read_text(encoding="utf-8").split("\n")
    start = lines.index("[writers.llm]")
    for name, value in changed.items():
        number = next(n for n in range(start, len(lines)) if lines[n].startswith(f"{name} ="))
        lines[number] = f"{name} = {as_toml(value)}"
    file.write_text("\n".join(lines), encoding="utf-8")


def plans(record: Record) -> list[Plan]:
    """Return what a writer is asked to put into questions."""
    return [question.plan for question in record.asked.questions if question.plan.key not in ("t_loc", "i_loc")]


def written(project: Project, writer: LlmWriter) -> Sequence[tuple[Edit, Sequence[Question]]]:
    """Write all records anew, one after the other."""
    made = []
    for record in records(project):
        edit = Edit(draft=record.edit.draft, texts=writer.describe(record.edit.draft))
        asked = zip(plans(record), writer.ask(edit, plans(record)), strict=True)
        made.append((edit, [Question(plan=plan, text=text) for plan, text in asked]))
    return made


def as_toml(value: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {as_toml(each)}' for name, each in value.items())} }}"
    return json.dumps(value)
