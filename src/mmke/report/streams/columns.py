"""The figures of every column of a stream's editor over its orders, and of the difference of two editors.

In: runs, one of each order. Out: `ColumnFigures` by column, headline kinds first.
"""

from collections.abc import Sequence

from mmke.report.aggregates import AGGREGATES, parts_of, with_means
from mmke.report.cells import FLOOR
from mmke.report.figures import PER_CENT, Scale
from mmke.report.streams.curves import figures, over_floor, paired
from mmke.report.streams.pooled import ColumnFigures, pool, pool_differences
from mmke.report.streams.runs import StreamRun


def columns_over(runs: Sequence[StreamRun]) -> dict[str, ColumnFigures]:
    """Return the figures of each column over all orders, headline kinds first."""
    scale, whole = runs[0].scale, _whole(runs)
    found = {}
    asked = runs[0].plan.asked
    for column in _ordered({name for run in runs for name in run.tracks}, scale):
        higher, has_gain = _higher(scale, column), _has_gain(scale, column) and runs[0].editor != FLOOR
        parts = [[run.tracks.get(part, {}) for run in runs] for part in parts_of(column)]
        found[column] = pool(
            [[figures(tracks, asked, higher_is_better=higher) for tracks in orders] for orders in parts],
            [[figures(over_floor(tracks), asked, higher_is_better=higher) for tracks in orders] for orders in parts]
            if has_gain
            else [],
            factor=_factor(scale, column),
            whole=whole,
        )
    return found


def difference_columns(pairs: Sequence[tuple[StreamRun, StreamRun]]) -> dict[str, ColumnFigures]:
    """Return the figures of the first editor − the second, over the cases and states of both, of each order a pair."""
    found = {}
    scale, whole = pairs[0][0].scale, _whole([run for pair in pairs for run in pair])
    plan = pairs[0][pairs[0][0].editor == FLOOR].plan
    columns = {name for pair in pairs for name in pair[0].tracks.keys() & pair[1].tracks.keys()}
    for name in _ordered(columns, scale):
        higher = _higher(scale, name)
        parts = [
            [paired(left.tracks.get(part, {}), right.tracks.get(part, {})) for left, right in pairs]
            for part in parts_of(name)
        ]
        found[name] = pool_differences(
            [
                [
                    (
                        figures(left, plan.asked, higher_is_better=higher),
                        figures(right, plan.asked, higher_is_better=higher),
                    )
                    for left, right in tracks
                ]
                for tracks in parts
            ],
            factor=_factor(scale, name),
            whole=whole,
        )
    return found


def _whole(runs: Sequence[StreamRun]) -> bool:
    """Whether every checkpoint was reached in every order, by all but the unedited model, which has no states."""
    return all(
        {*run.plan.asked.checkpoints} <= {record.key.edits_applied for record in run.records}
        for run in runs
        if run.editor != FLOOR
    )


def _ordered(names: set[str], scale: Scale) -> list[str]:
    """Return columns, with those that are means of some of them, in table order."""
    kinds = scale.kinds.values()
    headline = [kind.name for kind in kinds if kind.headline]
    first = [*headline, *AGGREGATES, *(kind.name for kind in kinds if not kind.headline)]
    rank = {name: index for index, name in enumerate(first)}
    return sorted(with_means(names), key=lambda name: (rank.get(name, len(first)), name))


def _factor(scale: Scale, column: str) -> float:
    return 100.0 if scale.unit(column) == PER_CENT else 1.0


def _higher(scale: Scale, column: str) -> bool:
    described = scale.columns.get(column.partition("[")[0])
    return described is None or described.higher_is_better


def _has_gain(scale: Scale, column: str) -> bool:
    """Whether the floor of a column is something to gain on: locality compares two models by itself."""
    name = column.partition("[")[0]
    described = scale.columns.get(name)
    kind = scale.kinds.get(name if described is None else described.kind)
    return name not in AGGREGATES and (kind is None or "locality" not in kind.role)
