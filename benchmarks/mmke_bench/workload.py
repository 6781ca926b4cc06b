"""The records that are timed: those of a benchmark, with descriptions of a given number of words.

The published descriptions have 76 words (entities) and 44 (the other kinds); those of the embedded benchmarks are
shorter. Time and memory depend on the number of tokens and not on what they say.
"""

from dataclasses import dataclass, replace
from typing import Literal

from mmke.types import Benchmark, EditCase, Split, Switches


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
