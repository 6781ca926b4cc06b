"""Facts of a new value that can be asked one hop further: portability of entities."""

from collections.abc import Iterable

from mmke.build.collect.judge import MOST_WORDS
from mmke.build.content import Change, Fact, Thing
from mmke.build.wording import says, words


def hops(change: Change, subject: Thing, pictured: Thing, said: Iterable[str]) -> list[Fact]:
    """Return the facts of a new value that a question can be about.

    Args:
        change: whose new value is asked about.
        subject: of the edit. The answer must differ from the one that the true value of `subject` has.
        pictured: what the pictures show; the same holds for it.
        said: texts that must not say the answer: the description, or all that is sure to stand in it.
    """
    texts = [*said, subject.name, pictured.name]
    true = {fact.value.casefold() for thing in (subject, pictured) for fact in _further(thing, change.relation)}
    return [
        fact
        for fact in change.further
        if len(words(fact.value)) <= MOST_WORDS
        and fact.value.casefold() not in true
        and not any(says(text, fact.value) for text in texts)
    ]


def answer_before(pictured: Thing, *, via: str, relation: str) -> str | None:
    """Return the answer before the edit to a question one hop further on a picture; None where it is not known."""
    return next((fact.value for fact in _further(pictured, via) if fact.relation == relation), None)


def _further(thing: Thing, relation: str) -> tuple[Fact, ...]:
    return next((fact.further for fact in thing.facts if fact.relation == relation), ())
