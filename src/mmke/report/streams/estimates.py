"""Means over cases with standard errors that stay right for differences, areas and several orders.

The scores of one case in several states or orders are not independent of each other. So a `Mean` keeps what each case
gives to it, and the error is taken over cases: the same case in three orders is one case. The difference of two means
over the same scores subtracts case by case, and its error is that of the paired difference.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of scores.

    Attributes:
        parts: by case, what its scores give to the mean; they add up to it.
        weights: by case, the weight of its scores; they add up to 1.
    """

    parts: Mapping[str, float]
    weights: Mapping[str, float]

    @property
    def value(self) -> float:
        """The mean."""
        return sum(self.parts.values())

    @property
    def n(self) -> int:
        """How many cases it is of."""
        return len(self.parts)

    @property
    def shares(self) -> dict[str, float]:
        """By case, how far it moves the mean from where the others have it; they add up to 0."""
        value = self.value
        return {case: part - self.weights[case] * value for case, part in self.parts.items()}

    @property
    def se(self) -> float | None:
        """The standard error over cases; None with one case. One score a case: sample deviation / √n."""
        return _error(self.shares, self.n)


def mean(scores: Iterable[tuple[str, float]]) -> Mean | None:
    """Return the mean of scores, each with its case; None where there is none. A case may have several."""
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for case, score in scores:
        sums[case] += score
        counts[case] += 1
    n = sum(counts.values())
    if not n:
        return None
    return Mean({case: each / n for case, each in sums.items()}, {case: each / n for case, each in counts.items()})


def average(means: Sequence[Mean]) -> Mean:
    """Return the mean of means, such as those of several orders, each of which has the same weight."""
    if len(means) == 1:
        return means[0]
    parts: dict[str, float] = defaultdict(float)
    weights: dict[str, float] = defaultdict(float)
    for each in means:
        for case, part in each.parts.items():
            parts[case] += part
            weights[case] += each.weights[case]
    n = len(means)
    return Mean({case: each / n for case, each in parts.items()}, {case: each / n for case, each in weights.items()})


def difference(left: Mean, right: Mean) -> Mean:
    """Return left − right, which are means over the same cases and states."""
    return Mean({case: part - right.parts[case] for case, part in left.parts.items()}, left.weights)


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum of means, each times its factor.

    Attributes:
        value: the sum.
        se: its standard error over cases; None where one of the means is of one case.
        n: cases that have a part in it.
    """

    value: float
    se: float | None
    n: int

    @classmethod
    def of(cls, terms: Sequence[tuple[float, Mean]]) -> "Sum":
        """Return the sum of means, each with its factor."""
        shares: dict[str, float] = defaultdict(float)
        for factor, term in terms:
            for case, share in term.shares.items():
                shares[case] += factor * share
        known = all(term.n > 1 for _, term in terms)
        value = sum(factor * term.value for factor, term in terms)
        return cls(value, _error(shares, len(shares)) if known else None, len(shares))


def _error(shares: Mapping[str, float], n: int) -> float | None:
    return float((n / (n - 1) * sum(share**2 for share in shares.values())) ** 0.5) if n > 1 else None
