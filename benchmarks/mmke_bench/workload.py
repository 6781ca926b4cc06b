"""The records that are timed: those of a benchmark, with descriptions of a given number of words, or repeated.

The published descriptions have 76 words (entities) and 44 (the other kinds); those of the embedded benchmarks are
shorter. Time and memory depend on the number of tokens and not on what they say.
"""

from dataclasses import dataclass, replace
from typing import Literal

from mmke.types import Benchmark, EditCase, Query, Split, Switches


def of_words(text: str, words: int) -> str:
    """Return a text that was cut or repeated to a number of words."""
    given = text.split()
    return " ".join((given * (words // len(given) + 1))[:words])


def resized(case: EditCase, words: int) -> EditCase:
    """Return a record whose descriptions have a number of words, wherever they are a target."""
    new = {edit.target: of_words(edit.target, words) for edit in case.edits}
    return replace(
        case,
        edits=tuple(replace(edit, target=new[edit.target]) for edit in case.edits),
        probes=tuple(replace(probe, target=new.get(probe.target, probe.target)) for probe in case.probes),
    )


@dataclass(slots=True)
class Resized:
    """A benchmark whose descriptions have a number of words, in both splits."""

    name: str
    revision: str
    whole: Benchmark
    words: int

    def load(self, split: Literal["train", "eval"], *, hop: int, switches: Switches) -> Split:
        """Return the resized records."""
        loaded = self.whole.load(split, hop=hop, switches=switches)
        return Split(tuple(resized(case, self.words) for case in loaded.cases), loaded.dropped)


def resize(benchmark: Benchmark, words: int) -> Resized:
    """Give a benchmark's descriptions a number of words."""
    return Resized(benchmark.name, f"{benchmark.revision}, {words} words", benchmark, words)


def reworded(case: EditCase, number: int) -> EditCase:
    """Return a record that asks and answers in other words, as many, about the same pictures; `number` tells which."""

    def question(query: Query) -> Query:
        return replace(query, text=f"({number}) {query.text}")

    def answer(text: str) -> str:
        words = text.split()
        first = number % len(words) if words else 0
        return " ".join([*words[first:], *words[:first]])

    return replace(
        case,
        id=f"{case.id} ({number})",
        edits=tuple(replace(edit, query=question(edit.query), target=answer(edit.target)) for edit in case.edits),
        probes=tuple(replace(probe, query=question(probe.query), target=answer(probe.target)) for probe in case.probes),
    )


@dataclass(slots=True)
class Repeated:
    """A benchmark whose evaluation records are repeated in other words until there are `least` of them."""

    name: str
    revision: str
    whole: Benchmark
    least: int

    def load(self, split: Literal["train", "eval"], *, hop: int, switches: Switches) -> Split:
        """Return the records; those that train are not repeated."""
        loaded = self.whole.load(split, hop=hop, switches=switches)
        if split == "train":
            return loaded
        times = -(-self.least // len(loaded.cases))
        again = [reworded(case, number) for number in range(2, times + 1) for case in loaded.cases]
        return replace(loaded, cases=(*loaded.cases, *again)[: self.least])


def repeat(benchmark: Benchmark, least: int) -> Repeated:
    """Repeat a benchmark's evaluation records in other words."""
    return Repeated(benchmark.name, f"{benchmark.revision}, repeated to {least}", benchmark, least)
