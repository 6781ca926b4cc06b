"""Means over cases with standard errors that stay right for differences, areas, means of means and several orders.

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
    def known(self) -> bool:
        """Whether there is an error over cases."""
        return self.n > 1

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
        shares: by case that has a part in it, how far it moves the sum; its shares of all means are added up.
        known: whether there is an error: each of the means is of more than one case.
    """

    value: float
    shares: Mapping[str, float]
    known: bool

    @property
    def n(self) -> int:
        """How many cases have a part in it."""
        return len(self.shares)

    @property
    def se(self) -> float | None:
        """The standard error over cases; None where one of the means is of one case."""
        return _error(self.shares, self.n) if self.known else None

    @classmethod
    def of(cls, terms: Sequence[tuple[float, "Mean | Sum"]]) -> "Sum":
        """Return the sum of means, or of such sums, each with its factor."""
        shares: dict[str, float] = defaultdict(float)
        for factor, term in terms:
            for case, share in term.shares.items():
                shares[case] += factor * share
        known = all(term.known for _, term in terms)
        return cls(sum(factor * term.value for factor, term in terms), shares, known)


def mean_of(parts: Sequence[Mean]) -> Sum:
    """Return the mean of means of different scores, such as those of several columns, over the cases of each."""
    return Sum.of([(1 / len(parts), part) for part in parts])


def _error(shares: Mapping[str, float], n: int) -> float | None:
    return float((n / (n - 1) * sum(share**2 for share in shares.values())) ** 0.5) if n > 1 else None
