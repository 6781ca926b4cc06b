"""Benchmarks made of others: several joined into one, and one whose records are divided into two edits."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from mmke.benchmarks.probes.composed import divided
from mmke.errors import UserError
from mmke.types import Benchmark, Dropped, EditCase, Split, Switches


@dataclass(slots=True)
class Joined:
    """Several benchmarks as one, their records one after the other; `revision` is of the names and revisions of all."""

    name: str
    revision: str
    parts: tuple[Benchmark, ...]

    @classmethod
    def of(cls, parts: tuple[Benchmark, ...]) -> "Joined":
        """Join benchmarks."""
        stated = "".join(f"{part.name} {part.revision}\n" for part in parts)
        return cls("+".join(part.name for part in parts), hashlib.sha256(stated.encode()).hexdigest(), parts)

    def load(self, split: Literal["train", "eval"], *, hop: int, switches: Switches) -> Split:
        """Read the split of each; the numbers of dropped records go on from one to the next.

        Raises:
            UserError: one cannot be read, or two records have the same id.
        """
        read = [part.load(split, hop=hop, switches=switches) for part in self.parts]
        cases = tuple(case for each in read for case in each.cases)
        twice = next((id_ for id_, number in Counter(case.id for case in cases).items() if number > 1), None)
        if twice is not None:
            of = [part.name for part, each in zip(self.parts, read, strict=True) if twice in {c.id for c in each.cases}]
            raise UserError(
                f"{self.name}: the record id {twice!r} is in {' and in '.join(of)}. An id is a record's kind and its "
                "place in the file: put the records of one kind into one file"
            )
        notes = (f"{part.name}: {note}" for part, each in zip(self.parts, read, strict=True) for note in each.notes)
        return Split(cases, tuple(_renumbered(read)), tuple(notes))


@dataclass(slots=True)
class Divided:
    """A benchmark each of whose evaluation records makes two edits; those that cannot be divided are dropped.

    Training records stay whole.
    """

    name: str
    revision: str
    whole: Benchmark
    text_first: bool

    def load(self, split: Literal["train", "eval"], *, hop: int, switches: Switches) -> Split:
        """Read a split, and divide its records if they are to be evaluated.

        Raises:
            UserError: the benchmark cannot be read, or none of its records can be divided.
        """
        read = self.whole.load(split, hop=hop, switches=switches)
        if split == "train":
            return read
        dropped, cases = list(read.dropped), []
        for number, case in zip(_numbers(read), read.cases, strict=False):
            made = divided(case, text_first=self.text_first)
            if isinstance(made, EditCase):
                cases.append(made)
            else:
                dropped.append(Dropped(number, made))
        if read.cases and not cases:
            raise UserError(
                f"{self.name}: none of its {len(read.cases)} records can be divided; the last {dropped[-1].reason}"
            )
        told = f"{len(cases)} of {len(read.cases)} records can be divided into two edits"
        return Split(tuple(cases), tuple(sorted(dropped)), (*read.notes, told))


def _numbers(split: Split) -> Iterator[int]:
    """Yield the number in its file of each record that was not dropped."""
    dropped = {drop.record for drop in split.dropped}
    return (number for number in count() if number not in dropped)


def _renumbered(splits: Sequence[Split]) -> Iterator[Dropped]:
    before = 0
    for split in splits:
        yield from (Dropped(before + drop.record, drop.reason) for drop in split.dropped)
        before += len(split.cases) + len(split.dropped)
