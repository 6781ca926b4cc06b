"""The streams of a results folder, one summary an editor: figures over cases and orders, curves, cost and collapse.

In: a results folder. Out: a `StreamSummary` for each editor of each stream, over all orders that lie side by side.
`StreamSummary.as_dict` is what other programs rely on (`mmke table --stream --format json`): per cent (or the column's
own unit), null where undefined.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mmke.errors import UserError, did_you_mean
from mmke.report.aggregates import AGGREGATES
from mmke.report.cells import FLOOR
from mmke.report.conditions import Conditions, conditions_of
from mmke.report.figures import PER_CENT, Scale
from mmke.report.streams.cost import Cost, cost_of
from mmke.report.streams.curves import Tracks, figures, over_floor, paired
from mmke.report.streams.plan import Plan
from mmke.report.streams.pooled import ColumnFigures, pool, pool_differences
from mmke.report.streams.runs import Key, StreamRun, read_runs

WARNED = 2.0
"""A perplexity of more than this many times the unedited model's is told."""


class Collapse(NamedTuple):
    """The first state in which a model counts as collapsed, or in which its perplexity is a warning."""

    order_seed: int | None
    edits_applied: int
    reason: str


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """What is reported of one editor in one stream.

    Attributes:
        key: backbone, benchmark, hop, protocol and schedule: what its table is of.
        editor: its name; of a difference, both names.
        seed: of the runs.
        order_seeds: of the orders that lie side by side; None alone: of the unedited model, the same in every order.
        plan: what the stream was asked for.
        settings: the same as `run.json` tells it.
        cases: how many cases were scored.
        columns: the figures of each column.
        scale: kinds and columns of the runs.
        cost: of all orders together; None of a difference.
        collapsed: of each order that collapsed, where.
        warned: of each order, where the perplexity was first a warning.
        missing: by order seed, what was not scored yet.
        refused: cases whose edits could not be made.
        unscored: by column and reason, how many rows have no score.
        conditions: under which starts of the program the rows were made.
        runs: the folders that were read.
        difference: the two editors of a difference, first minus second.
    """

    key: Key
    editor: str
    seed: int
    order_seeds: tuple[int | None, ...]
    plan: Plan
    settings: Mapping[str, Any]
    cases: int
    columns: Mapping[str, ColumnFigures]
    scale: Scale
    cost: Cost | None = None
    collapsed: tuple[Collapse, ...] = ()
    warned: tuple[Collapse, ...] = ()
    missing: Mapping[int | None, str] = field(default_factory=dict)
    refused: int = 0
    unscored: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=Conditions)
    runs: tuple[StreamRun, ...] = ()
    difference: tuple[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain data."""
        names = ("backbone", "benchmark", "hop", "protocol", "schedule")
        return {
            **dict(zip(names, self.key, strict=True)),
            "editor": self.editor,
            "seed": self.seed,
            "order_seeds": list(self.order_seeds),
            "stream": dict(self.settings),
            "cases": self.cases,
            "columns": {
                name: {"unit": self.scale.unit(name), **figures.as_dict()} for name, figures in self.columns.items()
            },
            "cost": None if self.cost is None else self.cost.as_dict(),
            "collapsed": [each._asdict() for each in self.collapsed],
            "warned": [each._asdict() for each in self.warned],
            "unfinished": [{"order_seed": seed, "missing": what} for seed, what in self.missing.items()],
            "refused": self.refused,
            **({} if self.difference is None else {"difference": list(self.difference)}),
        }


def read_streams(out: Path, *, by: str | None = None, only: Sequence[Path] | None = None) -> list[StreamSummary]:
    """Read every stream below a folder, also while it is being written, in table order: each floor first.

    Args:
        out: a results folder, or any folder inside one.
        by: a tag of the probes; each of its values gets columns of its own, such as `i_gen[held-out]`.
        only: read these streams' folders instead of all below `out`.

    Raises:
        UserError: no stream there, two of one editor and order, a broken file, or a tag that no probe has.
    """
    groups: dict[tuple[Any, ...], list[StreamRun]] = defaultdict(list)
    runs = read_runs(out, by=by, only=only)
    floors = {(run.key, run.seed): run for run in runs if run.editor == FLOOR}
    for run in runs:
        with_floor = run.beside(floors.get((run.key, run.seed)))
        groups[(*run.key, run.editor != FLOOR, run.editor, run.seed)].append(with_floor)
    return [_summary(sorted(groups[place], key=lambda run: run.order_seed or 0)) for place in sorted(groups)]


def differences(streams: Sequence[StreamSummary], left: str, right: str) -> list[StreamSummary]:
    """Return for each stream that both editors ran the figures of `left` − `right`, over the cases and states of both.

    Raises:
        UserError: no stream has both.
    """
    found = [
        _difference(one, other)
        for one in streams
        for other in streams
        if (one.editor, other.editor) == (left, right) and (one.key, one.seed) == (other.key, other.seed)
    ]
    if not found:
        names = sorted({stream.editor for stream in streams})
        hints = "".join(did_you_mean(name, names) for name in (left, right) if name not in names)
        raise UserError(f"no stream has both {left!r} and {right!r}{hints}; these streams have {', '.join(names)}")
    return found


def _summary(runs: Sequence[StreamRun]) -> StreamSummary:
    first = runs[0]
    records = [record for run in runs for record in run.records]
    return StreamSummary(
        key=first.key,
        editor=first.editor,
        seed=first.seed,
        order_seeds=tuple(run.order_seed for run in runs),
        plan=first.plan,
        settings=first.run["stream"],
        cases=len({record.case_id for record in records}),
        columns=_columns(runs),
        scale=first.scale,
        cost=cost_of([step for run in runs for step in run.steps], records),
        collapsed=tuple(each for run in runs for each in _first(run, collapsed=True)),
        warned=tuple(each for run in runs for each in _first(run, collapsed=False)),
        missing={run.order_seed: run.missing for run in runs if run.missing is not None},
        refused=sum(len(step.refused) for run in runs for step in run.steps),
        unscored=_unscored(runs),
        conditions=_conditions(runs),
        runs=tuple(runs),
    )


def _columns(runs: Sequence[StreamRun]) -> dict[str, ColumnFigures]:
    """Return the figures of each column over all orders, headline kinds first."""
    scale, whole = runs[0].scale, _whole(runs)
    found = {}
    for column in _ordered({name for run in runs for name in run.tracks}, scale):
        several = [run.tracks[column] for run in runs if column in run.tracks]
        asked, higher = runs[0].plan.asked, _higher(scale, column)
        found[column] = pool(
            [figures(tracks, asked, higher_is_better=higher) for tracks in several],
            [figures(over_floor(tracks), asked, higher_is_better=higher) for tracks in several],
            factor=_factor(scale, column),
            has_gain=_has_gain(scale, column) and runs[0].editor != FLOOR,
            whole=whole,
        )
    return found


def _difference(one: StreamSummary, other: StreamSummary) -> StreamSummary:
    # The unedited model has one run for all orders.
    orders = [run.order_seed for run in (other if one.editor == FLOOR else one).runs]
    sides = [{run.order_seed: run for run in stream.runs} for stream in (one, other)]
    both = [[side.get(order) or side.get(None) for side in sides] for order in orders]
    pairs = [(left, right) for left, right in both if left is not None and right is not None]
    asked = (one if one.editor != FLOOR else other).plan.asked
    columns = {}
    for name in one.columns:
        tracks: list[tuple[Tracks, Tracks]] = [
            paired(left.tracks[name], right.tracks[name])
            for left, right in pairs
            if name in left.tracks and name in right.tracks
        ]
        higher = _higher(one.scale, name)
        columns[name] = pool_differences(
            [
                (figures(left, asked, higher_is_better=higher), figures(right, asked, higher_is_better=higher))
                for left, right in tracks
            ],
            factor=_factor(one.scale, name),
            whole=_whole([*one.runs, *other.runs]),
        )
    return StreamSummary(
        key=one.key,
        editor=f"{one.editor} − {other.editor}",
        seed=one.seed,
        order_seeds=tuple(left.order_seed if right.editor == FLOOR else right.order_seed for left, right in pairs),
        plan=one.plan,
        settings=one.settings,
        cases=len({case for left, right in pairs for case in _cases(left) & _cases(right)}),
        columns=columns,
        scale=one.scale,
        missing={**other.missing, **one.missing},
        conditions=_conditions([*one.runs, *other.runs]),
        difference=(one.editor, other.editor),
    )


def _whole(runs: Sequence[StreamRun]) -> bool:
    """Whether every checkpoint was reached in every order, by all but the unedited model, which has no states."""
    return all(
        {*run.plan.asked.checkpoints} <= {record.key.edits_applied for record in run.records}
        for run in runs
        if run.editor != FLOOR
    )


def _cases(run: StreamRun) -> set[str]:
    return {record.case_id for record in run.records}


def _ordered(names: set[str], scale: Scale) -> list[str]:
    kinds = scale.kinds.values()
    headline = [kind.name for kind in kinds if kind.headline]
    first = [*headline, *AGGREGATES, *(kind.name for kind in kinds if not kind.headline)]
    rank = {name: index for index, name in enumerate(first)}
    return sorted(names, key=lambda name: (rank.get(name, len(first)), name))


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


def _first(run: StreamRun, *, collapsed: bool) -> list[Collapse]:
    """Return the first state of a stream that counts as collapsed, or else that is a warning; none, or one."""
    for state in run.states:
        if collapsed and state.collapsed is not None:
            return [Collapse(run.order_seed, state.edits_applied, state.collapsed)]
        before, after = state.perplexity_unedited, state.perplexity
        if not collapsed and state.collapsed is None and before and after is not None and after > WARNED * before:
            return [
                Collapse(run.order_seed, state.edits_applied, f"perplexity {after / before:.1f} times the unedited")
            ]
    return []


def _unscored(runs: Sequence[StreamRun]) -> dict[str, dict[str, int]]:
    """Return by column and reason how many rows have no score."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in (row for run in runs for record in run.records for row in record.rows):
        if row.value is None:
            found[row.metric][row.reason or "no reason given"] += 1
    return found


def _conditions(runs: Sequence[StreamRun]) -> Conditions:
    """Return the conditions of all starts of all orders, as if they were one run's."""
    history = [start for run in runs for start in run.run["history"]]
    return conditions_of({**runs[0].run, "history": history})
