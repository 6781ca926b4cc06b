"""What a model is told of one record: the drawn facts and the fixed answers, line by line."""

from collections.abc import Iterator, Sequence

from mmke.build.content import Change, Draft, Edit, Plan, Thing
from mmke.build.wording import says
from mmke.build.words import Words


def names_of(thing: Thing) -> tuple[str, ...]:
    """Return every name of a thing."""
    return (thing.name, *thing.aliases)


def to_describe(draft: Draft, words: Words, bounds: tuple[int, int]) -> str:
    """Return the message that asks for a description; `bounds` are its least and most words."""
    return _told([f"Record: {draft.id}", *_things(draft, words), *_changes(draft, words), *_limits(draft, bounds)])


def to_ask(edit: Edit, plans: Sequence[Plan], words: Words) -> str:
    """Return the message that asks for questions, one for each plan."""
    draft = edit.draft
    head = [f"Record: {draft.id}", *_things(draft, words), f"Edited description: {edit.texts.target}"]
    return _told([*head, "Questions:", *(line for plan in plans for line in _plan(draft, plan, words))])


def _told(lines: Sequence[str]) -> str:
    # A value with a line break in it must not look like a line of its own.
    return "\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines)


def _things(draft: Draft, words: Words) -> Iterator[str]:
    subject, pictured = draft.subject, draft.pictured
    noun = words.type(subject.type).noun
    if draft.user is not None:
        yield f"User: {draft.user}"
    yield f"Subject: {subject.name} ({noun})"
    yield f"Pointed at in a picture as: {words.type(subject.type).shown}"
    if draft.kind != "user":
        yield f"Shown in the picture: {', also called '.join(names_of(pictured))}"
    if pictured.looks:
        yield f"Looks of what is shown: {pictured.looks}"
    for fact in pictured.facts if draft.kind != "user" else ():
        yield f"True of what is shown: {_stated(pictured, fact.relation, fact.value, words)}"


def _changes(draft: Draft, words: Words) -> Iterator[str]:
    for change in draft.changes:
        yield f"New fact of the subject: {_stated(draft.subject, change.relation, change.after, words)}"
    for change in draft.changes:
        yield f"The target must say: {change.after}"


def _limits(draft: Draft, bounds: tuple[int, int]) -> Iterator[str]:
    for phrase in _unwanted(draft):
        yield f"The target must not say: {phrase}"
    yield f"Words of each description: at least {bounds[0]}, at most {bounds[1]}"


def _unwanted(draft: Draft) -> Iterator[str]:
    """Yield what the edited description must not say, apart from what it must: the subject's name can hold another."""
    needed = [*names_of(draft.subject), *(change.after for change in draft.changes)]
    replaced = [change.before for change in draft.changes if change.before is not None]
    shown = names_of(draft.pictured) if draft.kind != "user" else ()
    for phrase in dict.fromkeys([*replaced, *shown, *asked_further(draft)]):
        if not any(says(each, phrase) for each in needed):
            yield phrase


def asked_further(draft: Draft) -> list[str]:
    """Return what can be asked one hop further, and so is not to be told: facts of the new values."""
    needed = [*names_of(draft.subject), *(change.after for change in draft.changes)]
    values = dict.fromkeys(fact.value for change in draft.changes for fact in change.further)
    return [value for value in values if not any(says(each, value) for each in needed)]


def _stated(thing: Thing, relation: str, value: str, words: Words) -> str:
    named = words.type(thing.type).named.format(name=thing.name)
    return words.relation(relation).statement.format(x=named, value=value)


def _plan(draft: Draft, plan: Plan, words: Words) -> Iterator[str]:
    yield f"- key: {plan.key}"
    yield f"  about: {_about(plan)}"
    yield f"  asks in plain words: {plain_question(draft, plan, words)}"
    yield f"  answer: {plan.answer}"


def _about(plan: Plan) -> str:
    if plan.picture is None:
        return "the text alone; name the subject, speak of no picture"
    if plan.picture == "one_hop":
        beside = f", next to {plan.beside}" if plan.beside else ""
        side = f"; the subject is on the {plan.side}{beside}" if plan.side else ""
        return f"a picture of two things side by side{side}; point at it, name no thing"
    return "the picture; point at it, do not name the subject"


def plain_question(draft: Draft, plan: Plan, words: Words) -> str:
    """Return the question of a plan as the grammar of relations and types has it."""
    kind = words.type(draft.subject.type)
    if plan.picture is None:
        thing = kind.named.format(name=draft.subject.name)
    else:
        thing = kind.on_side.format(side=plan.side) if plan.side else kind.shown
    if plan.relation is None:
        return _of_the_two(draft, plan, words) if plan.picture == "one_hop" else kind.identity
    if plan.via is not None:
        thing = words.relation(plan.via).phrase.format(x=thing)
    return words.relation(plan.relation).questions[0].format(x=thing)


def _of_the_two(draft: Draft, plan: Plan, words: Words) -> str:
    """Return what is asked of a picture side by side: one is found by a new fact, and the answer is about the other."""
    noun = words.type(draft.subject.type).noun
    change = next((each for each in draft.changes if each.relation == plan.via), draft.changes[0])
    known_by = f"the {noun} whose {change.relation.replace('_', ' ')} is {change.after}"
    return f"On which side is {known_by}?" if plan.answer in ("left", "right") else f"What is shown next to {known_by}?"


def new_value(changes: Sequence[Change], relation: str | None) -> str | None:
    """Return the new value of a relation; None where it is not altered."""
    return next((change.after for change in changes if change.relation == relation), None)
