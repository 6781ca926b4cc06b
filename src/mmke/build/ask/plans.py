"""What each question of a record asks, before it is put into words."""

from collections.abc import Sequence

from mmke.build.content import Change, Draft, Edit, PictureRole, Plan, QuestionKey, Side
from mmke.build.draws import rng
from mmke.build.wording import says
from mmke.build.write.portability import answer_before, hops
from mmke.counting import counted
from mmke.errors import CannotWriteError


def entity_plans(edit: Edit, seed: int) -> list[Plan]:
    """Return two questions in text, two on the picture and one a hop further.

    Raises:
        CannotWriteError: no new value leads to a fact that the description does not say.
    """
    draft = edit.draft
    name = Plan(key="i_rel_1", answer=draft.subject.name, before=draft.pictured.name, picture="edit")
    return [*_text_plans(draft), name, _on_picture(draft), _further(edit, seed)]


def user_plans(edit: Edit, seed: int, *, side: Side, beside: str) -> list[Plan]:
    """Return two questions in text, two on the picture and one on the picture side by side.

    Args:
        edit: of the record.
        seed: of what is drawn.
        side: where the edited thing stands.
        beside: what stands next to it, as an answer.

    Raises:
        CannotWriteError: the description says what stands next to it.
    """
    draft = edit.draft
    owner = Plan(key="i_rel_1", answer=str(draft.user), picture="edit")
    return [*_text_plans(draft), owner, _on_picture(draft), _beside(edit, seed, side, beside)]


def semantic_plans(edit: Edit, seed: int, *, side: Side, beside: str) -> list[Plan]:
    """Return a question in text, one on each picture and one on the picture side by side; arguments as `user_plans`.

    The meaning is asked in text or on the pictures; the other place asks for another altered fact, where there is one.

    Raises:
        CannotWriteError: the description says what stands next to it.
    """
    draft = edit.draft
    meaning, other = draft.changes[0], draft.changes[1 % len(draft.changes)]
    in_text, on_picture = (meaning, other) if rng(seed, draft.id, "asked").getrandbits(1) else (other, meaning)
    return [
        _asked("t_rel", in_text),
        _asked_on_picture("i_rel", draft, on_picture, "edit"),
        _asked_on_picture("i_gen", draft, on_picture, "rephrase"),
        _beside(edit, seed, side, beside),
    ]


def _text_plans(draft: Draft) -> list[Plan]:
    if len(draft.changes) < 2:
        raise CannotWriteError(f"{counted(len(draft.changes), 'altered fact')}, and two are asked for")
    return [_asked("t_rel_1", draft.changes[0]), _asked("t_rel_2", draft.changes[1])]


def _on_picture(draft: Draft) -> Plan:
    """Return the question on the picture: about a fact that is not asked in text, where there is one."""
    change = draft.changes[2 if len(draft.changes) > 2 else 0]
    return _asked_on_picture("i_rel_2", draft, change, "edit")


def _asked(key: QuestionKey, change: Change) -> Plan:
    return Plan(key=key, answer=change.after, before=change.before, relation=change.relation)


def _asked_on_picture(key: QuestionKey, draft: Draft, change: Change, picture: PictureRole) -> Plan:
    # Before the edit, a model answers by what it sees: the pictured thing, which is not the subject.
    before = None if draft.kind == "user" else draft.pictured.value(change.relation)
    return Plan(key=key, answer=change.after, before=before, relation=change.relation, picture=picture)


def _further(edit: Edit, seed: int) -> Plan:
    draft = edit.draft
    possible = [
        (change, fact)
        for change in draft.changes
        for fact in hops(change, draft.subject, draft.pictured, [edit.texts.target])
    ]
    if not possible:
        raise CannotWriteError("the description says every answer that a question one hop further could have")
    change, fact = rng(seed, draft.id, "further").choice(possible)
    return Plan(
        key="port",
        answer=fact.value,
        before=answer_before(draft.pictured, via=change.relation, relation=fact.relation),
        relation=fact.relation,
        via=change.relation,
        picture="edit",
    )


def _beside(edit: Edit, seed: int, side: Side, beside: str) -> Plan:
    if says(edit.texts.target, beside):
        raise CannotWriteError(f"the description says {beside!r}, which stands next to it")
    change = _finds(edit.draft, seed)
    return Plan(key="port", answer=beside, via=change.relation, picture="one_hop", side=side, beside=beside)


def _finds(draft: Draft, seed: int) -> Change:
    """Return the altered fact by which the thing is found between two."""
    changes: Sequence[Change] = draft.changes[:1] if draft.kind == "semantic" else draft.changes
    return rng(seed, draft.id, "found by").choice(changes)
