"""How quickly a run writes records: by the time since its last start, or by the times of its last records."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mmke.results.finished import FinishedRecord

LAST = 20
"""Records whose times tell the rate, where the time of the start does not."""


def per_minute(records: Sequence[FinishedRecord], run: Mapping[str, Any], last: float | None) -> float | None:
    """Return records a minute: since the last start, or by the times of the last records; None: not known.

    The first counts what several workers do side by side, and what is done beside the records.
    """
    start = run["history"][-1] if run["history"] else {}
    since, before = _seconds(start.get("started")), start.get("done")
    if since is not None and last is not None and isinstance(before, int):
        done, took = len(records) - before, last - since
        # The time of the start has no fractions of a second.
        if done >= 1 and took >= 1:
            return 60 * done / took
    times = [sum(record.timing.seconds.values()) for record in records[-LAST:] if record.timing is not None]
    return 60 * len(times) / sum(times) if sum(times) > 0 else None


def _seconds(started: object) -> float | None:
    try:
        return datetime.fromisoformat(started).timestamp() if isinstance(started, str) else None
    except ValueError:
        return None
