"""What stands of each record after what people decided.

One verdict decides a record that one person looks at; of a record that two look at, both must agree; where they do
not, a third verdict, the adjudication, decides. Where more people decided than were asked, all must agree.
Verdicts on a record whose content has changed since count no more; they stay in the log, and the record is asked again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mmke.build.content import Verdict
from mmke.build.log import digest_of
from mmke.build.project import Project
from mmke.build.record import Record
from mmke.build.verdicts.ledger import Ledger

State = Literal["accepted", "corrected", "rejected", "open", "disputed"]

_STATES: dict[str, State] = {"accept": "accepted", "correct": "corrected", "reject": "rejected"}


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of one record.

    Attributes:
        state: "accepted" and "corrected" records are exported. "open" ones wait for a verdict, "disputed" ones for an
            adjudication.
        record: the record with its corrections.
        stale: how many verdicts are on another content of the record, and count no more.
        double: whether two people look at it.
        verdicts: the independent ones, in the order of time, each person's last.
        adjudication: what decided between them; None where nobody had to.
    """

    state: State
    record: Record
    stale: int
    double: bool
    verdicts: tuple[Verdict, ...]
    adjudication: Verdict | None

    @property
    def deciding(self) -> Verdict | None:
        """Return the verdict that the state comes from; None of open and disputed records."""
        if self.state in ("open", "disputed"):
            return None
        return self.adjudication or self.verdicts[0]


def doubled(record: str, *, share: float, seed: int) -> bool:
    """Tell whether two people look at a record.

    A digest of its id and the seed decides, so that other records coming or going change nothing.
    """
    return int(digest_of("double", seed, record), 16) < share * 16**16


def standing(project: Project, records: Sequence[Record]) -> Mapping[str, Standing]:
    """Return what stands of each record, by its id."""
    ledger = Ledger(project.verdicts.lines)
    return {record.id: standing_of(record, ledger, project, content=record.content) for record in records}


def standing_of(record: Record, ledger: Ledger, project: Project, *, content: str) -> Standing:
    """Return what stands of one record; `content` is its digest, which takes a while to make."""
    double = doubled(record.id, share=project.settings.verify.double, seed=project.settings.seed)
    counting = [entry.content for entry in ledger.of(record.id, content)]
    independent = tuple(verdict for verdict in counting if verdict.turn != "adjudication")
    adjudication = next((verdict for verdict in reversed(counting) if verdict.turn == "adjudication"), None)
    state = _state(independent, adjudication, wanted=2 if double else 1)
    decided = Standing(
        state=state,
        record=record,
        stale=ledger.stale(record.id, content),
        double=double,
        verdicts=independent,
        adjudication=adjudication,
    )
    deciding = decided.deciding
    return decided if deciding is None else replace(decided, record=record.corrected(deciding.corrections))


def agree(one: Verdict, other: Verdict) -> bool:
    """Tell whether two verdicts come to the same: the same decision, and of corrections the same texts.

    The reasons of two rejections may differ.
    """
    return one.decision == other.decision and one.corrections == other.corrections


def _state(independent: Sequence[Verdict], adjudication: Verdict | None, *, wanted: int) -> State:
    if adjudication is not None:
        return _STATES[adjudication.decision]
    if len(independent) < wanted:
        return "open"
    if not all(agree(independent[0], other) for other in independent[1:]):
        return "disputed"
    return _STATES[independent[0].decision]
