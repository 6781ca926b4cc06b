"""The records that are timed: those of a benchmark, with descriptions of a given number of words.

The published descriptions have 76 words (entities) and 44 (the other kinds); those of the embedded benchmarks are
shorter. Time and memory depend on the number of tokens and not on what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Resized:
    """A benchmark whose descriptions have a number of words, in both splits."""

    whole: Benchmark
    words: int

    @property
    def name(self) -> str:
        """Return the benchmark's own name."""
        return self.whole.name

    @property
    def revision(self) -> str:
        """Return what identifies the records."""
        return f"{self.whole.revision}, {self.words} words"

    def load(self, split: str, *, hop: int, switches: Switches) -> Split:
        """Return the resized records."""
        loaded = self.whole.load(split, hop=hop, switches=switches)  # type: ignore[arg-type]
        return Split(_resized(loaded.cases, self.words), loaded.dropped)


def _resized(cases: Sequence[EditCase], words: int) -> tuple[EditCase, ...]:
    return tuple(resized(case, words) for case in cases)
