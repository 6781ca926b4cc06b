"""Everything that is wrong with a data set, gathered before anything is said about it.

A problem names the file, the record (counted from 0, the number in the case's id), the field, and what was expected.
Problems of one kind, which differ in their record and in the values that they quote alone, are counted and told once.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mmke.counting import counted
from mmke.errors import UserError

SHOWN = 30
"""How many kinds of problem a message tells; of the others the number."""
EXAMPLES = 3
"""How many problems of one kind are told in full where they quote different values."""
RECORDS = 5
"""How many records of one kind of problem are named."""

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+")


class Problem(NamedTuple):
    """One thing that is wrong. `record` and `field` are None where the whole file (or record) is meant."""

    file: Path
    record: int | None
    field: str | None
    text: str

    def place(self, records: str | None = None) -> str:
        """Return where it is: the file, the record (or `records` in its place) and the field."""
        record = records or (None if self.record is None else f"record {self.record}")
        inside = ", ".join(part for part in (record, self.field and f"field {self.field!r}") if part)
        return f"{self.file}: {inside}" if inside else f"{self.file}"

    def __str__(self) -> str:
        """Return the line that is shown to the user."""
        return f"{self.place()}: {self.text}"


@dataclass(slots=True)
class _Kind:
    """Problems that differ in their record and in the values that they quote alone; the first ones are kept."""

    count: int = 0
    first: list[Problem] = field(default_factory=list)
    differ: bool = False

    def add(self, problem: Problem) -> None:
        self.count += 1
        self.differ = self.differ or (bool(self.first) and problem.text != self.first[0].text)
        if len(self.first) < RECORDS:
            self.first.append(problem)

    def lines(self) -> Iterable[str]:
        one = self.first[0]
        if self.count > 1 and not self.differ and one.record is not None:
            return [f"{one.place(_records(self.first, self.count))}: {one.text}"]
        lines, hidden = [str(problem) for problem in self.first[:EXAMPLES]], self.count - EXAMPLES
        return [*lines, f"… and {hidden:,} more of this kind ({_field(one)})"] if hidden > 0 else lines


class Problems:
    """A growing list of problems: all are counted, and the first of each kind are kept."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[Path, str | None, str], _Kind] = {}
        self.stopping = 0

    def __len__(self) -> int:
        """Return how many problems there are, shown or not."""
        return sum(kind.count for kind in self._kinds.values())

    def add(
        self, file: Path, text: str, *, record: int | None = None, field: str | None = None, stops: bool = True
    ) -> None:
        """Note one problem; `stops` says whether a run cannot begin before it is solved."""
        key = (file, field, _QUOTED.sub("'…'", text))
        self._kinds.setdefault(key, _Kind()).add(Problem(file, record, field, text))
        self.stopping += stops

    def at(self, file: Path, record: int) -> "Report":
        """Return a reporter for one record of one file."""
        return Report(self, file, record)

    def count(self) -> str:
        """Return how many problems there are, in words: "no problems", "1 problem", "1,070 problems"."""
        return counted(len(self), "problem") if len(self) else "no problems"

    def text(self) -> str:
        """Return the kinds of problem, one or a few lines each, then how many more there are."""
        kinds = list(self._kinds.values())
        lines = [line for kind in kinds[:SHOWN] for line in kind.lines()]
        hidden = kinds[SHOWN:]
        if hidden:
            lines.append(f"… and {sum(kind.count for kind in hidden):,} more, of {len(hidden):,} other kinds")
        return "\n".join(lines)

    def stop_if_any(self, benchmark: str) -> None:
        """Raise what was gathered, if anything was.

        Raises:
            UserError: there is at least one problem; the message lists them.
        """
        if len(self):
            raise UserError(f"{benchmark}: {self.count()} in the data\n{self.text()}")


@dataclass(frozen=True, slots=True)
class Report:
    """Takes the problems of one record, or of what lies inside its field `within`."""

    problems: Problems
    file: Path
    record: int
    within: str = ""

    def __call__(self, field: str, text: str, *, stops: bool = True) -> None:
        """Note what is wrong with a field; `stops` says whether a run cannot begin before it is solved."""
        self.problems.add(self.file, text, record=self.record, field=f"{self.within}{field}", stops=stops)


def _records(first: Sequence[Problem], count: int) -> str:
    numbers = [str(problem.record) for problem in first]
    if count > len(numbers):
        return f"{count:,} records ({', '.join(numbers)}, …)"
    return f"records {', '.join(numbers[:-1])} and {numbers[-1]}"


def _field(problem: Problem) -> str:
    return f"field {problem.field!r}" if problem.field else "whole records"
