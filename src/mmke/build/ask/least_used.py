"""Choosing unrelated facts and pictures for records: none twice as long as there are enough."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from mmke.build.ask.bands import band_of
from mmke.build.draws import in_order

Choice = TypeVar("Choice")


class LeastUsed(Generic[Choice]):
    """What can be chosen, by name: what was chosen least often first, else in a random order of each record's own."""

    def __init__(self, choices: Mapping[str, Choice], used: Iterable[str]) -> None:
        """Take the choices, and the names of those that records have already."""
        self._choices, self._used = choices, Counter(used)

    def __len__(self) -> int:
        """Return how many choices there are."""
        return len(self._choices)

    def choose(self, *key: object, fits: Callable[[Choice], bool], band: int | None = None) -> Choice | None:
        """Return one that fits, and count it; None where there is none. Those of `band` come first."""

        def rank(name: str) -> tuple[bool, int]:
            return band is not None and band_of(name) != band, self._used[name]

        for name in sorted(in_order(self._choices, *key), key=rank):
            if fits(self._choices[name]):
                self._used[name] += 1
                return self._choices[name]
        return None
