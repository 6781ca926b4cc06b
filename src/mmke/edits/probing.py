"""Ask the records of benchmarks of a model in which a saved edit is in force: `mmke run --edit`.

In: a stack of edits, and a request. Out: a plan whose cells are the floor and one editor's, with rows like those of a
stream at its end: every record is asked of the same edited model, whether it was edited into it or not.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from mmke.editing.settings import resolve_switches
from mmke.edits.kept import KeptSession
from mmke.edits.loading import Stack, check_weights
from mmke.edits.making import fill
from mmke.errors import UserError
from mmke.protocols import Backbone, Cut, EditSession, SessionState, Store
from mmke.results.saved_session import digest_of
from mmke.running.metrics import make_metrics
from mmke.running.planning import Cell, Plan, plan
from mmke.running.request import FLOOR, Request
from mmke.running.schedule import Apply, Event, Leave, Open, Refer, Score, Single
from mmke.types import PROTOCOLS, Answer, Asks, Edit, EditCase, Probe


@dataclass(frozen=True)
class Standing:
    """The schedule: ask every record of the unedited model, put the edit in force, ask every record again.

    Attributes:
        cases: that are asked.
        edit: all that is in force, as one case.
        name: in rows.
    """

    cases: Sequence[EditCase]
    edit: EditCase
    name: str
    order_seed: int | None = None
    notes: tuple[str, ...] = ()

    def described(self) -> Mapping[str, Any] | None:
        """Return None: the editor's settings name the edit."""
        return None

    def unedited(self) -> Single:
        """Return how the floor is asked: each record alone, as in any run."""
        return Single(self.cases)

    def floor(self) -> list[Event]:
        """Return what is done under the editor that edits nothing."""
        return Single(self.cases).floor()

    def events(self, *, previous: bool) -> list[Event]:
        """Return what is done; there is no previous edit to compare with."""
        del previous
        count = len(self.edit.edits)
        before = [Refer(case, "base") for case in self.cases]
        after = [Score(case, edits_applied=count) for case in self.cases]
        return [Open(), *before, Apply((self.edit,), edits_applied=count), *after, Leave()]


@dataclass(frozen=True)
class EditInForce:
    """The editor of such a run: whatever it is told to apply, it puts the saved edits in force."""

    stack: Stack

    @property
    def name(self) -> str:
        """Return the name of the editor that made the edit."""
        return self.stack.editor.name

    def check(self, backbone: Backbone) -> None:
        """Compare the weights with those that were edited, and resolve every edit site."""
        for found in self.stack.edits:
            check_weights(found, backbone)
        self.stack.editor.check(backbone)

    def cut(self, backbone: Backbone) -> Cut | None:
        """Return the highest cut below all that is edited."""
        return self.stack.editor.cut(backbone)

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session that answers as the unedited model until the edit is put in force."""
        fill(self.stack.editor.editor, backbone, self.stack.checkpoint)
        with self.stack.editor.open(backbone, store) as session:
            yield _Session(self.stack, session, backbone)


@dataclass
class _Session:
    stack: Stack
    session: KeptSession
    backbone: Backbone

    def apply(self, edits: Sequence[Edit]) -> None:
        """Put the saved edits in force, which are those that come."""
        if edits:
            self.stack.put_in_force(self.session, self.backbone)

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe."""
        return self.session.answer(probes, ask)

    def module(self) -> AbstractContextManager[nn.Module]:
        """Lend the edited model."""
        return self.session.module()

    def state(self) -> SessionState:
        """Return the result of the edits."""
        return self.session.state()

    def load_state(self, state: SessionState) -> None:
        """Take over another state."""
        self.session.load_state(state)


def plan_probing(request: Request, stack: Stack) -> Plan:
    """Return the plan of a run over a saved edit.

    Args:
        request: its backbone is the edit's, and its editors are not looked at.
        stack: the edits in force.

    Raises:
        UserError: another protocol than the edit's, or whatever `running.planning.plan` finds.
    """
    by = stack.editor.by
    if request.protocol != by.protocol:
        raise UserError(
            f"--protocol {request.protocol}: {stack.edits[0].folder} was made under {by.protocol}, and its editor's "
            f"settings are of that; give --protocol {by.protocol}"
        )
    planned = plan(replace(request, editors=(FLOOR,), changes={}, checkpoints={}))
    edits = tuple(edit for batch in stack.batches for edit in batch)
    settings = {**by.settings, "edit": digest_of([found.record.model_dump() for found in stack.edits])}
    name = "edit-" + "+".join(found.folder.resolve().name for found in stack.edits)
    cells: list[Cell] = []
    for floor in planned.cells:
        schedule = Standing(floor.split.cases, EditCase(name, edits, ()), name)
        switches = replace(resolve_switches(PROTOCOLS[request.protocol], by.editor), reference="base")
        metrics = make_metrics(switches, names=request.metrics, generate=request.generate, kinds=floor.split.kinds)
        edited = replace(
            floor,
            editor=EditInForce(stack),
            metrics=tuple(metrics),
            settings=settings,
            switches=switches,
            schedule=schedule,
            events=tuple(schedule.events(previous=False)),
        )
        cells += [floor, edited]
    return Plan(planned.request, tuple(cells))
