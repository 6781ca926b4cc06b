"""Rules about gold answers: short, new, found where they must be and absent where they must not be."""

from collections.abc import Iterator, Mapping
from functools import partial

from mmke.build.content import Draft, Plan
from mmke.build.protocols import Rule, Scope
from mmke.build.record import Record
from mmke.build.rules.judged import Judged, Once, names_of, relation_questions
from mmke.build.wording import says, words

Bearers = Mapping[str, set[tuple[str, str]]]

LONGEST = 5
"""Words of an answer."""


def make_short() -> Rule:
    """Gold answers have at most five words."""
    reason = f"An answer of more than {LONGEST} words can be right in too many other wordings to be compared."
    return Judged("short-answer", reason, _long)


def make_stated() -> Rule:
    """The edited description says the gold answer of each relation question."""
    reason = "Reliability asks what the edit told the model, so that the description must say it word for word."
    return Judged("answer-in-description", reason, _unstated)


def make_unstated_port() -> Rule:
    """The edited description does not say the gold answer of the portability question."""
    reason = "Portability asks for what follows from the edit; an answer that the description states is only recalled."
    return Judged("portability-not-in-description", reason, _stated_port)


def make_new() -> Rule:
    """The gold answer is not the answer from before the edit."""
    reason = "A question whose answer the edit leaves as it was is answered right by a model that learned nothing."
    return Judged("new-answer", reason, _unchanged)


def make_hidden() -> Rule:
    """A question does not contain its answer."""
    return Judged("answer-not-in-question", "A question that says its own answer measures reading.", _given_away)


def make_one() -> Rule:
    """Each question has one answer by the facts."""
    reason = "A model must not be called wrong for an answer that the facts allow as well."
    return Judged("one-answer", reason, partial(_ambiguous, Once(_bearers)))


def _long(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    for question in record.asked.questions:
        count = len(question.plan.answer.split())
        if count > LONGEST:
            yield f"{question.plan.key}.answer", f"{question.plan.answer!r} has {count} words, more than {LONGEST}"


def _unstated(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    for question in relation_questions(record):
        if not says(record.edit.texts.target, question.plan.answer):
            yield f"{question.plan.key}.answer", f"the description does not say {question.plan.answer!r}"


def _stated_port(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    for question in record.asked.questions:
        if question.plan.key == "port" and says(record.edit.texts.target, question.plan.answer):
            yield "port.answer", f"the description says {question.plan.answer!r}"


def _unchanged(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    for question in record.asked.questions:
        plan = question.plan
        if plan.before is not None and words(plan.answer) == words(plan.before):
            yield f"{plan.key}.answer", f"{plan.answer!r} was the answer before the edit too"


def _given_away(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    for question in record.asked.questions:
        if says(question.text, question.plan.answer):
            yield f"{question.plan.key}.question", f"it says its answer, {question.plan.answer!r}"


def _ambiguous(bearers: Once[Bearers], record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    subject = record.edit.draft.subject
    namesakes = bearers.of(scope)[subject.name.casefold()] - {(subject.type, subject.id)}
    alike = sorted(id_ for type_, id_ in namesakes if type_ == subject.type)
    others = sorted(id_ for type_, id_ in namesakes if type_ != subject.type)
    for question in relation_questions(record):
        if question.plan.picture is not None:
            continue
        # A name in a text is one of several things where its type is not said, or is theirs too.
        told = says(question.text, scope.words.type(subject.type).noun)
        for id_ in (alike or ([] if told else others))[:1]:
            yield f"{question.plan.key}.question", f"{subject.name!r} is also the name of {id_}"
    for question in record.asked.questions:
        plan, place = question.plan, f"{question.plan.key}.answer"
        possible = _possible(record.edit.draft, plan)
        if possible and not any(words(plan.answer) == words(each) for each in possible):
            yield place, f"{plan.answer!r}, but by the facts {plan.relation} is {' or '.join(map(repr, possible))}"
        elif len({tuple(words(each)) for each in possible}) > 1:
            yield place, f"by the facts {plan.relation} can be {' or '.join(map(repr, possible))}"


def _bearers(scope: Scope) -> Bearers:
    """Return type and id of the things that have a name, aliases included, by the name in small letters."""
    found: dict[str, set[tuple[str, str]]] = {}
    for record in scope.records:
        for thing in (record.edit.draft.subject, record.edit.draft.pictured):
            for name in names_of(thing):
                found.setdefault(name.casefold(), set()).add((thing.type, thing.id))
    return found


def _possible(draft: Draft, plan: Plan) -> list[str]:
    """Return what the facts after the edit give for what a plan asks; nothing where they do not speak of it."""
    if plan.relation is None:
        return []
    if plan.via is not None:
        further = [fact for change in draft.changes if change.relation == plan.via for fact in change.further]
        return [fact.value for fact in further if fact.relation == plan.relation]
    changed = [change.after for change in draft.changes if change.relation == plan.relation]
    return changed or [fact.value for fact in draft.subject.facts if fact.relation == plan.relation]
