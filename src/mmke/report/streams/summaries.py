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
from mmke.report.aggregates import MEAN_OF
from mmke.report.cells import FLOOR
from mmke.report.conditions import Conditions, conditions_of
from mmke.report.figures import Scale
from mmke.report.streams.abilities import as_plain
from mmke.report.streams.columns import columns_over, difference_columns
from mmke.report.streams.cost import Cost, cost_of
from mmke.report.streams.plan import Plan
from mmke.report.streams.pooled import ColumnFigures
from mmke.report.streams.runs import Key, StreamRun, read_runs
from mmke.results.finished import FinishedRecord
from mmke.results.states import StateRecord

HEALTH = (
    "edits_applied",
    "perplexity",
    "perplexity_unedited",
    "repeated",
    "agreement",
    "finite",
    "collapsed",
    "warning",
)
"""What is told of each state that was looked at."""


class Collapse(NamedTuple):
    """The first state in which a model counts as collapsed, or in which there is a warning."""

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
        warned: of each order, where there was the first warning, such as a perplexity of twice the unedited model's.
        missing: by order seed, what was not scored yet.
        refused: cases whose edits could not be made.
        unscored: by column and reason, how many rows have no score; of a mean of columns, how many records have none.
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

    @property
    def states(self) -> tuple[tuple[int | None, StateRecord], ...]:
        """The states that were looked at for signs of collapse, each with the seed of its order."""
        return tuple((run.order_seed, state) for run in self.runs for state in run.states)

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
            "columns": {name: self._column(name, figures) for name, figures in self.columns.items()},
            "cost": None if self.cost is None else self.cost.as_dict(),
            "collapsed": [each._asdict() for each in self.collapsed],
            "warned": [each._asdict() for each in self.warned],
            "states": [
                {"order_seed": seed} | {name: getattr(state, name) for name in HEALTH} for seed, state in self.states
            ],
            "abilities": as_plain(self.runs),
            "unfinished": [{"order_seed": seed, "missing": what} for seed, what in self.missing.items()],
            "refused": self.refused,
            **({} if self.difference is None else {"difference": list(self.difference)}),
        }

    def _column(self, name: str, figures: ColumnFigures) -> dict[str, Any]:
        unscored = sum(self.unscored.get(name, {}).values())
        return {"unit": self.scale.unit(name), "unscored_rows": unscored, **figures.as_dict()}


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
    both = [
        (one, other, pairs)
        for one in streams
        for other in streams
        if (one.editor, other.editor) == (left, right) and (one.key, one.seed) == (other.key, other.seed)
        if (pairs := _pairs(one, other))
    ]
    if not both:
        names = sorted({stream.editor for stream in streams})
        hints = "".join(did_you_mean(name, names) for name in (left, right) if name not in names)
        raise UserError(
            f"no stream has both {left!r} and {right!r} in one order{hints}; these streams have {', '.join(names)}"
        )
    return [_difference(*each) for each in both]


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
        columns=columns_over(runs),
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


def _pairs(one: StreamSummary, other: StreamSummary) -> list[tuple[StreamRun, StreamRun]]:
    """Return the runs of two editors in the same orders; the unedited model has one run for all orders."""
    sides = [{run.order_seed: run for run in stream.runs} for stream in (one, other)]
    both = [[side.get(order, side.get(None)) for side in sides] for order in {**sides[0], **sides[1]}]
    return [(left, right) for left, right in both if left is not None and right is not None]


def _difference(
    one: StreamSummary, other: StreamSummary, pairs: Sequence[tuple[StreamRun, StreamRun]]
) -> StreamSummary:
    return StreamSummary(
        key=one.key,
        editor=f"{one.editor} − {other.editor}",
        seed=one.seed,
        order_seeds=tuple(left.order_seed if right.editor == FLOOR else right.order_seed for left, right in pairs),
        plan=one.plan,
        settings=one.settings,
        cases=len({case for left, right in pairs for case in _cases(left) & _cases(right)}),
        columns=difference_columns(pairs),
        scale=one.scale,
        missing={**other.missing, **one.missing},
        conditions=_conditions([*one.runs, *other.runs]),
        difference=(one.editor, other.editor),
    )


def _cases(run: StreamRun) -> set[str]:
    return {record.case_id for record in run.records}


def _first(run: StreamRun, *, collapsed: bool) -> list[Collapse]:
    """Return the first state of a stream that counts as collapsed, or the first with a warning; none, or one."""
    for state in run.states:
        if collapsed and state.collapsed is not None:
            return [Collapse(run.order_seed, state.edits_applied, state.collapsed)]
        if not collapsed and state.warning is not None:
            return [Collapse(run.order_seed, state.edits_applied, state.warning)]
    return []


def _unscored(runs: Sequence[StreamRun]) -> dict[str, dict[str, int]]:
    """Return by column and reason how many rows have no score."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for record in (record for run in runs for record in run.records):
        lacking = [row for row in record.rows if row.value is None]
        for row in lacking:
            found[row.metric][row.reason or "no reason given"] += 1
        for name, parts in MEAN_OF.items():
            if any(row.metric in parts for row in lacking) and not _has(record, parts):
                found[name][f"no {' or '.join(parts)}"] += 1
    return found


def _has(record: FinishedRecord, columns: Sequence[str]) -> bool:
    return any(row.metric in columns and row.value is not None for row in record.rows)


def _conditions(runs: Sequence[StreamRun]) -> Conditions:
    """Return the conditions of all starts of all orders, as if they were one run's."""
    history = [start for run in runs for start in run.run["history"]]
    return conditions_of({**runs[0].run, "history": history})
