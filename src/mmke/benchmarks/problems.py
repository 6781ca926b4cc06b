"""Everything that is wrong with a data set, gathered before anything is said about it.

A problem names the file, the record (counted from 0, the number in the case's id), the field, and what was
expected.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mmke.errors import UserError

SHOWN = 50
"""How many problems a message spells out; the rest are counted by field."""

Report = Callable[[str, str], None]
"""Takes a field's name and what is wrong with it; knows the file and the record."""


class Problem(NamedTuple):
    """One thing that is wrong. `record` and `field` are None where the whole file (or record) is meant."""

    file: Path
    record: int | None
    field: str | None
    text: str

    @property
    def counted_under(self) -> str:
        """Return the name of the count that it belongs to."""
        return self.field or ("whole files" if self.record is None else "whole records")

    def __str__(self) -> str:
        """Return the line that is shown to the user."""
        record = "" if self.record is None else f"record {self.record}, "
        field = "" if self.field is None else f"field {self.field!r}, "
        place = f"{record}{field}".removesuffix(", ")
        return f"{self.file}: {place}: {self.text}" if place else f"{self.file}: {self.text}"


class Problems:
    """A growing list of problems that keeps the first `SHOWN` and counts all."""

    def __init__(self) -> None:
        self._first: list[Problem] = []
        self._per_field: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many problems there are, shown or not."""
        return self._per_field.total()

    def add(self, file: Path, text: str, *, record: int | None = None, field: str | None = None) -> None:
        """Note one problem."""
        problem = Problem(file, record, field, text)
        self._per_field[problem.counted_under] += 1
        if len(self._first) < SHOWN:
            self._first.append(problem)

    def at(self, file: Path, record: int) -> Report:
        """Return a reporter for one record of one file."""

        def report(field: str, text: str) -> None:
            self.add(file, text, record=record, field=field)

        return report

    def count(self) -> str:
        """Return how many problems there are, in words: "no problems", "1 problem", "1,070 problems"."""
        number = f"{len(self):,}" if len(self) else "no"
        return f"{number} problem" if len(self) == 1 else f"{number} problems"

    def text(self) -> str:
        """Return the problems one a line, then how many more there are, by field."""
        lines = [str(problem) for problem in self._first]
        hidden = self._per_field - Counter(problem.counted_under for problem in self._first)
        if hidden:
            by_field = ", ".join(f"{field}: {count:,}" for field, count in hidden.most_common())
            lines.append(f"… and {hidden.total():,} more ({by_field})")
        return "\n".join(lines)

    def stop_if_any(self, benchmark: str) -> None:
        """Raise what was gathered, if anything was.

        Raises:
            UserError: there is at least one problem; the message lists them.
        """
        if len(self):
            raise UserError(f"{benchmark}: {self.count()} in the data\n{self.text()}")
