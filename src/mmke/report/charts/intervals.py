"""Intervals of 95 per cent: from a mean over n records and its standard error, by Student's t distribution."""

from mmke.counting import counted
from mmke.report.figures import Figure

COVERED = 0.95


def interval(value: float | None, se: float | None, n: int) -> tuple[float, float] | None:
    """Return both ends of the interval; None where there is no error, as with one record."""
    if value is None or se is None or n < 2:
        return None
    from scipy.special import stdtrit

    reach = float(stdtrit(n - 1, (1 + COVERED) / 2)) * se
    return value - reach, value + reach


def clipped(
    value: float | None, se: float | None, n: int, *, low: float = 0.0, high: float = 100.0
) -> dict[str, float]:
    """Return the ends within an axis under `low` and `high`: few records have intervals beyond what can be."""
    ends = interval(value, se, n)
    if ends is None:
        return {}
    return {"low": min(max(ends[0], low), high), "high": min(max(ends[1], low), high)}


def told(figure: Figure) -> str:
    """Return a figure in per cent with its interval and number of records, in words."""
    if figure.value is None:
        return "no figure"
    ends = interval(figure.value, figure.se, figure.n)
    between = "" if ends is None else f", 95 % interval {max(ends[0], 0):.1f} to {min(ends[1], 100):.1f}"
    return f"{figure.value:.1f} per cent{between}, {counted(figure.n, 'record')}"
