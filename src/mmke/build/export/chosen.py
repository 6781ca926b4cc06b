"""Which records are exported, and why the others are not."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mmke.build.project import Project
from mmke.build.protocols import Finding
from mmke.build.record import Record
from mmke.build.rules.check import check
from mmke.build.verdicts.standing import Standing, standing
from mmke.errors import UserError

_WHY_NOT = {
    "open": "nobody, or not everybody who should, has decided on it",
    "disputed": "those who decided on it disagree",
    "rejected": "it was rejected",
}


class Chosen(NamedTuple):
    """The records with their corrections, what stands of every record by its id, and why others are left out."""

    records: Sequence[Record]
    standings: Mapping[str, Standing]
    left_out: Mapping[str, str]


def choose(project: Project, records: Sequence[Record], *, unverified: bool) -> Chosen:
    """Choose what people accepted or corrected; with `unverified` everything that nobody rejected.

    Rejected records and those with findings are never chosen.

    Raises:
        UserError: nothing is left.
    """
    standings = standing(project, records)
    wanted = ("accepted", "corrected", *(("open", "disputed") if unverified else ()))
    left_out = {id_: _WHY_NOT[each.state] for id_, each in standings.items() if each.state not in wanted}
    decided = [standings[record.id].record for record in records if standings[record.id].state in wanted]
    if not decided:
        raise UserError(_nothing_decided(project, standings, unverified=unverified))
    findings: dict[str, list[Finding]] = {}
    for finding in check(project, decided):
        findings.setdefault(finding.record, []).append(finding)
    left_out |= {id_: _told(found) for id_, found in findings.items()}
    kept = [record for record in decided if record.id not in findings]
    if not kept:
        raise UserError(
            f"{project.folder}: the rules find something in each of {len(decided)} records, so that none can be "
            f"exported; mmke build check {project.folder} tells what"
        )
    return Chosen(kept, standings, left_out)


def _nothing_decided(project: Project, standings: Mapping[str, Standing], *, unverified: bool) -> str:
    folder = project.folder
    if unverified or all(each.state == "rejected" for each in standings.values()):
        return f"{folder}: every record was rejected, so that there is nothing to export"
    return (
        f"{folder}: none of {len(standings)} records is accepted yet; mmke build verify {folder} lets people decide, "
        "--unverified exports what the rules find in order"
    )


def _told(findings: Sequence[Finding]) -> str:
    first = findings[0]
    others = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{first.rule}: {first.place}: {first.message}{others}"
