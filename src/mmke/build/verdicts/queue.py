"""Which record a person sees next, and in which turn.

A person gets the records in their order: those that nobody has decided, and, of the records that two people look at,
those that one other person has decided, without seeing that verdict. After them come the disagreements of others, as
adjudications. A record that is before somebody else is passed over for a while, so that several people at once do not
do the same work.
"""

from collections.abc import Callable, Sequence
from time import monotonic

from mmke.build.content import Turn, Verdict
from mmke.build.log import Entry
from mmke.build.project import Project
from mmke.build.record import Record
from mmke.build.verdicts.ledger import Ledger
from mmke.build.verdicts.standing import Standing, standing_of

HELD = 600.0
"""Seconds for which a record that was shown to somebody is passed over for others."""


def turn_of(standing: Standing, person: str) -> Turn | None:
    """Return in which turn a person is asked about a record; None where nothing is wanted of them."""
    party = any(verdict.annotator == person for verdict in standing.verdicts)
    if party or standing.state not in ("open", "disputed"):
        return None
    if standing.state == "disputed":
        return "adjudication"
    return "second" if standing.verdicts else "first"


class Queue:
    """What each person is asked next; it remembers who is looking at what, and who has come."""

    def __init__(
        self, project: Project, records: Sequence[Record], ledger: Ledger, *, clock: Callable[[], float] = monotonic
    ) -> None:
        """Hand out `records` in their order; `clock` counts seconds."""
        self.project, self.records, self.ledger = project, records, ledger
        self._clock = clock
        self._before: dict[str, tuple[str, float]] = {}  # which record is before a person, and since when
        self.contents = {record.id: record.content for record in records}
        self._places = {record.id: place for place, record in enumerate(records)}
        self._standings: dict[str, Standing] = {}
        self._come: dict[str, None] = dict.fromkeys(ledger.people)

    def welcome(self, person: str) -> None:
        """Note that a person takes part."""
        self._come.setdefault(person)

    @property
    def people(self) -> tuple[str, ...]:
        """Return everybody who has decided something or has come since the start."""
        return tuple(self._come)

    def standing(self, record: Record) -> Standing:
        """Return what stands of a record."""
        found = self._standings.get(record.id)
        if found is None:
            found = standing_of(record, self.ledger, self.project, content=self.contents[record.id])
            self._standings[record.id] = found
        return found

    def take(self, line: Entry[Verdict]) -> None:
        """Take in a verdict that was written."""
        self.ledger.take(line)
        self._standings.pop(line.content.record, None)

    def own(self, person: str, record: Record, *, adjudicating: bool) -> Entry[Verdict] | None:
        """Return a person's verdict on a record, the adjudication or the independent one; None: there is none."""
        return self.ledger.own(person, record.id, self.contents[record.id], adjudicating=adjudicating)

    def show(self, person: str, record: Record) -> None:
        """Note that a record is before a person now."""
        self.welcome(person)
        self._before[person] = (record.id, self._clock())

    def next(self, person: str, *, after: str | None = None) -> tuple[Record, Turn] | None:
        """Return the next record that a person is asked about, with the turn; None where there is nothing.

        Args:
            person: their name.
            after: begin behind this record, and go round to the first; None: at the first.
        """
        asked = [(record, turn) for record, turn in self.asked(person) if not self._taken(record, person)]
        blind = [(record, turn) for record, turn in asked if turn != "adjudication"]
        begin = -1 if after is None else self._places.get(after, -1)
        chosen = blind or asked
        later = [pair for pair in chosen if self._places[pair[0].id] > begin]
        return next(iter(later or chosen), None)

    def asked(self, person: str) -> list[tuple[Record, Turn]]:
        """Return every record that is wanted of a person, in their order."""
        pairs = [(record, turn_of(self.standing(record), person)) for record in self.records]
        return [(record, turn) for record, turn in pairs if turn is not None]

    def own_disputes(self, person: str) -> list[Record]:
        """Return the disagreements that nobody but their two sides could decide, of which the person is one."""
        found = []
        for record in self.records:
            standing = self.standing(record)
            sides = {verdict.annotator for verdict in standing.verdicts}
            if standing.state == "disputed" and person in sides and sides.issuperset(self._come):
                found.append(record)
        return found

    def _taken(self, record: Record, person: str) -> bool:
        """Tell whether as many others look at a record as verdicts are still wanted."""
        now = self._clock()
        others = [name for name, (id_, since) in self._before.items() if id_ == record.id and now - since < HELD]
        others = [name for name in others if name != person and turn_of(self.standing(record), name) is not None]
        if not others:
            return False
        standing = self.standing(record)
        wanted = 1 if standing.state == "disputed" else (2 if standing.double else 1) - len(standing.verdicts)
        return len(others) >= wanted
