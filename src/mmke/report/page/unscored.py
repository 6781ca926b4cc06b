"""Questions without a score: how many, of which column, and why."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mmke.report.page.gather import ReadRun


def unscored_of(runs: Sequence[ReadRun]) -> list[dict[str, Any]]:
    """Return how often which reason stands for a missing score, by table, column and reason, most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    editors: dict[tuple[str, str, str], dict[str, None]] = {}
    for run in runs:
        for record in run.records:
            for row in record.rows:
                if row.value is None:
                    key = (run.table, row.metric, row.reason or "no reason given")
                    counts[key] += 1
                    editors.setdefault(key, {})[str(run.run["editor"])] = None
    return [
        {"place": key[0], "column": key[1], "reason": key[2], "count": count, "editors": ", ".join(editors[key])}
        for key, count in sorted(counts.items(), key=lambda each: (each[0][0], -each[1], each[0]))
    ]
