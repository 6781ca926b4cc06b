"""What each record is asked, before it is put into words: its plans, its unrelated question and pictures.

A record whose edit and settings are as they were keeps all of it; the others get what no record has, as long as there
is enough.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mmke.build.ask.bands import bands_of
from mmke.build.ask.least_used import Choice, LeastUsed
from mmke.build.ask.plans import entity_plans, semantic_plans, user_plans
from mmke.build.ask.unrelated import Other, Pools, fact_fits, names_by_type, other_fits, without_end
from mmke.build.content import Edit, Plan, Questions, Side
from mmke.build.draws import rng
from mmke.build.pools import UnrelatedFact
from mmke.build.project import Project
from mmke.errors import CannotWriteError

SIDES: tuple[Side, Side] = ("left", "right")


@dataclass(frozen=True, slots=True)
class Assigned:
    """One record's part.

    Attributes:
        edit: of the record.
        plans: its questions, without the unrelated ones.
        fact: the unrelated fact.
        other: the unrelated picture.
        beside: what stands beside the edited thing; None for entities.
        side: where the edited thing stands then.
    """

    edit: Edit
    plans: Sequence[Plan]
    fact: UnrelatedFact
    other: Other
    beside: Other | None
    side: Side


class Assigner:
    """Chooses for one record after the other."""

    def __init__(self, project: Project, pools: Pools, kept: Sequence[Questions]) -> None:
        """Take what can be chosen, and what records have already."""
        self._seed = project.settings.seed
        facts = [each.text for questions in kept for each in questions.questions if each.plan.key == "t_loc"]
        halves = [half for each in kept if each.one_hop is not None for half in (each.one_hop.left, each.one_hop.right)]
        self._facts = LeastUsed(pools.facts, facts)
        self._others = LeastUsed(pools.pictures, [without_end(questions.locality_picture) for questions in kept])
        self._beside = LeastUsed(pools.beside, [without_end(half) for half in halves])
        self._bands = bands_of(edit.content.draft for edit in project.edits)
        self._sides = Counter(map(_side_of, kept))
        self._edited = [
            thing for edit in project.edits for thing in (edit.content.draft.subject, edit.content.draft.pictured)
        ]
        self._names = names_by_type(project)

    def assign(self, edit: Edit) -> Assigned:
        """Return a record's part.

        Raises:
            CannotWriteError: nothing that is unrelated is left for it, or a question cannot be asked.
        """
        draft = edit.draft
        fact = self._facts.choose(self._seed, draft.id, "fact", fits=fact_fits(edit, self._names[draft.subject.type]))
        fits = other_fits(edit, self._edited)
        other = self._others.choose(self._seed, draft.id, "other", fits=fits, band=self._band(draft.id, self._others))
        if fact is None or other is None:
            key = "facts" if fact is None else "pictures"
            raise CannotWriteError(f"no unrelated {key[:-1]} fits it; choose where they come from by [ask] {key}")
        if draft.kind == "entity":
            return Assigned(edit, entity_plans(edit, self._seed), fact, other, None, "left")
        beside = self._beside.choose(
            self._seed,
            draft.id,
            "beside",
            fits=lambda each: each.thing != other.thing and fits(each),
            band=self._band(draft.id, self._beside),
        )
        if beside is None:
            raise CannotWriteError("there is no picture that could stand beside it")
        side = self._side(draft.id)
        plans_of = semantic_plans if draft.kind == "semantic" else user_plans
        return Assigned(edit, plans_of(edit, self._seed, side=side, beside=beside.answer), fact, other, beside, side)

    def _band(self, id_: str, deck: LeastUsed[Choice]) -> int | None:
        """Return a record's band where there are more records than pictures; else None: none need to be shared."""
        return self._bands[id_] if len(self._bands) > len(deck) else None

    def _side(self, id_: str) -> Side:
        """Return the side on which fewer edited things stand; where they are equally many, a drawn one."""
        left, right = (self._sides[side] for side in SIDES)
        side = rng(self._seed, id_, "side").choice(SIDES) if left == right else SIDES[left > right]
        self._sides[side] += 1
        return side


def _side_of(questions: Questions) -> Side | None:
    return next((each.plan.side for each in questions.questions if each.plan.side is not None), None)
