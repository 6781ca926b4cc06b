"""Under what a run's rows were made, as far as a reader of its table should know: from the history in `run.json`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmke.results.shard import shard_of


class Conditions(NamedTuple):
    """What stands under a table beside the figures.

    Attributes:
        devices: on which the program was started for this run.
        mixed: in what else its starts differ, such as "torch 2.11.0 and 2.13.0".
        uncommitted: whether a start ran from a checkout with changes that were not committed.
        trained_on: evaluated records that the editor's checkpoint was trained on.
        chosen_by: evaluated records by which the checkpoint was chosen among others.
        deviations: in what the editor differs from the published code.
        shard: which part of a run it is, such as "1/4"; None: the whole.
    """

    devices: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    uncommitted: bool = False
    trained_on: int = 0
    chosen_by: int = 0
    deviations: tuple[str, ...] = ()
    shard: str | None = None


def conditions_of(run: Mapping[str, Any]) -> Conditions:
    """Return the conditions of a run, from what its `run.json` holds."""
    history, records = run["history"], run["records"]
    commits = [start.get("commit") or {} for start in history]
    packages = dict.fromkeys(name for start in history for name in start.get("versions") or {})
    told = {
        **{name: [(start.get("versions") or {}).get(name) for start in history] for name in packages},
        "threads": [start.get("threads") for start in history],
        "commit": [str(commit.get("sha", ""))[:10] or None for commit in commits],
    }
    return Conditions(
        devices=_distinct([start.get("device") for start in history]),
        mixed=tuple(
            f"{name} {' and '.join(values)}" for name, each in told.items() if len(values := _distinct(each)) > 1
        ),
        uncommitted=any(commit.get("dirty") for commit in commits),
        trained_on=records.get("trained_on", 0),
        chosen_by=records.get("chosen_by", 0),
        deviations=_distinct([each for start in history for each in start.get("deviations", ())]),
        shard=None if (shard := shard_of(run)) is None else str(shard),
    )


def _distinct(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value is not None))
