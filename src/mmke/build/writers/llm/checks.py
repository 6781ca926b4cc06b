"""What the texts of a model must satisfy, in sentences that are told to the model and, in the end, to the user."""

from collections.abc import Iterator, Sequence

from mmke.build.content import Draft, Edit, EditTexts, Plan
from mmke.build.wording import alike, says, words
from mmke.build.writers.llm.answers import AllAsked
from mmke.build.writers.llm.facts import names_of, new_value, unwanted

PICTURE = ("image", "picture", "photo", "photograph")
SIDES = ("left", "right")
NEARLY_THE_SAME = 0.9
"""Two texts that agree more than this are copies."""


def problems_of_texts(texts: EditTexts, draft: Draft, bounds: tuple[int, int]) -> list[str]:
    """Return what is wrong with a draft's texts, in the order of what matters."""
    return [*_target(texts.target, draft, bounds), *_original(texts, draft, bounds), *_prompts(texts, draft)]


def _target(target: str, draft: Draft, bounds: tuple[int, int]) -> Iterator[str]:
    if not _names(target, names_of(draft.subject)):
        yield f"target must name {draft.subject.name!r}"
    for change in draft.changes:
        if not says(target, change.after):
            yield f"target must say {change.after!r} word for word, the new {change.relation}"
    for phrase in unwanted(draft):
        if says(_without(target, draft), phrase):
            yield f"target must not say {phrase!r}"
    yield from _length("target", target, bounds)


def _original(texts: EditTexts, draft: Draft, bounds: tuple[int, int]) -> Iterator[str]:
    if draft.kind == "user":
        return
    if not _names(texts.original, names_of(draft.pictured)):
        yield f"original must name {draft.pictured.name!r}, which the picture shows"
    yield from _length("original", texts.original, bounds)


def _prompts(texts: EditTexts, draft: Draft) -> Iterator[str]:
    for name, text in (("prompt", texts.prompt), ("rephrase", texts.rephrase)):
        for thing in (draft.subject, draft.pictured) if draft.kind != "user" else ():
            if _names(text, names_of(thing)):
                yield f"{name} must not name {thing.name!r}"
        for change in draft.changes:
            if says(text, change.after):
                yield f"{name} must not say {change.after!r}"
    if draft.user is not None and not says(texts.prompt, draft.user):
        yield f"prompt must say the user's name, {draft.user!r}"
    if alike(texts.prompt, texts.rephrase) > NEARLY_THE_SAME:
        yield "rephrase must ask the same in other words than prompt"


def _length(name: str, text: str, bounds: tuple[int, int]) -> Iterator[str]:
    count = len(text.split())
    if not bounds[0] <= count <= bounds[1]:
        yield f"{name} has {count} words; at least {bounds[0]} and at most {bounds[1]} are wanted"


def _without(text: str, draft: Draft) -> str:
    """Return the words of a text without those phrases that it must say: "Kenya" in "Mount Kenya" names no country."""
    found = f" {' '.join(words(text))} "
    for phrase in sorted((*names_of(draft.subject), *(each.after for each in draft.changes)), key=len, reverse=True):
        found = found.replace(f" {' '.join(words(phrase))} ", " _ ")
    return found


def problems_of_questions(asked: AllAsked, edit: Edit, plans: Sequence[Plan]) -> list[str]:
    """Return what is wrong with the questions of a record."""
    wanted, given = [plan.key for plan in plans], [one.key for one in asked.questions]
    if sorted(wanted) != sorted(given):
        return [f"one question for each of {', '.join(wanted)} is wanted, not for {', '.join(given)}"]
    texts = {one.key: one.question for one in asked.questions}
    found = [f"{plan.key} {problem}" for plan in plans for problem in _question(texts[plan.key], edit, plan)]
    return [*found, *_copies({"prompt": edit.texts.prompt, "rephrase": edit.texts.rephrase, **texts}, wanted)]


def _question(text: str, edit: Edit, plan: Plan) -> Iterator[str]:
    if not text.endswith("?"):
        yield f"must end with a question mark: {text!r}"
    if says(text, plan.answer):
        yield f"must not say its answer, {plan.answer!r}"
    if plan.before is not None and says(text, plan.before):
        yield f"must not say the old answer, {plan.before!r}"
    between = new_value(edit.draft.changes, plan.via)
    if between is not None and says(text, between):
        yield f"must not say {between!r}, which is to be found out"
    yield from _pointing(text, edit.draft, plan) if plan.picture is not None else _naming(text, edit.draft)


def _pointing(text: str, draft: Draft, plan: Plan) -> Iterator[str]:
    for thing in (draft.subject, draft.pictured) if draft.subject != draft.pictured else (draft.subject,):
        if _names(text, names_of(thing)):
            yield f"is about a picture and must not name {thing.name!r}"
    pointers = (*PICTURE, *SIDES) if plan.picture == "one_hop" else PICTURE
    if not _names(text, pointers):
        yield f"is about a picture and must point at it, with one of the words {', '.join(pointers)}"


def _naming(text: str, draft: Draft) -> Iterator[str]:
    names = names_of(draft.subject)
    if not _names(text, names):
        yield f"is about no picture and must name {draft.subject.name!r}"
    for word in PICTURE:
        if says(text, word) and not any(says(name, word) for name in names):
            yield f"is about no picture and must not speak of one ({word!r})"


def _copies(texts: dict[str, str], wanted: Sequence[str]) -> Iterator[str]:
    names = list(texts)
    for number, name in enumerate(names):
        for other in names[:number]:
            if name in wanted and alike(texts[name], texts[other]) > NEARLY_THE_SAME:
                yield f"{name} is nearly the same text as {other}; ask in other words"


def _names(text: str, phrases: Sequence[str]) -> bool:
    return any(says(text, phrase) for phrase in phrases)
