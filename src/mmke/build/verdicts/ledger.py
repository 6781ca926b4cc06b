"""The verdicts that count: each person's last on each record, without those that were taken back."""

from collections import defaultdict
from collections.abc import Iterable

from mmke.build.content import Verdict
from mmke.build.log import Entry


class Ledger:
    """The log of verdicts, sorted by record and by person; it is kept in step with what is decided."""

    def __init__(self, lines: Iterable[Entry[Verdict]] = ()) -> None:
        """Take in the lines of `verdicts.jsonl` in their order."""
        self._of_record: dict[str, list[Entry[Verdict]]] = defaultdict(list)
        self._of_person: dict[str, list[Entry[Verdict]]] = defaultdict(list)
        for line in lines:
            self.take(line)

    @property
    def people(self) -> tuple[str, ...]:
        """Return everybody who has ever decided, in the order of their first verdicts."""
        return tuple(self._of_person)

    def take(self, line: Entry[Verdict]) -> None:
        """Take in one more line; "undo" takes away the person's verdict before it on that record."""
        verdict = line.content
        own = self._of_person[verdict.annotator]
        if verdict.decision != "undo":
            own.append(line)
            self._of_record[verdict.record].append(line)
            return
        last = next((entry for entry in reversed(own) if entry.content.record == verdict.record), None)
        if last is not None:  # nothing is left to take back where a file was edited by hand
            own.remove(last)
            self._of_record[verdict.record].remove(last)

    def of(self, record: str, content: str) -> tuple[Entry[Verdict], ...]:
        """Return each person's last verdict on a record as it is now, in the order of time.

        A verdict on another content is left out, also where it is later. Of somebody who adjudicates their own
        disagreement both verdicts count.
        """
        last: dict[tuple[str, bool], Entry[Verdict]] = {}
        for entry in self._of_record.get(record, ()):
            if entry.content.content == content:
                key = (entry.content.annotator, entry.content.turn == "adjudication")
                last.pop(key, None)
                last[key] = entry
        return tuple(last.values())

    def stale(self, record: str, content: str) -> int:
        """Return how many verdicts are on another content of the record."""
        return sum(entry.content.content != content for entry in self._of_record.get(record, ()))

    def own(self, person: str, record: str, content: str, *, adjudicating: bool) -> Entry[Verdict] | None:
        """Return a person's verdict on a record as it is now, the adjudication or the independent one; None: none."""
        for entry in self.of(record, content):
            verdict = entry.content
            if verdict.annotator == person and (verdict.turn == "adjudication") == adjudicating:
                return entry
        return None

    def last_of(self, person: str) -> Entry[Verdict] | None:
        """Return a person's last verdict that stands, on any record; None where there is none."""
        own = self._of_person.get(person)
        return own[-1] if own else None


def pseudonyms(lines: Iterable[Entry[Verdict]]) -> dict[str, str]:
    """Return a name that tells nothing for each annotator: "annotator 1", in the order of their first verdicts."""
    return {name: f"annotator {number}" for number, name in enumerate(Ledger(lines).people, start=1)}
