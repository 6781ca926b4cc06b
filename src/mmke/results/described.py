"""What a table has to know of kinds and metrics: `run.json` says it, so that a folder can be read by itself.

A kind of question or a metric that came from another package needs no part of that package to be read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from mmke.types import Metric, ProbeKind


class Column(NamedTuple):
    """What one column of scores holds: which metric's scores of which kind, in which unit, and which way is better."""

    metric: str
    kind: str
    unit: str
    higher_is_better: bool


def describe_metrics(metrics: Iterable[Metric]) -> dict[str, dict[str, Any]]:
    """Return what decides the scores of each metric, as plain data by its name."""
    return {
        metric.name: {
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
            "parameters": dict(metric.parameters),
        }
        for metric in metrics
    }


def describe_columns(metrics: Iterable[Metric], kinds: Iterable[ProbeKind]) -> dict[str, dict[str, Any]]:
    """Return the columns that metrics and kinds make, as plain data by name."""
    kinds = tuple(kinds)
    return {
        metric.column(kind): Column(metric.name, kind.name, metric.unit, metric.higher_is_better)._asdict()
        for metric in metrics
        for kind in kinds
        if kind.role in metric.roles
    }


def describe_kinds(kinds: Iterable[ProbeKind]) -> dict[str, dict[str, Any]]:
    """Return kinds as plain data by name."""
    return {kind.name: _plain(kind) for kind in kinds}


def _plain(kind: ProbeKind) -> dict[str, Any]:
    # Without a group as before there were groups, so that a folder of an earlier version is continued byte for byte.
    return {key: value for key, value in asdict(kind).items() if key != "group" or value is not None}


def kinds_of(run: Mapping[str, Any]) -> dict[str, ProbeKind]:
    """Return the kinds of question of a run by name, in the order of its data."""
    return {
        name: ProbeKind(name, plain["label"], plain["role"], plain["headline"], plain.get("group"))
        for name, plain in run["kinds"].items()
    }


def columns_of(run: Mapping[str, Any]) -> dict[str, Column]:
    """Return the columns of a run by name."""
    return {
        name: Column(plain["metric"], plain["kind"], plain["unit"], plain["higher_is_better"])
        for name, plain in run["columns"].items()
    }
