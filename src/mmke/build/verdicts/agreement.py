"""How much two people who decide alone agree: Krippendorff's alpha, and the plain share beside it.

alpha = 1 − D_o / D_e with the observed disagreement D_o within the records and the disagreement D_e expected if all
verdicts were dealt out anew; nominal: two verdicts differ or they do not. 1: always the same; 0: as if by chance. It is
low where nearly all records are accepted, even if people seldom differ, so that the share stands beside it.

Source: Krippendorff, Content Analysis, chapter 12; the library krippendorff.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmke.errors import UserError

KEPT, REJECTED = 0.0, 1.0
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement on whether a record is kept, accepted or corrected, or rejected.

    Attributes:
        records: how many have two verdicts or more.
        same: in how many of them all verdicts are the same.
        alpha: Krippendorff's; None where it is not defined: no such records, or all verdicts are the same.
        low: lower end of the 95 per cent interval over records; None as alpha, or where no resample has an alpha.
        high: its upper end.
        undefined: how many of the resamples have no alpha; they are left out of the interval.
    """

    records: int
    same: int
    alpha: float | None = None
    low: float | None = None
    high: float | None = None
    undefined: int = 0


def agreement(items: Sequence[Sequence[bool]], *, seed: int, resamples: int = RESAMPLES) -> Agreement:
    """Return the agreement on records, each given by its verdicts: whether it is rejected.

    The interval is a bootstrap over records: the 2.5th and 97.5th percentile of alpha over `resamples` draws of as many
    records with replacement.

    Args:
        items: the verdicts of each record; those with fewer than two are left out.
        seed: of the draws.
        resamples: how many draws.

    Raises:
        UserError: the library is not installed.
    """
    pairs = [item for item in items if len(item) > 1]
    same = sum(len(set(item)) == 1 for item in pairs)
    whole = _matrix(pairs)
    alpha = _alpha(whole)
    if alpha is None:
        return Agreement(len(pairs), same)
    drawn = np.random.default_rng(seed)
    # Not scipy.stats.bootstrap: a single draw without an alpha (all verdicts the same) makes its interval NaN.
    found = [_alpha(whole[:, drawn.integers(len(pairs), size=len(pairs))]) for _ in range(resamples)]
    known = [value for value in found if value is not None]
    low, high = np.percentile(known, [2.5, 97.5]) if known else (math.nan, math.nan)
    return Agreement(
        records=len(pairs),
        same=same,
        alpha=alpha,
        low=float(low) if known else None,
        high=float(high) if known else None,
        undefined=len(found) - len(known),
    )


def _matrix(items: Sequence[Sequence[bool]]) -> np.ndarray:
    """Return one row for each verdict of a record and one column for each record; NaN where a record has fewer."""
    rows = max(map(len, items), default=0)
    return np.array(
        [[(REJECTED if item[n] else KEPT) if n < len(item) else math.nan for item in items] for n in range(rows)]
    )


def _alpha(matrix: np.ndarray) -> float | None:
    """Return alpha; None where all verdicts are the same, so that no disagreement is expected."""
    try:
        import krippendorff
    except ModuleNotFoundError as error:
        raise UserError("agreement needs the Python package 'krippendorff'; run: pip install 'mmke[build]'") from error
    if len(np.unique(matrix[~np.isnan(matrix)])) < 2:
        return None
    return float(krippendorff.alpha(matrix, level_of_measurement="nominal", value_domain=[KEPT, REJECTED]))
