"""Dealing unrelated facts and pictures to records: none twice as long as there are enough."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from mmke.build.ask.bands import band_of
from mmke.build.draws import in_order

Card = TypeVar("Card")


class Deck(Generic[Card]):
    """What can be dealt, by name. What was dealt least often comes first, else a random order of each record's own."""

    def __init__(self, cards: Mapping[str, Card], dealt: Iterable[str]) -> None:
        """Take the cards, and the names of those that records have already."""
        self._cards, self._dealt = cards, Counter(dealt)

    def __len__(self) -> int:
        """Return how many cards there are."""
        return len(self._cards)

    def deal(self, *key: object, fits: Callable[[Card], bool], band: int | None = None) -> Card | None:
        """Return a card that fits, and count it; None where there is none. Those of `band` come first."""

        def rank(name: str) -> tuple[bool, int]:
            return band is not None and band_of(name) != band, self._dealt[name]

        for name in sorted(in_order(self._cards, *key), key=rank):
            if fits(self._cards[name]):
                self._dealt[name] += 1
                return self._cards[name]
        return None
