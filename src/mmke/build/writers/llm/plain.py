"""Facts and questions in the plain words of the grammar, by which a model is told what is meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmke.build.content import Change, Draft, Plan, Thing
from mmke.build.user_words import Tie, ToldFact
from mmke.build.words import Words
from mmke.build.writers.templates.sentences import OTHER, named, pointed, stated


@dataclass(frozen=True, slots=True)
class Plain:
    """The grammar of a project: of relations and types, and of what things are to a user, by the tie's name."""

    words: Words
    ties: Mapping[str, Tie]

    def fact(self, thing: Thing, relation: str, value: str) -> str:
        """Return a fact of a thing as a sentence."""
        return stated(self.words.relation(relation), value, named(self.words.type(thing.type), thing.name))

    def change(self, draft: Draft, change: Change) -> str:
        """Return a new fact of a draft's subject as a sentence; what a user tells is said to the user."""
        told = self._told(draft, change.relation)
        if told is None:
            return self.fact(draft.subject, change.relation, change.after)
        return told.statement.format(value=change.after, **self._places(draft))

    def question(self, draft: Draft, plan: Plan) -> str:
        """Return what a plan asks."""
        type_ = self.words.type(draft.subject.type)
        if plan.side is not None:
            return f"What is to the {OTHER[plan.side]} of {self._found_by(draft, plan.via)}?"
        told = self._told(draft, plan.relation)
        if told is not None:
            return (told.text if plan.picture is None else told.image)[0].format(**self._places(draft))
        if plan.relation is None:
            return type_.identity if draft.user is None else self._owner(draft)
        thing = named(type_, draft.subject.name) if plan.picture is None else type_.shown
        if plan.via is not None:
            thing = self.words.relation(plan.via).phrase.format(x=thing)
        return self.words.relation(plan.relation).questions[0].format(x=thing)

    def _found_by(self, draft: Draft, relation: str | None) -> str:
        """Return a phrase that finds the subject between two things by a new fact."""
        type_, value = self.words.type(draft.subject.type), new_value(draft.changes, relation)
        if relation is None or value is None:
            return type_.shown
        told = self._told(draft, relation)
        if told is not None:
            return told.which.format(value=value, **self._places(draft))
        return pointed(type_, relation, self.words.relation(relation), value)

    def _owner(self, draft: Draft) -> str:
        tie, places = self.ties.get(draft.tie or ""), self._places(draft)
        return (tie.identity[0] if tie is not None else "Whose is {shown}?").format(**places)

    def _told(self, draft: Draft, relation: str | None) -> ToldFact | None:
        tie = self.ties.get(draft.tie or "")
        return None if tie is None or relation is None else tie.facts.get(relation)

    def _places(self, draft: Draft) -> dict[str, str]:
        type_, name = self.words.type(draft.subject.type), draft.subject.name
        return {
            "user": draft.user or "",
            "name": name,
            "named": named(type_, name),
            "noun": type_.noun,
            "shown": type_.shown,
        }


def new_value(changes: Sequence[Change], relation: str | None) -> str | None:
    """Return the new value of a relation; None where it is not altered."""
    return next((change.after for change in changes if change.relation == relation), None)
