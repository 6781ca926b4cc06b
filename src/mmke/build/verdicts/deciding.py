"""Taking a verdict in, and taking it back. What was shown must be what is there; else nothing is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from mmke.build.content import Decision, Turn, Verdict
from mmke.build.log import Log
from mmke.build.record import Record
from mmke.build.verdicts.queue import Queue
from mmke.errors import UserError

DAY = 86_400.0


class ChangedError(UserError):
    """What a person decided on is not what is there now; the message says what has changed."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person sends.

    Attributes:
        key: made at random for each verdict: sent twice, it is written once.
        record: its id.
        content: digest of the record as it was shown.
        over: key of the person's own verdict that was shown with it; None where there was none.
        person: their name.
        turn: in which it was shown.
        decision: "accept", "correct" or "reject".
        reasons: of a rejection at least one, from the settings' list.
        comment: free text.
        corrections: new texts by their names.
        seconds: spent on the record.
    """

    key: str
    record: str
    content: str
    over: str | None
    person: str
    turn: Turn
    decision: Decision
    reasons: Sequence[str] = ()
    comment: str = ""
    corrections: Mapping[str, str] | None = None
    seconds: float = 0.0


class Desk:
    """Where verdicts are taken in: it writes the log and keeps the queue in step."""

    def __init__(self, queue: Queue, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Write to the log of the queue's project; `now` gives the time that is noted."""
        self.queue, self._now = queue, now
        self._records = {record.id: record for record in queue.records}

    def record(self, id_: str) -> Record:
        """Return a record.

        Raises:
            UserError: there is no such record.
        """
        if id_ not in self._records:
            raise UserError(f"there is no record {id_[:100]!r} in this project")
        return self._records[id_]

    def decide(self, sent: Decided) -> None:
        """Write a verdict; one that was written already is not written again.

        Raises:
            UserError: there is no such record, text or reason, or a rejection without a reason.
            ChangedError: the record or the person's own verdict is another one than was shown, or the disagreement is
                settled already.
        """
        record = self.record(sent.record)
        written = self._log.get(sent.key)
        if written is not None:
            if (written.content.record, written.content.annotator) != (sent.record, sent.person):
                raise UserError("the key of this verdict was used for another one; nothing was saved")
            return
        content = self.queue.contents[record.id]
        if content != sent.content:
            raise ChangedError(
                f"record {record.id} has changed since it was shown; nothing was saved. Look at it again"
            )
        adjudicating = sent.turn == "adjudication"
        own = self.queue.own(sent.person, record, adjudicating=adjudicating)
        if sent.over != (own and own.id):
            raise ChangedError(
                f"you decided on record {record.id} in another tab meanwhile; nothing was saved. Look at it again"
            )
        turn = own.content.turn if own is not None else self._turn(record, sent)
        corrections = _corrections(record, sent)
        verdict = Verdict(
            record=record.id,
            content=content,
            annotator=sent.person,
            turn=turn,
            decision=sent.decision,
            reasons=self._reasons(sent),
            comment=sent.comment.strip(),
            corrections=corrections,
            before={name: record.texts[name] for name in corrections},
            seconds=round(min(max(sent.seconds, 0.0), DAY), 1) if isfinite(sent.seconds) else 0.0,
            time=self._time(),
        )
        self._put(sent.key, verdict)

    def take_back(self, key: str, person: str, *, last: str) -> Record | None:
        """Take a person's last verdict back and return its record, None where that is no longer in the project.

        Args:
            key: of this step; sent twice, it is done once.
            person: their name.
            last: key of the verdict that the person means.

        Raises:
            UserError: there is nothing to take back.
            ChangedError: the person's last verdict is another one.
        """
        done = self._log.get(key)
        if done is not None:
            return self._records.get(done.content.record)
        entry = self.queue.ledger.last_of(person)
        if entry is None:
            raise UserError("there is no verdict of yours to take back")
        if entry.id != last:
            raise ChangedError("your last verdict is another one than this page knows of; nothing was taken back")
        given = entry.content
        taken = Verdict(
            record=given.record,
            content=given.content,
            annotator=person,
            turn=given.turn,
            decision="undo",
            time=self._time(),
        )
        self._put(key, taken)
        return self._records.get(given.record)

    def _turn(self, record: Record, sent: Decided) -> Turn:
        standing = self.queue.standing(record)
        if sent.turn != "adjudication":
            # Also where others have decided meanwhile: the verdict was given without seeing theirs.
            return "second" if standing.verdicts else "first"
        if standing.state != "disputed":
            raise ChangedError(f"nobody disagrees on record {record.id} any more; nothing was saved")
        party = any(verdict.annotator == sent.person for verdict in standing.verdicts)
        if party and record.id not in {each.id for each in self.queue.own_disputes(sent.person)}:
            raise UserError("you are one of the two who disagree; somebody else decides between you")
        return "adjudication"

    def _reasons(self, sent: Decided) -> tuple[str, ...]:
        known = self.queue.project.settings.verify.reasons
        unknown = [reason for reason in sent.reasons if reason not in known]
        if unknown:
            raise UserError(f"{unknown[0][:100]!r} is none of the reasons in build.toml: {', '.join(known)}")
        if sent.decision != "reject":
            return ()
        if known and not sent.reasons:
            raise UserError("a rejection needs at least one reason")
        return tuple(reason for reason in known if reason in sent.reasons)

    @property
    def _log(self) -> Log[Verdict]:
        return self.queue.project.verdicts

    def _put(self, key: str, verdict: Verdict) -> None:
        by = {"annotator": verdict.annotator}
        self._log.put(key, verdict, sources=(verdict.record,), by=by, inputs=verdict.content)
        self.queue.take(self._log.lines[-1])

    def _time(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _corrections(record: Record, sent: Decided) -> dict[str, str]:
    """Return the texts that differ from the record's.

    Raises:
        UserError: none does, one is unknown or empty, or the decision is no correction.
    """
    given = dict(sent.corrections or {})
    record.corrected(given)  # raises for names that it has not
    changed = {name: " ".join(text.split()) for name, text in given.items()}
    changed = {name: text for name, text in changed.items() if text != record.texts[name]}
    empty = [name for name, text in changed.items() if not text]
    if sent.decision != "correct":
        if changed:
            raise UserError(f"a verdict with corrections is a correction, not {sent.decision!r}")
        return {}
    if empty:
        raise UserError(f"the text {empty[0]} is empty; reject the record instead")
    if not changed:
        raise UserError("nothing is corrected; accept the record instead")
    return changed
