"""What a user tells of a thing in words: the description in the second person, and questions about user and thing."""

from collections.abc import Mapping, Sequence
from random import Random

from mmke.build.content import Draft, Plan
from mmke.build.user_words import Tie
from mmke.build.wording import capital
from mmke.build.words import Words
from mmke.build.writers.templates.sentences import OTHER, named, run_together


def told(grammar: Words, tie: Tie, draft: Draft, rng: Random) -> str:
    """Return a description, said to the user."""
    places = _places(grammar, draft)
    facts = [tie.facts[change.relation].statement.format(value=change.after, **places) for change in draft.changes]
    values = [change.after for change in draft.changes]
    return " ".join(
        [capital(rng.choice(tie.intros).format(**places)), *run_together(facts, values, rng, noun=places["noun"])]
    )


def worded(
    grammar: Words, tie: Tie, draft: Draft, plans: Sequence[Plan], *, beside: Sequence[str], rng: Random
) -> list[str]:
    """Return a question for each plan; a fact that is asked again is asked in other words."""
    places, first = _places(grammar, draft), rng.randrange(2)
    return [
        capital(_question(tie, draft, plan, places=places, beside=beside, n=first + n)) for n, plan in enumerate(plans)
    ]


def _question(tie: Tie, draft: Draft, plan: Plan, *, places: Mapping[str, str], beside: Sequence[str], n: int) -> str:
    if plan.side is not None:
        change = next(change for change in draft.changes if change.relation == plan.via)
        phrase = tie.facts[change.relation].which.format(value=change.after, **places)
        return beside[n % len(beside)].format(side=OTHER[plan.side], phrase=phrase)
    if plan.relation is None:
        return tie.identity[n % len(tie.identity)].format(**places)
    fact = tie.facts[plan.relation]
    wordings = fact.text if plan.picture is None else fact.image
    return wordings[n % len(wordings)].format(**places)


def _places(grammar: Words, draft: Draft) -> dict[str, str]:
    """Return what is filled in for the places of `user.toml`, without the value."""
    type_, name = grammar.type(draft.subject.type), draft.subject.name
    return {
        "user": str(draft.user),
        "name": name,
        "named": named(type_, name),
        "noun": type_.noun,
        "shown": type_.shown,
    }
