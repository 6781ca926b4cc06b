"""Working out the figures of the verification (`figures`) from what stands of the records."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import quantiles
from typing import Literal

from mmke.build.content import Verdict
from mmke.build.project import Project
from mmke.build.record import EDIT_TEXTS, Record
from mmke.build.rules.check import check
from mmke.build.verdicts.agreement import agreement
from mmke.build.verdicts.figures import Annotator, Count, Example, Figures, Rates, Seconds
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
