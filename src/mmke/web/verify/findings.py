"""What the rules say of each record, also of one that is being corrected."""

from collections import defaultdict
from collections.abc import Sequence

from mmke.build.project import Project
from mmke.build.protocols import Finding
from mmke.build.record import Record
from mmke.build.rules.check import check, rules


class Findings:
    """The rules' findings, which are looked up for a record as it stands and made anew for a correction."""

    def __init__(self, project: Project, records: Sequence[Record]) -> None:
        """Hold every record against the rules once."""
        self._project, self._records = project, list(records)
        self._of: dict[str, list[Finding]] = defaultdict(list)
        self._rules = rules()
        for finding in check(project, records, known=self._rules):
            self._of[finding.record].append(finding)

    def of(self, record: Record) -> list[Finding]:
        """Return what the rules say of a record as it stands."""
        return self._of.get(record.id, [])

    def of_corrected(self, corrected: Record) -> list[Finding]:
        """Return what the rules say of a corrected record among the others."""
        among = [corrected if record.id == corrected.id else record for record in self._records]
        return check(self._project, among, only=corrected.id, known=self._rules)
