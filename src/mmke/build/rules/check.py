"""`mmke build check`: every rule on every record. Findings are told and never repaired."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from mmke import registry
from mmke.build.project import Project
from mmke.build.protocols import Finding, Rule, Scope
from mmke.build.record import Record
from mmke.counting import counted


def rules() -> dict[str, Rule]:
    """Return every rule by its registered name, those of other packages included (`mmke ls rules`).

    Raises:
        BrokenPluginError: another package's rule cannot be used.
    """
    return {name: registry.factory("rules", name)() for name in registry.names("rules")}


def check(
    project: Project,
    records: Sequence[Record],
    *,
    only: str | None = None,
    known: Mapping[str, Rule] | None = None,
) -> list[Finding]:
    """Return what the rules find in records, in the order of the records, of each in the order of the rules.

    Args:
        project: whose settings and pictures the rules see.
        records: all of them, since some rules hold a record against the others.
        only: id of the one record that is looked at; None: all are.
        known: the rules by their names, where the caller has looked them up already, which takes a tenth of a second.

    Raises:
        BrokenPluginError: another package's rule cannot be used, or fails.
    """
    scope = Scope(
        records=records,
        settings=project.settings,
        words=project.words,
        pictures={entry.id: entry.content for entry in project.pictures},
        folder=project.pictures_folder,
    )
    found: list[tuple[int, Finding]] = []
    looked_at = [(n, record) for n, record in enumerate(records) if only in (None, record.id)]
    for name, rule in (rules() if known is None else known).items():
        with registry.named("rules", name):
            found.extend((n, finding) for n, record in looked_at for finding in rule.find(record, scope))
    return [finding for _, finding in sorted(found, key=itemgetter(0))]


def as_text(findings: Sequence[Finding], *, records: int) -> str:
    """Return findings by rule, each rule with its reason, for people to read."""
    count = len({finding.record for finding in findings})
    if not findings:
        return f"{counted(records, 'record')}: the rules find nothing"
    reasons = {rule.name: rule.reason for rule in rules().values()}
    lines = [f"records with findings: {count} of {records}; a record with findings is not exported"]
    for name, group in groupby(sorted(findings, key=lambda finding: finding.rule), key=lambda finding: finding.rule):
        told = list(group)
        lines += ["", f"{name}: {len(told)}. {reasons.get(name, '')}"]
        lines += [f"  {finding.record}: {finding.place}: {finding.message}" for finding in told]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """Return findings as one JSON list."""
    plain = [
        {"record": each.record, "rule": each.rule, "place": each.place, "message": each.message} for each in findings
    ]
    return json.dumps(plain, ensure_ascii=False, indent=1)
