"""The figures of the verification, as plain data: for the report, and for the card of an export.

All of them are about verdicts on the records as they are now. Annotators are numbered, and not named.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mmke.build.verdicts.agreement import Agreement


@dataclass(frozen=True, slots=True)
class Rates:
    """How many of the judged records were accepted as they were, corrected, and rejected."""

    name: str
    judged: int
    accepted: int
    corrected: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Seconds:
    """Seconds that a verdict took: their number, lower quartile, median, upper quartile."""

    verdicts: int
    lower: float
    median: float
    upper: float


@dataclass(frozen=True, slots=True)
class Example:
    """One rejection or correction: its record, and the text before and after; of a rejection the comment is `after`."""

    record: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Count:
    """How often a reason was given or a text corrected, with the first examples."""

    name: str
    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Annotator:
    """One person's verdicts, under a number in place of the name; `seconds` is None where no time was measured."""

    name: str
    accepted: int
    corrected: int
    rejected: int
    adjudications: int
    seconds: Seconds | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What the report tells.

    Attributes:
        states: how many records are accepted, corrected, rejected, open and disputed.
        records: how many there are.
        double: how many of them two people look at.
        stale: how many verdicts are on a content that has changed since.
        all: rates of the judged records.
        by_stage: the same for what the pipeline's stages made: a text of the stage was corrected, or a reason that
            names the stage was given.
        by_type: by the type of the subject.
        by_rule: by the rules that find something in the record as it stands, and of those without a finding.
        agreement: of people who decide alone.
        disputes: how many records' people disagreed.
        adjudicated: how many of these were decided by an adjudication.
        own: how many adjudications came from one of the two sides.
        seconds: that a first or second look took; None where no time was measured.
        reasons: of the rejections that stand, the most frequent first.
        corrections: by the name of the text, the most frequent first.
        annotators: everybody with a verdict that counts.
    """

    states: Mapping[str, int]
    records: int
    double: int
    stale: int
    all: Rates
    by_stage: tuple[Rates, ...]
    by_type: tuple[Rates, ...]
    by_rule: tuple[Rates, ...]
    agreement: Agreement
    disputes: int
    adjudicated: int
    own: int
    seconds: Seconds | None
    reasons: tuple[Count, ...]
    corrections: tuple[Count, ...]
    annotators: tuple[Annotator, ...]

    def plain(self) -> dict[str, Any]:
        """Return them as dictionaries and lists."""
        return asdict(self)
