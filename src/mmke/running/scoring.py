"""From answers to rows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mmke.results.rows import EMPTY, UNENDED
from mmke.types import Answer, Ask, EditCase, Metric, ProbeKind, Said, Score, ScoreRow

NOT_NUMBERS = "the model's logits are not numbers"

Answers = Mapping[tuple[int, Ask], Answer]
"""Answers by the probe's index in its case and the way it was asked."""

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


def unasked(reason: str) -> Answer:
    """Return what stands for an answer to a probe that could not be asked."""
    return Answer("", (), (), math.nan, np.zeros((0, 0), dtype=np.int64), reason=reason)


def _why_unscored(answer: Answer | None) -> str | None:
    """Return why an answer cannot be scored: it could not be asked for, or was read off logits that are not numbers."""
    if answer is None or answer.reason is not None:
        return None if answer is None else answer.reason
    # Where logits are not numbers, every id looks like the first.
    return NOT_NUMBERS if answer.target_ids and math.isnan(answer.target_logprob) else None


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
    why = next((reason for answer in (after, before) if (reason := _why_unscored(answer)) is not None), None)
    score = metric.score(probe, before, after) if why is None else Score(math.nan, 0, why)
    value = None if math.isnan(score.value) else score.value
    # A comparison of two models has no floor; the floor's own rows are theirs.
    floor = None if metric.reference else (value if unedited is None else unedited.value)
    return ScoreRow(
        case_id=case.id,
        probe=i,
        kind=probe.kind.name,
        metric=metric.column(probe.kind),
        edits_applied=edits,
        value=value,
        floor=floor,
        n_scored=score.n_scored,
        reason=_reason(score),
        notes=_notes(after, metric.ask),
        before=_before(metric, compared),
        after=None if after.reason is not None else _said(after, metric.ask, "edited"),
    )


def _unscored(case: EditCase, kind: ProbeKind, column: str, reason: str, *, edits: int) -> ScoreRow:
    return ScoreRow(
        case_id=case.id,
        probe=None,
        kind=kind.name,
        metric=column,
        edits_applied=edits,
        value=None,
        floor=None,
        n_scored=0,
        reason=reason,
        notes={},
        before=None,
        after=None,
    )


def _reason(score: Score) -> str | None:
    if math.isnan(score.value) and score.reason is None:
        raise ValueError("a metric returned NaN without a reason")
    return score.reason


def _notes(answer: Answer, ask: Ask) -> dict[str, int]:
    """Return the editor's counts, and whether an answer that the model wrote is empty or was cut off."""
    notes = dict(answer.notes)
    if ask.decode == "generate" and answer.reason is None:
        notes |= {EMPTY: int(not answer.text.strip()), UNENDED: int(answer.finished is False)}
    return notes


def _before(metric: Metric, compared: _Compared) -> Said | None:
    """Return the answer that stands beside the edited model's: the reference's, or where there is none the floor's."""
    if metric.reference is not None and compared.before is not None and compared.before.reason is None:
        return _said(compared.before, metric.ask, metric.reference)
    unedited = compared.unedited
    return None if unedited is None or unedited.after is None else replace(unedited.after, model="floor")


def _said(answer: Answer, ask: Ask, model: str) -> Said:
    # Rankings of all positions would be many times the rest of a folder.
    keeps_ranks = ask.top > 1 and ask.positions == "answer" and ask.decode == "loglikelihood"
    return Said(
        text=answer.text,
        ids=answer.token_ids,
        target_logprob=None if math.isnan(answer.target_logprob) else answer.target_logprob,
        target_ids=answer.target_ids,
        top_ids=tuple(map(tuple, answer.top_ids.tolist())) if keeps_ranks else (),
        finished=answer.finished,
        ask=replace(ask, logprobs=False),  # they are not kept
        model=model,
        image=None if answer.image is None else answer.image.path.name,
    )
