"""How each record came about, and what people decided, as lines of JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmke.build.export.sides import Sides
from mmke.build.project import Project
from mmke.build.record import Record
from mmke.build.verdicts.ledger import pseudonyms
from mmke.build.verdicts.standing import Standing


def record_lines(
    project: Project, records: Sequence[Record], standings: Mapping[str, Standing], sides: Sides
) -> list[dict[str, Any]]:
    """Return one object for each exported record, in their order."""
    position = {"train": 0, "eval": 0}
    found = []
    for record in records:
        side = sides.of[record.id]
        found.append(
            {
                "record": record.id,
                "split": side,
                "position": position[side],
                "group": sides.group[record.id],
                **_made(project, record),
                **_decided(standings[record.id]),
                "draft": record.edit.draft.model_dump(mode="json"),
                "questions": [each.model_dump(mode="json") for each in record.asked.questions],
                "tags": dict(record.tags),
            }
        )
        position[side] += 1
    return found


def verdict_lines(project: Project, *, names: bool) -> list[dict[str, Any]]:
    """Return every verdict in the order in which they were made.

    Without `names`, people are "annotator 1" and so on, as in the report, and comments and times, which can tell who
    they are, are left out.
    """
    hidden = pseudonyms(project.verdicts.lines)
    found = []
    for entry in project.verdicts.lines:
        plain = entry.content.model_dump(mode="json")
        if not names:
            plain["annotator"] = hidden[entry.content.annotator]
            del plain["comment"], plain["time"]
        found.append(plain)
    return found


def _made(project: Project, record: Record) -> dict[str, Any]:
    edit, asked = project.edits.get(record.id), project.questions.get(record.id)
    if edit is None or asked is None:
        raise ValueError(f"{record.id} is in no log")
    return {"made_from": list(edit.sources), "edit_by": dict(edit.by), "questions_by": dict(asked.by)}


def _decided(standing: Standing) -> dict[str, Any]:
    deciding = standing.deciding
    return {
        "state": standing.state,
        "people": len({verdict.annotator for verdict in standing.verdicts}),
        "adjudicated": standing.adjudication is not None,
        "before_correction": {} if deciding is None else dict(sorted(deciding.before.items())),
    }
