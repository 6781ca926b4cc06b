"""Questions in words: a relation's wordings, about the thing by its name or in its picture."""

from collections.abc import Sequence
from random import Random

from mmke.build.content import Draft, Plan
from mmke.build.wording import capital
from mmke.build.words import TypeWords, Words
from mmke.build.writers.templates.sentences import OTHER, named, pointed


def worded(grammar: Words, draft: Draft, plans: Sequence[Plan], *, beside: Sequence[str], rng: Random) -> list[str]:
    """Return a question for each plan; a fact that is asked again is asked in other words."""
    asked: dict[str | None, int] = {}
    type_ = grammar.type(draft.subject.type)
    found = []
    for plan in plans:
        times = asked[plan.relation] = asked.get(plan.relation, rng.randrange(2)) + 1
        found.append(capital(_question(grammar, type_, draft, plan, times, beside)))
    return found


def _question(grammar: Words, type_: TypeWords, draft: Draft, plan: Plan, times: int, beside: Sequence[str]) -> str:
    x = named(type_, draft.subject.name) if plan.picture is None else type_.shown
    if plan.side is not None:
        change = next(change for change in draft.changes if change.relation == plan.via)
        phrase = pointed(type_, change.relation, grammar.relation(change.relation), change.after)
        return beside[times % len(beside)].format(side=OTHER[plan.side], phrase=phrase)
    if plan.relation is None:
        return type_.identity
    if plan.via is not None:
        x = grammar.relation(plan.via).phrase.format(x=x)
    questions = grammar.relation(plan.relation).questions
    return questions[times % len(questions)].format(x=x)
