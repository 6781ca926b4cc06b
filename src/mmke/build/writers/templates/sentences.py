"""Sentences about a thing, made of the grammar of its type and its relations."""

import re
from collections.abc import Sequence
from itertools import takewhile
from random import Random

from mmke.build.wording import capital, with_article
from mmke.build.words import Relation, TypeWords

X = "{x}"
FAR = 2
"""The greatest `distance`."""
OTHER = {"left": "right", "right": "left"}
"""The other side."""

_OF = re.compile(r"^The ([^{}]+?) of \{x\}(?= )")


def named(type_: TypeWords, name: str) -> str:
    """Return a thing by its name, as a sentence speaks of it: "the kingfisher", "Kenya"."""
    return type_.named.format(name=name)


def introduced(type_: TypeWords, name: str) -> str:
    """Return a thing as it is mentioned for the first time: "a kingfisher", "Kenya", "the Eiffel Tower"."""
    whole = named(type_, name)
    plural = whole.endswith("s") and not whole.endswith(("ss", "us", "is"))
    of_its_own = whole == f"the {name}" and name[:1].isupper()
    if not whole.startswith("the ") or plural or of_its_own:
        return whole
    return with_article(whole.removeprefix("the "))


def intro(type_: TypeWords, name: str, rng: Random) -> str:
    """Return a first sentence that names what a picture shows."""
    forms = [*type_.intros, "{shown} is {x}."]
    if not type_.intros:
        forms += ["The image shows {x}.", "This is {x}.", "What you see here is {x}."]
    chosen = rng.choice(forms)
    return capital(chosen.format(name=name, shown=type_.shown, x=introduced(type_, name)))


def stated(relation: Relation, value: str, x: str) -> str:
    """Return a fact of `x` as a sentence."""
    return capital(relation.statement.format(x=x, value=value))


def stated_again(type_: TypeWords, relation: Relation, value: str) -> str:
    """Return a fact of a thing that was named before, as a sentence without its name.

    Where the type has a pronoun, "it" and "its" stand for the thing; else its noun.
    """
    if type_.pronoun == "it":
        found = _OF.match(relation.statement)
        if found:
            return capital(f"its {found[1]}{relation.statement[found.end() :]}".format(x="it", value=value))
        if relation.statement.startswith(X):
            return capital(relation.statement.format(x="it", value=value))
    return stated(relation, value, f"the {type_.noun}")


def distance(relation: Relation) -> int:
    """Return how far a fact's sentence leads away from the thing.

    0: it is about the thing, so that "it" can follow. 1: about something of it ("The capital of {x} is …"), so that
    "its" can follow. 2: about something else; "it" could be that.
    """
    if relation.statement.startswith(X):
        return 0
    return 1 if _OF.match(relation.statement) else FAR


def joined(first: str, second: str, value: str, *, noun: str) -> str:
    """Return two sentences as one; a subject that both begin with is not said twice, and a value keeps its capital."""
    for subject in ("It ", "You ", f"The {noun} "):
        if first.startswith(subject) and second.startswith(subject):
            one, other = (sentence.removeprefix(subject).split() for sentence in (first, second))
            # The verb is said again, but for "is": "It is used by pupils and at school.", "You got it and got over it."
            same = len(_same_beginning(one, other)) if other[0] == "is" else 0
            return f"{first.removesuffix('.')} and {' '.join(other[same:])}"
    rest = second if second.startswith(value) else second[:1].lower() + second[1:]
    return f"{first.removesuffix('.')}, and {rest}"


def _same_beginning(first: Sequence[str], second: Sequence[str]) -> list[str]:
    return [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))]


def run_together(sentences: Sequence[str], values: Sequence[str], rng: Random, *, noun: str) -> list[str]:
    """Return sentences of which two share one, so that they do not read like a list.

    Args:
        sentences: about a thing.
        values: what each of them tells.
        rng: chooses the two.
        noun: of the thing's type.
    """
    found = list(sentences)
    if len(found) > 2:
        n = rng.randrange(len(found) - 1)
        found[n : n + 2] = [joined(found[n], found[n + 1], values[n + 1], noun=noun)]
    elif len(found) == 2 and rng.getrandbits(1):
        found = [joined(found[0], found[1], values[1], noun=noun)]
    return found


def pointed(type_: TypeWords, name: str, relation: Relation, value: str) -> str:
    """Return a phrase that finds a thing by one of its facts: "the bird that lives in Norway".

    Args:
        type_: of the thing.
        name: of the relation.
        relation: its grammar; a statement that begins with the thing, or with something of it, reads best.
        value: of the fact.
    """
    sentence = relation.statement.removesuffix(".").replace("{value}", value)
    found = _OF.match(sentence)
    if found:
        return f"the {type_.noun} whose {found[1]}{sentence[found.end() :]}"
    if sentence.startswith(f"{X} "):
        return f"the {type_.noun} that{sentence[len(X) :]}"
    return f"the {type_.noun} with {value} as its {name.replace('_', ' ')}"
