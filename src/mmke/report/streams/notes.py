"""What must be said beneath the tables of a stream: its settings, what collapsed, and what the figures leave out."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mmke.report.aggregates import MEAN_OF, groups_told
from mmke.report.notes import MARK, columns_told, condition_notes, reasons_told, together, unit_notes
from mmke.report.streams.naming import line_name
from mmke.report.streams.summaries import Collapse, StreamSummary


def notes_of(streams: Sequence[StreamSummary], labels: Mapping[str, str]) -> list[str]:
    """Return the notes of one stream's tables.

    Args:
        streams: its editors.
        labels: the heading of each column that is shown.
    """
    named = [(line_name(stream, streams).removesuffix(MARK), stream) for stream in streams]
    notes = [_settings(streams), *_devices(streams), *unit_notes([stream.scale for stream in streams], labels)]
    measured = dict.fromkeys(column for stream in streams for column in stream.columns)
    if measured and not measured.keys() & labels.keys():
        notes.append(f"measured, and shown with --all: {', '.join(measured)}")
    notes += [f"collapsed: {name} {_where(stream.collapsed, stream)}" for name, stream in named if stream.collapsed]
    notes += [f"warning: {name} {_where(stream.warned, stream)}" for name, stream in named if stream.warned]
    for begin, what in (
        ("not finished", _missing),
        ("edits that could not be made", lambda stream: str(stream.refused or "")),
        ("unscored rows", lambda stream: _unscored(stream, labels)),
    ):
        notes += [f"{begin}: {text} ({names})" for text, names in together(named, what)]
    for column in MEAN_OF.keys() & labels.keys():
        said = together(named, lambda stream, column=column: _groups(stream, column))  # type: ignore[misc]
        notes += [f"{text} ({names})" for text, names in said]
    if len(_told_orders(streams)) > 1:
        notes += [f"orders by seed: {text} ({names})" for text, names in together(named, _orders)]
    return [*notes, *condition_notes([(name, stream.conditions) for name, stream in named])]


def _settings(streams: Sequence[StreamSummary]) -> str:
    plan, settings = streams[0].plan, streams[0].settings
    preset = settings.get("preset")
    parts = [
        f"preset {preset}" if preset else "",
        f"order {plan.order}{_same_orders(streams)}",
        f"{plan.tests} cases, {plan.batch} a step",
        f"scored {re.sub(r',(?=[a-z])', ', ', plan.score)}",
        f"panel of {plan.panel} at checkpoints" if plan.panel else "",
        f"reset after every {plan.reset} cases" if plan.reset else "",
        f"reset after every {plan.groups} groups" if plan.groups else "",
        "only the first case of each group is scored" if plan.first_of_group else "",
        f"behind {plan.distract} edits that are never scored" if plan.distract else "",
    ]
    return "; ".join(part for part in parts if part)


def _same_orders(streams: Sequence[StreamSummary]) -> str:
    told = _told_orders(streams)
    return f" ({told.pop()})" if len(told) == 1 else ""


def _told_orders(streams: Sequence[StreamSummary]) -> set[str]:
    return {_orders(stream) for stream in streams} - {""}


def _orders(stream: StreamSummary) -> str:
    seeds = [str(seed) for seed in stream.order_seeds if seed is not None]
    return f"{'seeds' if len(seeds) > 1 else 'seed'} {', '.join(seeds)}" if seeds else ""


def _devices(streams: Sequence[StreamSummary]) -> Iterator[str]:
    devices = dict.fromkeys(device for stream in streams for device in stream.conditions.devices)
    if len(devices) == 1:
        yield f"made on {next(iter(devices))}"


def _where(each: Sequence[Collapse], stream: StreamSummary) -> str:
    """Say after how many edits, in which orders, and why; of several orders the first one's reason."""
    edits = ", ".join(str(one.edits_applied) for one in each)
    seeds = f"order{'s' * (len(each) > 1)} {', '.join(str(one.order_seed) for one in each)}"
    orders = f" ({seeds})" if len(stream.order_seeds) > 1 else ""
    return f"after {edits} edits{orders}: {each[0].reason}"


def _missing(stream: StreamSummary) -> str:
    several = len(stream.order_seeds) > 1
    return "; ".join(f"order {seed}: {what}" if several else what for seed, what in stream.missing.items())


def _unscored(stream: StreamSummary, labels: Mapping[str, str]) -> str:
    """Say how many rows of the columns that are shown have no score, with the most frequent reasons."""
    shown = [column for column in labels if column not in MEAN_OF and stream.unscored.get(column)]
    if not shown:
        return ""
    counts = columns_told([f"{labels[column]} {sum(stream.unscored[column].values())}" for column in shown])
    reasons = sum((Counter(stream.unscored[column]) for column in shown), Counter[str]())
    return f"{counts}: {reasons_told(reasons)}"


def _groups(stream: StreamSummary, column: str) -> str | None:
    """Say how many cases each of the columns has that a column is the mean of."""
    if column not in stream.columns:
        return None
    counts = {part: stream.columns[part].n for part in MEAN_OF[column] if part in stream.columns}
    return groups_told(column, counts, stream.cases, "cases")
