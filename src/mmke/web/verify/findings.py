"""What the rules say of each record, also of one that is being corrected."""

from collections.abc import Sequence

from mmke.build.project import Project
from mmke.build.protocols import Finding
from mmke.build.record import Record
from mmke.build.rules.check import check, rules


class Findings:
    """The rules' findings. A record is held against the rules when it is first shown, and for each correction."""

    def __init__(self, project: Project, records: Sequence[Record]) -> None:
        """Look up the rules.

        Raises:
            BrokenPluginError: another package's rule cannot be used.
        """
        self._project, self._records, self._rules = project, list(records), rules()
        self._of: dict[str, list[Finding]] = {}

    def of(self, record: Record) -> list[Finding]:
        """Return what the rules say of a record as it stands."""
        if record.id not in self._of:
            self._of[record.id] = check(self._project, self._records, only=record.id, known=self._rules)
        return self._of[record.id]

    def of_corrected(self, corrected: Record) -> list[Finding]:
        """Return what the rules say of a corrected record among the others."""
        among = [corrected if record.id == corrected.id else record for record in self._records]
        return check(self._project, among, only=corrected.id, known=self._rules)
