"""The figures of the verification, as plain data: for the report, and for the card of an export.

All of them are about verdicts on the records as they are now. Annotators are numbered, and not named.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any, Literal

from mmke.build.content import Verdict
from mmke.build.project import Project
from mmke.build.record import EDIT_TEXTS, Record
from mmke.build.rules.check import check
from mmke.build.verdicts.agreement import Agreement, agreement
from mmke.build.verdicts.ledger import pseudonyms
from mmke.build.verdicts.standing import Standing, standing

EXAMPLES = 3
"""At most so many examples of each reason and each corrected text."""

Stage = Literal["edit texts", "questions", "pictures", "whole record"]
_STAGE_WORDS: Mapping[Stage, tuple[str, ...]] = {
    "pictures": ("picture", "image", "photo"),
    "questions": ("question", "answer"),
    "edit texts": ("fact", "description", "edit", "text"),
}


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


def figures(project: Project, records: Sequence[Record]) -> Figures:
    """Return the figures of a project's verification."""
    stands = list(standing(project, records).values())
    judged = [each for each in stands if each.deciding is not None]
    states = Counter(each.state for each in stands)
    apart = [each for each in stands if each.state == "disputed" or each.adjudication is not None]
    return Figures(
        states={state: states[state] for state in ("accepted", "corrected", "rejected", "open", "disputed")},
        records=len(records),
        double=sum(each.double for each in stands),
        stale=sum(each.stale for each in stands),
        all=_rates("all", judged),
        by_stage=_by_stage(judged),
        by_type=_by(judged, lambda record: [record.edit.draft.subject.type]),
        by_rule=_by_rule(project, records, judged),
        agreement=agreement(
            [[verdict.decision == "reject" for verdict in each.verdicts] for each in stands],
            seed=project.settings.seed,
        ),
        disputes=len(apart),
        adjudicated=sum(each.adjudication is not None for each in apart),
        own=sum(_own(each) for each in apart),
        seconds=_seconds(verdict for each in stands for verdict in each.verdicts),
        reasons=_reasons(judged),
        corrections=_corrections(judged),
        annotators=_annotators(project, stands),
    )


def stage_of_reason(reason: str) -> Stage:
    """Return which stage a reason of `build.toml` is about, by the words in it; "whole record" where none is named."""
    small = reason.casefold()
    return next(
        (stage for stage, words in _STAGE_WORDS.items() if any(word in small for word in words)), "whole record"
    )


def _decisions(judged: Iterable[Standing]) -> list[tuple[str, Verdict]]:
    """Return each record's id with the verdict that decides it."""
    return [(each.record.id, each.deciding) for each in judged if each.deciding is not None]


def _rates(name: str, judged: Iterable[Standing]) -> Rates:
    states = Counter(each.state for each in judged)
    return Rates(name, states.total(), states["accepted"], states["corrected"], states["rejected"])


def _by(judged: Iterable[Standing], names: Callable[[Record], Iterable[str]]) -> tuple[Rates, ...]:
    groups: dict[str, list[Standing]] = defaultdict(list)
    for each in judged:
        for name in names(each.record):
            groups[name].append(each)
    return tuple(_rates(name, groups[name]) for name in sorted(groups))


def _by_stage(judged: Sequence[Standing]) -> tuple[Rates, ...]:
    corrected: Counter[Stage] = Counter()
    rejected: Counter[Stage] = Counter()
    for _, verdict in _decisions(judged):
        corrected.update({_stage_of_text(name) for name in verdict.corrections})
        rejected.update({stage_of_reason(reason) for reason in verdict.reasons})
    stages: tuple[Stage, ...] = ("edit texts", "questions", "pictures", "whole record")
    return tuple(
        Rates(
            stage,
            len(judged),
            len(judged) - corrected[stage] - rejected[stage],
            corrected[stage],
            rejected[stage],
        )
        for stage in stages
    )


def _stage_of_text(name: str) -> Stage:
    return "edit texts" if name in EDIT_TEXTS else "questions"


def _by_rule(project: Project, records: Sequence[Record], judged: Sequence[Standing]) -> tuple[Rates, ...]:
    found: dict[str, set[str]] = defaultdict(set)
    for finding in check(project, records):
        found[finding.record].add(finding.rule)
    without = _rates("no finding", [each for each in judged if not found[each.record.id]])
    return (*_by(judged, lambda record: found[record.id]), without)


def _own(each: Standing) -> bool:
    decided = each.adjudication
    return decided is not None and any(verdict.annotator == decided.annotator for verdict in each.verdicts)


def _seconds(verdicts: Iterable[Verdict]) -> Seconds | None:
    """Return the quartiles of the times that were measured; verdicts that a program sends have none."""
    times = [verdict.seconds for verdict in verdicts if verdict.seconds > 0]
    if not times:
        return None
    lower, median, upper = quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    return Seconds(len(times), lower, median, upper)


def _reasons(judged: Iterable[Standing]) -> tuple[Count, ...]:
    found: dict[str, list[Example]] = defaultdict(list)
    for record, verdict in _decisions(judged):
        for reason in verdict.reasons:
            found[reason].append(Example(record, before="", after=verdict.comment))
    return _counted(found)


def _corrections(judged: Iterable[Standing]) -> tuple[Count, ...]:
    found: dict[str, list[Example]] = defaultdict(list)
    for record, verdict in _decisions(judged):
        for name, text in verdict.corrections.items():
            found[name].append(Example(record, before=verdict.before[name], after=text))
    return _counted(found)


def _counted(found: Mapping[str, Sequence[Example]]) -> tuple[Count, ...]:
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(Count(name, len(examples), tuple(examples[:EXAMPLES])) for name, examples in ordered)


def _annotators(project: Project, stands: Sequence[Standing]) -> tuple[Annotator, ...]:
    given: dict[str, list[Verdict]] = defaultdict(list)
    for each in stands:
        for verdict in (*each.verdicts, *([each.adjudication] if each.adjudication else [])):
            given[verdict.annotator].append(verdict)
    numbers = pseudonyms(project.verdicts.lines)
    return tuple(_annotator(number, given[name]) for name, number in numbers.items() if given[name])


def _annotator(number: str, verdicts: Sequence[Verdict]) -> Annotator:
    alone = [verdict for verdict in verdicts if verdict.turn != "adjudication"]
    decisions = Counter(verdict.decision for verdict in alone)
    return Annotator(
        name=number,
        accepted=decisions["accept"],
        corrected=decisions["correct"],
        rejected=decisions["reject"],
        adjudications=len(verdicts) - len(alone),
        seconds=_seconds(alone),
    )
