"""Dealing unrelated facts and pictures to records: none twice as long as there are enough."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from mmke.build.draws import in_order

Card = TypeVar("Card")


class Deck(Generic[Card]):
    """What can be dealt, by name. What was dealt least often comes first, else a random order of each record's own."""

    def __init__(self, cards: Mapping[str, Card], dealt: Iterable[str]) -> None:
        """Take the cards, and the names of those that records have already."""
        self._cards, self._dealt = cards, Counter(dealt)

    def deal(self, *key: object, fits: Callable[[Card], bool]) -> Card | None:
        """Return a card that fits, and count it; None where there is none."""
        for name in sorted(in_order(self._cards, *key), key=self._dealt.__getitem__):
            if fits(self._cards[name]):
                self._dealt[name] += 1
                return self._cards[name]
        return None
