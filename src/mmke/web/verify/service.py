"""What the page's calls do. It knows records and people, and nothing of requests."""

import unicodedata
from pathlib import Path
from typing import Any

from mmke.build.content import Turn
from mmke.build.record import Record
from mmke.build.verdicts.deciding import ChangedError, Decided, Desk
from mmke.build.verdicts.queue import turn_of
from mmke.errors import UserError
from mmke.web.verify.asks import AskCheck, AskDecide, AskNext, AskRecord, AskUndo
from mmke.web.verify.findings import Findings
from mmke.web.verify.view import content_of, own_of, pictures_of, plain_finding, sides_of

LONGEST_NAME = 60


def clean_name(name: str) -> str:
    """Return an annotator's name without needless spaces.

    Raises:
        UserError: it is empty, too long, or holds what cannot be printed.
    """
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    if not plain or len(plain) > LONGEST_NAME or not plain.isprintable():
        raise UserError(f"a name has 1 to {LONGEST_NAME} characters that can be printed, not {name[:80]!r}")
    return plain


class Service:
    """Answers the page's calls in plain data."""

    def __init__(self, desk: Desk, findings: Findings, *, annotator: str | None) -> None:
        """Take verdicts in at `desk`; `annotator` is the name that the page begins with."""
        self._desk, self._queue, self._findings, self._annotator = desk, desk.queue, findings, annotator

    def start(self) -> dict[str, Any]:
        """Return what the page needs before it knows who sits there."""
        settings = self._queue.project.settings
        return {
            "name": settings.name,
            "kind": settings.kind,
            "records": len(self._queue.records),
            "reasons": list(settings.verify.reasons),
            "annotator": self._annotator,
        }

    def person(self, name: str) -> str:
        """Return the name under which a person is known: capitals make no difference.

        Raises:
            UserError: it can be no name.
        """
        plain = clean_name(name)
        known = {each.casefold(): each for each in self._queue.people}
        person = known.get(plain.casefold(), plain)
        self._queue.welcome(person)
        return person

    def next(self, ask: AskNext) -> dict[str, Any]:
        """Return the next record for a person, or why there is none."""
        person = self.person(ask.annotator)
        found = self._queue.next(person, after=ask.after)
        if found is None:
            return self._nothing(person)
        return self._view(person, *found)

    def show(self, ask: AskRecord) -> dict[str, Any]:
        """Return a certain record.

        Raises:
            UserError: there is no such record, or nothing is wanted of the person there.
        """
        person = self.person(ask.annotator)
        record = self._desk.record(ask.record)
        turn = self._turn(person, record, own_dispute=ask.own_dispute)
        if turn is None:
            raise ChangedError(f"others have decided on record {record.id} meanwhile")
        return self._view(person, record, turn)

    def check(self, ask: AskCheck) -> dict[str, Any]:
        """Return what the rules say of a correction.

        Raises:
            UserError: there is no such record or text.
        """
        record = self._desk.record(ask.record)
        found = self._findings.of_corrected(record.corrected(ask.corrections))
        return {"findings": [plain_finding(finding) for finding in found]}

    def decide(self, ask: AskDecide) -> dict[str, Any]:
        """Write a verdict and return the next record.

        Raises:
            UserError: it cannot be one.
            ChangedError: what was shown is not what is there.
        """
        person = self.person(ask.annotator)
        fields = ask.model_dump(exclude={"annotator"})
        self._desk.decide(Decided(person=person, **fields))
        return self.next(AskNext(annotator=person, after=ask.record))

    def undo(self, ask: AskUndo) -> dict[str, Any]:
        """Take a person's last verdict back and return its record.

        Raises:
            UserError: there is none.
            ChangedError: it is another one.
        """
        person = self.person(ask.annotator)
        record = self._desk.take_back(ask.key, person, last=ask.last)
        turn = None if record is None else self._turn(person, record, own_dispute=True)
        if record is None or turn is None:
            return self.next(AskNext(annotator=person))
        return self._view(person, record, turn)

    def picture(self, record: str, role: str) -> Path:
        """Return the file of one of a record's pictures.

        Raises:
            UserError: there is no such record, no such picture of it, or its file is gone.
        """
        found = self._desk.record(record)
        if role not in {picture["role"] for picture in pictures_of(found)}:
            raise UserError(f"record {found.id} has no picture {role[:100]!r}")
        folder = self._queue.project.pictures_folder.resolve()
        file = (folder / _file_name(found, role)).resolve()
        # The names come from the project's own files, which somebody may have sent.
        if folder not in file.parents or not file.is_file():
            raise UserError(f"the file of picture {role} is gone")
        return file

    def _turn(self, person: str, record: Record, *, own_dispute: bool = False) -> Turn | None:
        standing = self._queue.standing(record)
        if self._queue.own(person, record, adjudicating=True) is not None:
            return "adjudication"
        if own_dispute and record.id in {each.id for each in self._queue.own_disputes(person)}:
            return "adjudication"
        own = self._queue.own(person, record, adjudicating=False)
        return own.content.turn if own is not None else turn_of(standing, person)

    def _view(self, person: str, record: Record, turn: Turn) -> dict[str, Any]:
        self._queue.show(person, record)
        adjudicating = turn == "adjudication"
        standing = self._queue.standing(record)
        mine = self._queue.own(person, record, adjudicating=adjudicating)
        before, behind = self._neighbours(person, record)
        return {
            **content_of(record, self._findings.of(record)),
            "annotator": person,
            "content": self._queue.contents[record.id],
            "turn": turn,
            "mine": own_of(mine),
            "sides": sides_of(record, standing.verdicts) if adjudicating else [],
            "party": any(verdict.annotator == person for verdict in standing.verdicts) and adjudicating,
            "stale": standing.stale,
            "previous": before,
            "following": behind,
            "place": self._queue.records.index(record) + 1,
            "progress": self._progress(person),
        }

    def _nothing(self, person: str) -> dict[str, Any]:
        return {
            "record": None,
            "annotator": person,
            "previous": self._neighbours(person, None)[0],
            "own_disputes": [record.id for record in self._queue.own_disputes(person)],
            "double": self._queue.project.settings.verify.double,
            "progress": self._progress(person),
        }

    def _neighbours(self, person: str, record: Record | None) -> tuple[str | None, str | None]:
        """Return the ids before and behind a record among those that are the person's: decided or still asked."""
        wanted = {each.id for each, _ in self._queue.asked(person)}
        ids = [each.id for each in self._queue.records if each.id in wanted or self._decided(person, each)]
        if record is None or record.id not in ids:
            return (ids[-1] if ids else None), None
        at = ids.index(record.id)
        return (ids[at - 1] if at else None), (ids[at + 1] if at + 1 < len(ids) else None)

    def _decided(self, person: str, record: Record) -> bool:
        return any(self._queue.own(person, record, adjudicating=each) is not None for each in (True, False))

    def _progress(self, person: str) -> dict[str, Any]:
        asked = {record.id for record, _ in self._queue.asked(person)}
        states = {record.id: self._queue.standing(record).state for record in self._queue.records}
        others = [state for id_, state in states.items() if id_ not in asked]
        last = self._queue.ledger.last_of(person)
        return {
            "records": len(states),
            "settled": sum(state not in ("open", "disputed") for state in others),
            "waiting": others.count("open"),
            "disputed": others.count("disputed"),
            "decided": sum(self._decided(person, record) for record in self._queue.records),
            "left": len(asked),
            "last": None if last is None else last.id,
        }


def _file_name(record: Record, role: str) -> str:
    if role == "subject":
        return record.edit.draft.subject_picture or ""
    if role == "one_hop" and record.asked.one_hop is not None:
        return record.asked.one_hop.id
    return next(picture.id for name, picture in record.pictures.items() if name == role)
