"""From answers to rows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mmke.running.asking import Answers
from mmke.types import Answer, EditCase, Metric, ProbeKind, Said, Score, ScoreRow

NOT_NUMBERS = "the model's logits are not numbers"

RowKey = tuple[str, int | None, str]
"""Record, probe and column."""


class Floor(NamedTuple):
    """The unedited model's rows of one cell, by row key; empty while they are being made."""

    rows: Mapping[RowKey, ScoreRow]


class Heard(NamedTuple):
    """All answers to one record's probes: of each reference model, and after the edit."""

    references: Mapping[str, Answers]
    after: Answers


def make_rows(
    case: EditCase, metrics: Sequence[Metric], heard: Heard, *, floor: Floor | None, edits: int
) -> list[ScoreRow]:
    """Score one record.

    Args:
        case: the record.
        metrics: what to score.
        heard: the answers to its probes.
        floor: the unedited model's rows; None when these are those rows.
        edits: edits in the model when it was asked.
    """
    rows = [row for metric in metrics for row in _rows_of(case, metric, heard, floor, edits)]
    return sorted(rows, key=lambda row: (row.probe is None, row.probe or 0))


def _is_broken(answer: Answer) -> bool:
    """Tell whether a forced answer was read off logits that are not numbers, where every id looks like the first."""
    return bool(answer.target_ids) and math.isnan(answer.target_logprob)


class _Compared(NamedTuple):
    before: Answer | None
    after: Answer
    unedited: ScoreRow | None


def _rows_of(case: EditCase, metric: Metric, heard: Heard, floor: Floor | None, edits: int) -> Iterator[ScoreRow]:
    for i, probe in enumerate(case.probes):
        if probe.kind.role in metric.roles:
            compared = _Compared(
                before=heard.references[metric.reference][i, metric.ask] if metric.reference else None,
                after=heard.after[i, metric.ask],
                unedited=floor.rows[case.id, i, metric.column(probe.kind)] if floor and not metric.reference else None,
            )
            yield _scored(case, i, metric, compared, edits=edits)
    for kind, reason in case.unscored.items():
        if kind.role in metric.roles:
            yield _unscored(case, kind, metric.column(kind), reason, edits=edits)


def _scored(case: EditCase, i: int, metric: Metric, compared: _Compared, *, edits: int) -> ScoreRow:
    probe, (before, after, unedited) = case.probes[i], compared
    broken = _is_broken(after) or (before is not None and _is_broken(before))
    score = Score(math.nan, 0, NOT_NUMBERS) if broken else metric.score(probe, before, after)
    value = None if math.isnan(score.value) else score.value
    # A comparison of two models has no floor; the floor's own rows are theirs.
    floor = None if metric.reference else (value if unedited is None else unedited.value)
    return ScoreRow(
        case_id=case.id,
        edits_applied=edits,
        probe=i,
        kind=probe.kind.name,
        metric=metric.column(probe.kind),
        value=value,
        floor=floor,
        n_scored=score.n_scored,
        reason=_reason(score),
        tags=probe.tags,
        notes=after.notes,
        question=probe.query.text,
        target=probe.target,
        image=None if probe.query.image is None else probe.query.image.path.name,
        before=_said(before) if before else (unedited.after if unedited else None),
        after=_said(after),
    )


def _unscored(case: EditCase, kind: ProbeKind, column: str, reason: str, *, edits: int) -> ScoreRow:
    return ScoreRow(
        case_id=case.id,
        edits_applied=edits,
        probe=None,
        kind=kind.name,
        metric=column,
        value=None,
        floor=None,
        n_scored=0,
        reason=reason,
        tags={},
        notes={},
        question="",
        target="",
        image=None,
        before=None,
        after=None,
    )


def _reason(score: Score) -> str | None:
    if math.isnan(score.value) and score.reason is None:
        raise ValueError("a metric returned NaN without a reason")
    return score.reason


def _said(answer: Answer) -> Said:
    logprob = None if math.isnan(answer.target_logprob) else answer.target_logprob
    return Said(answer.text, answer.token_ids, logprob)
