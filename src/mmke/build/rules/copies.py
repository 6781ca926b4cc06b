"""Rules about repetition: within a record, and between records."""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import combinations

from mmke.build.protocols import Rule, Scope
from mmke.build.record import Record
from mmke.build.rules.judged import LOCALITY, Judged, Once
from mmke.build.wording import alike, words

NEAR = 0.8
"""Two texts of which so large a share agrees are copies."""


def make_near() -> Rule:
    """Prompt, rephrase and questions of a record are no near-copies of each other."""
    reason = "A paraphrase or question in nearly the edit's own words measures whether those words were learned."
    return Judged("near-copies", reason, _near)


def make_between() -> Rule:
    """No two records share their subject, their edited picture, their description or a question."""
    reason = "What stands in two records counts twice, and two edits of one thing overwrite each other."
    return Judged("duplicate-records", reason, partial(_repeated, Once(_holders)))


def _near(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    texts = record.edit.texts
    if (share := alike(texts.prompt, texts.rephrase)) >= NEAR:
        yield "rephrase", f"{share:.0%} of it is the prompt"
    asked = [question for question in record.asked.questions if question.plan.key not in LOCALITY]
    for question in asked:
        for name, text in (("prompt", texts.prompt), ("rephrase", texts.rephrase)):
            if (share := alike(text, question.text)) >= NEAR:
                yield f"{question.plan.key}.question", f"{share:.0%} of it is the {name}"
    for one, other in combinations(asked, 2):
        if words(one.text) == words(other.text):
            yield f"{other.plan.key}.question", f"it is the question of {one.plan.key}"


def _repeated(
    holders: Once[Mapping[tuple[str, str], list[Record]]], record: Record, scope: Scope
) -> Iterator[tuple[str, str]]:
    held_by = holders.of(scope)
    same_id = held_by["id", record.id]
    if len(same_id) > 1:
        yield "id", f"{len(same_id)} records have it"
        return
    for (place, what), content in _held(record).items():
        others = [other.id for other in held_by[place, content] if other is not record]
        if others:
            yield place, f"{what} of {', '.join(others[:3])} too"


def _holders(scope: Scope) -> dict[tuple[str, str], list[Record]]:
    found: dict[tuple[str, str], list[Record]] = {}
    for record in scope.records:
        for key in {("id", record.id), *((place, content) for (place, _), content in _held(record).items())}:
            found.setdefault(key, []).append(record)
    return found


def _held(record: Record) -> Mapping[tuple[str, str], str]:
    """Return what only one record may hold: place and what it is, and the content."""
    draft = record.edit.draft
    subject = f"{draft.subject.id} {draft.user or ''}"
    held = {
        ("subject", f"{draft.subject.name!r} is the subject"): subject,
        ("target", "it is the description"): " ".join(words(record.edit.texts.target)),
        ("pictures.edit", f"{draft.edit_picture} is the edited picture"): record.pictures["edit"].sha256,
    }
    for question in record.asked.questions:
        if question.plan.picture is None and question.plan.key not in LOCALITY:
            held[f"{question.plan.key}.question", "it is a question"] = " ".join(words(question.text))
    return held
