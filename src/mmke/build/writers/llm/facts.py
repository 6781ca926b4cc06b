"""What a model is told of one record: the drawn facts and the fixed answers, line by line."""

from collections.abc import Iterable, Iterator, Sequence

from mmke.build.content import Draft, Edit, Plan
from mmke.build.rules.judged import names_of
from mmke.build.wording import says
from mmke.build.writers.llm.plain import Plain


def to_describe(draft: Draft, plain: Plain, bounds: tuple[int, int]) -> str:
    """Return the message that asks for a description; `bounds` are its least and most words."""
    return _told([f"Record: {draft.id}", *_things(draft, plain), *_changes(draft, plain), *_limits(draft, bounds)])


def to_ask(edit: Edit, plans: Sequence[Plan], plain: Plain) -> str:
    """Return the message that asks for questions, one for each plan."""
    draft = edit.draft
    head = [f"Record: {draft.id}", *_things(draft, plain), f"Edited description: {edit.texts.target}"]
    return _told([*head, "Questions:", *(line for plan in plans for line in _plan(draft, plan, plain))])


def asked_further(draft: Draft) -> list[str]:
    """Return what can be asked one hop further, and so is not to be told: facts of the new values."""
    values = dict.fromkeys(fact.value for change in draft.changes for fact in change.further)
    return [value for value in values if not any(says(each, value) for each in _needed(draft))]


def _told(lines: Iterable[str]) -> str:
    # A value with a line break in it must not look like a line of its own.
    return "\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines)


def _things(draft: Draft, plain: Plain) -> Iterator[str]:
    subject, pictured = draft.subject, draft.pictured
    type_ = plain.words.type(subject.type)
    if draft.user is not None:
        yield f"User: {draft.user}"
        yield f"What the subject is to the user: {draft.tie or 'something of theirs'}"
    yield f"Subject: {subject.name} ({type_.noun})"
    yield f"Pointed at in a picture as: {type_.shown}"
    if draft.kind != "user":
        yield f"Shown in the picture: {', also called '.join(names_of(pictured))}"
    if pictured.looks:
        yield f"Looks of what is shown: {pictured.looks}"
    for fact in pictured.facts if draft.kind != "user" else ():
        yield f"True of what is shown: {plain.fact(pictured, fact.relation, fact.value)}"


def _changes(draft: Draft, plain: Plain) -> Iterator[str]:
    for change in draft.changes:
        yield f"New fact of the subject: {plain.change(draft, change)}"
    for change in draft.changes:
        yield f"The target must say: {change.after}"


def _limits(draft: Draft, bounds: tuple[int, int]) -> Iterator[str]:
    for phrase in _unwanted(draft):
        yield f"The target must not say: {phrase}"
    yield f"Words of each description: at least {bounds[0]}, at most {bounds[1]}"


def _needed(draft: Draft) -> list[str]:
    """Return what the edited description must say."""
    return [*names_of(draft.subject), *(change.after for change in draft.changes)]


def _unwanted(draft: Draft) -> Iterator[str]:
    """Yield what the edited description must not say, unless it must: "Mount Kenya" says "Kenya"."""
    replaced = [change.before for change in draft.changes if change.before is not None]
    shown = names_of(draft.pictured) if draft.kind != "user" else ()
    for phrase in dict.fromkeys([*replaced, *shown, *asked_further(draft)]):
        if not any(says(each, phrase) for each in _needed(draft)):
            yield phrase


def _plan(draft: Draft, plan: Plan, plain: Plain) -> Iterator[str]:
    yield f"- key: {plan.key}"
    yield f"  about: {_about(draft, plan)}"
    yield f"  asks in plain words: {plain.question(draft, plan)}"
    yield f"  answer: {plan.answer}"


def _about(draft: Draft, plan: Plan) -> str:
    if plan.picture is None:
        named = "the subject" if draft.user is None else "the user and the subject"
        return f"the text alone; name {named}, speak of no picture"
    unnamed = "name neither thing" if draft.user is None else "point at the subject by its kind"
    if plan.picture == "one_hop":
        side = f", the subject on the {plan.side}, {plan.beside} next to it" if plan.side else ""
        return f"a picture of two things side by side{side}; {unnamed}"
    return f"the picture; {unnamed}"
