"""From the answers to one record to the rows of `rows.jsonl`.

In: a record, the metrics, the answers of the edited model and of those it is compared with, the floor's rows. Out: a
`ScoreRow` for each probe and metric; a probe without a score has a row with the reason.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from mmke.results.rows import EMPTY, UNENDED
from mmke.types import Answer, Ask, EditCase, Metric, ProbeKind, Score, ScoreRow, StoredAnswer

NOT_NUMBERS = "the model's logits are not numbers"
COLLAPSED = f"collapsed: {NOT_NUMBERS}"

EDIT, CHOSEN = "edit", "chosen"
"""Notes: which edit an editor with a memory chose, by its place among all; and whether it is one of the case's own."""

Answers = Mapping[tuple[int, Ask], Answer]
"""Answers of one model to one record: by index of the probe in the record, and by the way it was asked."""

RowKey = tuple[str, int | None, str]
"""Id of the record, index of the probe, column of the table."""


class Floor(NamedTuple):
    """The unedited model's rows for one benchmark, by row key."""

    rows: Mapping[RowKey, ScoreRow]

    @classmethod
    def of(cls, rows: Iterable[ScoreRow]) -> "Floor":
        """Return the floor of some rows."""
        return cls({(row.case_id, row.probe, row.metric): row for row in rows})


class CaseAnswers(NamedTuple):
    """All answers to one record.

    Attributes:
        references: of each model that metrics compare the edited one with ("base", "previous edit").
        after: of the edited model.
    """

    references: Mapping[str, Answers]
    after: Answers


@dataclass(frozen=True, slots=True)
class When:
    """In which state of the model a record was asked.

    Attributes:
        edits_applied: how many cases were edited into the model.
        schedule: name of the schedule, like the next two as the rows state them.
        order_seed: see `schedule`.
        position: see `types.ScoreRow`.
        own: places of the case's own edits among all edits of the session, by which is told whether an editor with a
            memory chose the right one.
    """

    edits_applied: int
    schedule: str = "single"
    order_seed: int | None = None
    position: int | None = None
    own: range = range(0)


def make_rows(
    case: EditCase, metrics: Sequence[Metric], answers: CaseAnswers, *, floor: Floor | None, when: When
) -> list[ScoreRow]:
    """Score one record.

    Args:
        case: the record.
        metrics: what to score.
        answers: to its probes.
        floor: the unedited model's rows; None while those are made.
        when: in which state of the model it was asked.
    """
    rows = [row for metric in metrics for row in _rows_of(case, metric, answers, floor, when)]
    return sorted(rows, key=lambda row: (row.probe is None, row.probe or 0))


def unasked(reason: str) -> Answer:
    """Return an empty answer with the reason why the probe could not be asked."""
    return Answer("", (), (), math.nan, np.zeros((0, 0), dtype=np.int64), reason=reason)


def _why_unscored(answer: Answer | None) -> str | None:
    """Return why an answer cannot be scored: the probe could not be asked, or the logits are NaN."""
    if answer is None or answer.reason is not None:
        return None if answer is None else answer.reason
    # With NaN as logits, the most probable id would be 0 everywhere.
    return NOT_NUMBERS if answer.target_ids and math.isnan(answer.target_logprob) else None


class _Compared(NamedTuple):
    """The answers to one probe, and the floor's row of it."""

    before: Answer | None
    after: Answer
    unedited: ScoreRow | None


def _rows_of(
    case: EditCase, metric: Metric, answers: CaseAnswers, floor: Floor | None, when: When
) -> Iterator[ScoreRow]:
    """Yield the rows of one metric: of the probes it scores, and of the kinds that the record has no probe of."""
    for i, probe in enumerate(case.probes):
        if probe.kind.role in metric.roles:
            compared = _Compared(
                before=answers.references[metric.reference][i, metric.ask] if metric.reference else None,
                after=answers.after[i, metric.ask],
                unedited=floor.rows[case.id, i, metric.column(probe.kind)] if floor and not metric.reference else None,
            )
            yield _scored(case, i, metric, compared, when=when)
    for kind, reason in case.unscored.items():
        if kind.role in metric.roles:
            yield _unscored(case, kind, metric.column(kind), reason, when=when)


def _scored(case: EditCase, i: int, metric: Metric, compared: _Compared, *, when: When) -> ScoreRow:
    probe, (before, after, unedited) = case.probes[i], compared
    why = next((reason for answer in (after, before) if (reason := _why_unscored(answer)) is not None), None)
    if why is None:
        score = metric.score(probe, before, after)
    elif why == NOT_NUMBERS and _has_collapsed(metric, compared, when):
        score = Score(0.0, len(after.target_ids), COLLAPSED)
    else:
        score = Score(math.nan, 0, why)
    if math.isnan(score.value) and score.reason is None:
        raise ValueError("a metric returned NaN without a reason")
    value = None if math.isnan(score.value) else score.value
    # A metric that compares two models has no floor. In the floor's own rows value and floor are the same.
    floor = None if metric.reference else (value if unedited is None else unedited.value)
    return ScoreRow(
        case_id=case.id,
        probe=i,
        kind=probe.kind.name,
        metric=metric.column(probe.kind),
        **_state(when),
        value=value,
        floor=floor,
        n_scored=score.n_scored,
        reason=score.reason,
        notes=_notes(after, metric.ask, when),
        before=_before(metric, compared),
        after=None if after.reason is not None else _stored(after, metric.ask, "edited"),
    )


def _has_collapsed(metric: Metric, compared: _Compared, when: When) -> bool:
    """Tell whether the edits of a stream have made the logits NaN, and 0 is the worst score of the metric.

    To leave such rows out would flatter the editor: what the model still answers would be all that counts.
    """
    unedited_is_sound = _why_unscored(compared.before) is None and (
        compared.unedited is None or compared.unedited.value is not None
    )
    worst_is_zero = metric.unit == "per cent" and metric.higher_is_better
    return when.position is not None and worst_is_zero and unedited_is_sound


def _unscored(case: EditCase, kind: ProbeKind, column: str, reason: str, *, when: When) -> ScoreRow:
    return ScoreRow(
        case_id=case.id,
        probe=None,
        kind=kind.name,
        metric=column,
        **_state(when),
        value=None,
        floor=None,
        n_scored=0,
        reason=reason,
        notes={},
        before=None,
        after=None,
    )


def _state(when: When) -> dict[str, Any]:
    """Return what a row says of the state of the model."""
    return {name: getattr(when, name) for name in ("edits_applied", "schedule", "order_seed", "position")}


def _notes(answer: Answer, ask: Ask, when: When) -> dict[str, int]:
    """Return the editor's counts, and whether an answer that the model wrote is empty or was cut off.

    An editor with a memory says which edit it chose; rows say whether that is one of the case's own.
    """
    notes = dict(answer.notes)
    if EDIT in notes:
        notes[CHOSEN] = int(notes.pop(EDIT) in when.own)
    if ask.decode == "generate" and answer.reason is None:
        notes |= {EMPTY: int(not answer.text.strip()), UNENDED: int(answer.finished is False)}
    return notes


def _before(metric: Metric, compared: _Compared) -> StoredAnswer | None:
    """Return the answer that the row shows as `before`: the reference's, or the floor's where there is no reference."""
    if metric.reference is not None and compared.before is not None and compared.before.reason is None:
        return _stored(compared.before, metric.ask, metric.reference)
    unedited = compared.unedited
    return None if unedited is None or unedited.after is None else replace(unedited.after, model="floor")


def _stored(answer: Answer, ask: Ask, model: str) -> StoredAnswer:
    # The ranks of all positions would take many times the space of everything else in the folder.
    keeps_ranks = ask.top > 1 and ask.positions == "answer" and ask.decode == "loglikelihood"
    return StoredAnswer(
        text=answer.text,
        ids=answer.token_ids,
        target_logprob=None if math.isnan(answer.target_logprob) else answer.target_logprob,
        target_ids=answer.target_ids,
        top_ids=tuple(map(tuple, answer.top_ids.tolist())) if keeps_ranks else (),
        finished=answer.finished,
        ask=replace(ask, logprobs=False),  # log-probabilities are not stored
        model=model,
        image=None if answer.image is None else answer.image.path.name,
    )
