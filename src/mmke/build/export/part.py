"""What an export says of one project: the part of the manifest that the card and the citation are made of.

A folder can hold an entity, a semantic and a user-specific part, each exported from a project of its own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from statistics import fmean
from typing import Any

from mmke.build.export.chosen import Chosen
from mmke.build.export.sides import Sides
from mmke.build.log import Entry
from mmke.build.project import Project
from mmke.build.records import records as records_of


def part_of(project: Project, chosen: Chosen, sides: Sides, *, unverified: bool) -> dict[str, Any]:
    """Return the part of a project."""
    settings, records = project.settings, chosen.records
    ids = {record.id for record in records}
    types = sorted({record.edit.draft.subject.type for record in records})
    sizes = Counter((record.edit.draft.subject.type, sides.of[record.id]) for record in records)
    tags = Counter(f"{name}: {value}" for record in records for name, value in record.tags.items())
    return {
        "name": settings.name,
        "kind": settings.kind,
        "licence": settings.export.licence,
        "authors": list(settings.export.authors),
        "seed": settings.seed,
        "train_share": settings.export.train,
        "tool": f"mmke {version('mmke')}",
        "records": {side: list(sides.of.values()).count(side) for side in ("train", "eval")},
        "groups": len(set(sides.group.values())),
        "types": {kind: {side: sizes[kind, side] for side in ("train", "eval")} for kind in types},
        "words": round(fmean(len(record.edit.texts.target.split()) for record in records), 1),
        "tags": dict(sorted(tags.items())),
        "source": _makers(project.things),
        "writer": _makers(entry for entry in project.edits if entry.id in ids),
        "asker": _makers(entry for entry in project.questions if entry.id in ids),
        "unverified": unverified,
        "states": dict(sorted(Counter(each.state for each in chosen.standings.values()).items())),
        "exported_states": dict(sorted(Counter(chosen.standings[id_].state for id_ in ids).items())),
        "left_out": dict(sorted(Counter(reason.partition(":")[0] for reason in chosen.left_out.values()).items())),
        "verification": _verification(project),
    }


def _verification(project: Project) -> dict[str, Any] | None:
    """Return the figures of the report, as data and as text; None where nobody decided anything.

    Examples are left out: they hold comments, which can tell who wrote them.
    """
    if not len(project.verdicts):
        return None
    # Here and not above: agreement needs a library that a project without verdicts does not.
    from mmke.build.verdicts.computing import figures
    from mmke.build.verdicts.report import as_text

    found = figures(project, records_of(project))
    reasons, corrections = (
        tuple(replace(count, examples=()) for count in counts) for counts in (found.reasons, found.corrections)
    )
    found = replace(found, reasons=reasons, corrections=corrections)
    return {"figures": found.plain(), "text": as_text(found)}


def _makers(entries: Iterable[Entry[Any]]) -> list[Mapping[str, str]]:
    """Return who made some lines, each maker once, in the order of their appearance."""
    return list({tuple(sorted(entry.by.items())): dict(entry.by) for entry in entries}.values())
