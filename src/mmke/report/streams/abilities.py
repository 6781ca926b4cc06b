"""What a stream's model answered to questions besides those of the records, beside the unedited model."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mmke.abilities.figures import Judged, difference, figures
from mmke.report.abilities_block import shown
from mmke.report.streams.runs import StreamRun
from mmke.results.abilities import AbilityRecord


class InState(NamedTuple):
    """The answers to one suite in one state of one order, and the unedited model's to the same questions."""

    order_seed: int | None
    record: AbilityRecord
    said: tuple[Judged, ...]
    unedited: tuple[Judged, ...] | None


def judged_of(record: AbilityRecord) -> tuple[Judged, ...]:
    """Return the answers of a line as they were judged."""
    return tuple(
        Judged(each["id"], each["text"], each["exact"], each["starts"], len((each["text"] or "").split()))
        for each in record.answers
    )


def states_of(runs: Sequence[StreamRun]) -> Iterator[InState]:
    """Yield what was answered in each state, order after order."""
    for run in runs:
        unedited = {each.suite: judged_of(each) for each in run.abilities if each.edits_applied == 0}
        for record in run.abilities:
            yield InState(run.order_seed, record, judged_of(record), unedited.get(record.suite))


def as_plain(runs: Sequence[StreamRun]) -> list[dict[str, Any]]:
    """Return the figures of each state as plain data; shares are in [0, 1]."""
    return [
        {
            "order_seed": each.order_seed,
            "edits_applied": each.record.edits_applied,
            "suite": each.record.suite,
            "revision": each.record.revision,
            "left_out": each.record.left_out,
            "figures": shown(figures(each.said)),
            "difference": None if each.unedited is None else shown(difference(each.said, each.unedited)),
        }
        for each in states_of(runs)
    ]
