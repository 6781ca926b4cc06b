"""Ask about pictures: many wordings, one short answer each."""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from things import Thing

NUMBERS = ("no", "one", "two", "three", "four")
FACTS = ("country", "capital", "continent", "currency", "language", "subregion", "demonym", "landlocked")
VOWELS = "aeiouAEIO"
CAPTIONED = ("animal", "plant", "food", "transport", "clothing", "musical", "tool", "place", "household", "drink")


class Shown(NamedTuple):
    """A thing as one drawing shows it; `colour` is empty where no colour prevails."""

    thing: Thing
    colour: str


class Asked(NamedTuple):
    """A question, its answer, and what kind of question it is."""

    question: str
    answer: str
    kind: str


class Asker:
    """Makes up questions about what is shown."""

    def __init__(self, wordings: dict[str, Any], things: Sequence[Thing], *, unseen: bool = False) -> None:
        """Ask in the wordings of training, or, if `unseen`, in those kept out of it where there are any."""
        self._wordings = {
            (layout, kind): self._chosen(texts, unseen=unseen)
            for layout, kinds in wordings.items()
            for kind, texts in kinds.items()
        }
        self._things = things
        self._categories = sorted({thing.category for thing in things})

    @staticmethod
    def _chosen(texts: list[str], *, unseen: bool) -> list[str]:
        if len(texts) < 4:
            return texts
        return texts[-1:] if unseen else texts[:-1]

    def _word(self, layout: str, kind: str, rng: random.Random, **fill: str) -> str:
        texts = self._wordings[layout, kind]
        text = rng.choice(texts)
        while "{noun}" in text and not fill.get("noun"):
            text = rng.choice(texts)
        return text.format(**fill)

    def name(self, shown: Shown, rng: random.Random, *, kind: str = "name") -> Asked:
        """Ask what the thing is, with the noun of its kind if `kind` says so."""
        thing = shown.thing
        return Asked(self._word("single", kind, rng, noun=thing.noun), thing.name, "name")

    def count(self, shown: Shown, number: int, rng: random.Random) -> Asked:
        """Ask how many copies are shown."""
        text = self._word("single", "count", rng, name=shown.thing.name, noun=shown.thing.noun or "thing")
        return Asked(text, NUMBERS[number], "count")

    def single(self, shown: Shown, kind: str, rng: random.Random) -> Asked | None:
        """Ask one question of `kind` about a picture of one thing; None where it has no answer."""
        thing = shown.thing
        if kind in FACTS:
            if kind not in thing.facts:
                return None
            return Asked(self._word("fact", kind, rng), thing.facts[kind], "fact")
        answers: dict[str, Callable[[], Asked | None]] = {
            "name": lambda: self.name(shown, rng),
            "noun": lambda: self.name(shown, rng, kind="noun") if thing.noun else None,
            "category": lambda: Asked(self._word("single", "category", rng), thing.category, "category"),
            "colour": lambda: self._colour(shown, rng),
            "count": lambda: self.count(shown, 1, rng) if thing.may_be_counted else None,
            "meaning": lambda: self._meaning(thing, rng),
            "yes_no": lambda: self._yes_no(thing, rng),
            "caption": lambda: self._caption(shown, rng),
        }
        return answers[kind]()

    def _colour(self, shown: Shown, rng: random.Random) -> Asked | None:
        if not shown.colour:
            return None
        text = self._word("single", "colour", rng, name=shown.thing.name, noun=shown.thing.noun or "thing")
        return Asked(text, shown.colour, "colour")

    def _meaning(self, thing: Thing, rng: random.Random) -> Asked | None:
        return Asked(self._word("single", thing.meaning_kind, rng), thing.meaning, "meaning") if thing.meaning else None

    def _yes_no(self, thing: Thing, rng: random.Random) -> Asked:
        right = rng.random() < 0.5
        if rng.random() < 0.5:
            other = thing.category if right else rng.choice(self._categories)
            answer = "yes" if other == thing.category else "no"
            return Asked(self._word("single", "yes_no_category", rng, category=other), answer, "yes_no")
        name = thing.name if right else rng.choice(self._things).name
        answer = "yes" if name == thing.name else "no"
        return Asked(self._word("single", "yes_no_name", rng, name=name), answer, "yes_no")

    def _caption(self, shown: Shown, rng: random.Random) -> Asked | None:
        thing = shown.thing
        if not thing.subgroup.startswith(CAPTIONED):
            return None
        article = "an" if thing.name[0] in VOWELS else "a"
        kind = f"{'an' if thing.category[0] in VOWELS else 'a'} {thing.category}"
        coloured = f" It is mostly {shown.colour}." if shown.colour else ""
        return Asked(
            self._word("single", "caption", rng),
            f"The picture shows {article} {thing.name}, {kind}.{coloured}",
            "caption",
        )

    def pair(self, left: Shown, right: Shown, kind: str, rng: random.Random) -> Asked | None:
        """Ask one question of `kind` about two things side by side; None where it has no answer."""
        if kind == "both":
            return Asked(self._word("pair", "both", rng), f"{left.thing.name} and {right.thing.name}", "both")
        on_left = rng.random() < 0.5
        side, shown, other = ("left", left, right) if on_left else ("right", right, left)
        thing = shown.thing
        if kind == "side":
            return Asked(self._word("pair", "side", rng, name=thing.name), side, "side")
        if kind == "next_to":
            return Asked(self._word("pair", "next_to", rng, name=other.thing.name), thing.name, "next_to")
        answer = {
            "name": thing.name,
            "noun": thing.name if thing.noun else "",
            "colour": shown.colour,
            "category": thing.category,
            "meaning": thing.meaning if thing.noun else "",
        }.get(kind, thing.facts.get(kind, ""))
        if not answer:
            return None
        # "the {name}" is the thing asked about for colours, and its neighbour in "next to the {name}"
        named = thing.name if kind == "colour" else other.thing.name
        text = self._word("pair", kind, rng, side=side, name=named, noun=thing.noun)
        return Asked(text, answer, "name" if kind == "noun" else kind)
