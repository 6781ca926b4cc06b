"""Figures with standard errors that stay right for differences, areas and several orders.

A figure of a stream is made of means over cases, added up. An `Estimate` holds the figure and, for each case, how far
this case moves it (the case's share of the figure's error, to the first order). Adding up and subtracting estimates
adds and subtracts these shares case by case, so that a difference over the same cases is a paired one, and the same
case in several orders or states counts as one case and not as several.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure over cases.

    Attributes:
        value: the figure.
        shares: by case, how far it moves the figure; they add up to 0.
    """

    value: float
    shares: Mapping[str, float]

    @property
    def n(self) -> int:
        """How many cases the figure is made of."""
        return len(self.shares)

    @property
    def se(self) -> float | None:
        """The standard error over cases; None with fewer than two. Of a plain mean: sample deviation / √n."""
        if self.n < 2:
            return None
        return float((self.n / (self.n - 1) * sum(share**2 for share in self.shares.values())) ** 0.5)


def mean(numbers: Iterable[tuple[str, float]]) -> Estimate | None:
    """Return the mean of numbers, each with its case; None where there is none.

    A case may have several numbers, such as its scores in several states: they are not independent of each other, and
    the standard error takes them together.
    """
    some = list(numbers)
    if not some:
        return None
    value = sum(number for _, number in some) / len(some)
    shares: dict[str, float] = defaultdict(float)
    for case, number in some:
        shares[case] += (number - value) / len(some)
    return Estimate(value, dict(shares))


def add_up(terms: Iterable[tuple[float, Estimate]]) -> Estimate:
    """Return the sum of estimates, each times its factor."""
    value, shares = 0.0, defaultdict[str, float](float)
    for factor, term in terms:
        value += factor * term.value
        for case, share in term.shares.items():
            shares[case] += factor * share
    return Estimate(value, dict(shares))


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of estimates, such as those of several orders of the same cases."""
    return add_up([(1 / len(estimates), each) for each in estimates])


def difference(left: Estimate, right: Estimate) -> Estimate:
    """Return left − right; over the same cases its standard error is that of the paired difference."""
    return add_up([(1.0, left), (-1.0, right)])
