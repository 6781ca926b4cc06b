"""Verdicts: what stands, whose turn it is, and taking verdicts in and back."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kit import make_project

from mmke.build.content import Verdict
from mmke.build.log import Log
from mmke.build.project import Project, open_project
from mmke.build.records import records
from mmke.build.verdicts.deciding import ChangedError, Decided, Desk
from mmke.build.verdicts.ledger import Ledger, pseudonyms
from mmke.build.verdicts.queue import HELD, Queue
from mmke.build.verdicts.standing import Standing, doubled, standing
from mmke.errors import UserError

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


class Office:
    """A project with its desk, and people who decide in few words."""

    def __init__(self, project: Project) -> None:
        self.project, self.records = project, records(project)
        self.seconds = 0.0
        self.queue = Queue(project, self.records, Ledger(project.verdicts.lines), clock=lambda: self.seconds)
        self.desk = Desk(self.queue, now=lambda: NOW)
        self.sent = 0

    def decided(
        self, person: str, number: int, decision: str, *, adjudicating: bool = False, **more: object
    ) -> Decided:
        self.sent += 1
        record = self.records[number]
        own = self.queue.ledger.own(person, record.id, record.content, adjudicating=adjudicating)
        plain = Decided(
            key=f"key{self.sent}",
            record=record.id,
            content=record.content,
            over=own and own.id,
            person=person,
            turn="adjudication" if adjudicating else "first",
            decision=decision,  # type: ignore[arg-type]
            reasons=("wrong fact",) if decision == "reject" else (),
            corrections={"target": "Better."} if decision == "correct" else None,
        )
        return replace(plain, **more)  # type: ignore[arg-type]

    def decide(self, person: str, number: int, decision: str, *, adjudicating: bool = False, **more: object) -> None:
        self.desk.decide(self.decided(person, number, decision, adjudicating=adjudicating, **more))

    def undo(self, person: str) -> None:
        self.sent += 1
        last = self.queue.ledger.last_of(person)
        self.desk.take_back(f"key{self.sent}", person, last=last.id if last else "")

    def standing(self, number: int) -> Standing:
        return standing(self.project, self.records)[self.records[number].id]

    def next(self, person: str, after: int | None = None) -> tuple[int, str] | None:
        found = self.queue.next(person, after=None if after is None else self.records[after].id)
        return None if found is None else (self.records.index(found[0]), found[1])


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Office]:
    """Every record is decided by one person."""
    with open_project(make_project(tmp_path, double=0.0)) as project:
        yield Office(project)


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Office]:
    """Every record is decided by two people."""
    with open_project(make_project(tmp_path, count=3, double=1.0)) as project:
        yield Office(project)


def test_one_verdict_decides_where_one_person_looks(single: Office) -> None:
    for number, decision in enumerate(("accept", "correct", "reject")):
        single.decide("ruth", number, decision)
    assert [single.standing(n).state for n in range(4)] == ["accepted", "corrected", "rejected", "open"]
    assert single.standing(1).record.texts["target"] == "Better."
    assert single.standing(0).record == single.records[0]


@pytest.mark.parametrize(
    ("one", "other", "state"),
    [
        (("accept", {}), ("accept", {}), "accepted"),
        (("accept", {}), ("reject", {}), "disputed"),
        (("accept", {}), ("correct", {}), "disputed"),
        (("correct", {}), ("correct", {}), "corrected"),
        (("correct", {}), ("correct", {"corrections": {"target": "Best."}}), "disputed"),
        (("reject", {}), ("reject", {"reasons": ("wrong picture",)}), "rejected"),
    ],
)
def test_two_people_must_come_to_the_same(double: Office, one: tuple, other: tuple, state: str) -> None:  # type: ignore[type-arg]
    double.decide("ruth", 0, one[0], **one[1])
    assert double.standing(0).state == "open"
    double.decide("omar", 0, other[0], **other[1])
    assert double.standing(0).state == state
    assert [verdict.turn for verdict in double.standing(0).verdicts] == ["first", "second"]


def test_an_adjudication_decides_and_the_two_verdicts_stay(double: Office) -> None:
    double.decide("ruth", 0, "accept")
    double.decide("omar", 0, "reject")
    assert double.next("lena") == (1, "first")
    for number in (1, 2):
        double.decide("lena", number, "accept")
    assert double.next("lena") == (0, "adjudication")
    double.decide("lena", 0, "correct", adjudicating=True)
    found = double.standing(0)
    assert (found.state, len(found.verdicts)) == ("corrected", 2)
    assert found.deciding is not None
    assert found.deciding.annotator == "lena"


def test_nobody_adjudicates_their_own_disagreement_while_there_is_somebody_else(double: Office) -> None:
    double.decide("ruth", 0, "accept")
    double.decide("omar", 0, "reject")
    assert [record.id for record in double.queue.own_disputes("ruth")] == [double.records[0].id]
    double.queue.welcome("lena")
    assert double.queue.own_disputes("ruth") == []
    with pytest.raises(UserError, match="somebody else decides"):
        double.decide("ruth", 0, "accept", adjudicating=True)


def test_of_two_people_one_may_adjudicate_and_the_agreement_is_still_known(double: Office) -> None:
    double.decide("ruth", 0, "accept")
    double.decide("omar", 0, "reject")
    double.decide("ruth", 0, "reject", adjudicating=True)
    assert double.standing(0).state == "rejected"
    assert [verdict.decision for verdict in double.standing(0).verdicts] == ["accept", "reject"]
    double.undo("ruth")
    assert double.standing(0).state == "disputed"


def test_undo_takes_the_last_verdict_back_and_appends(single: Office) -> None:
    single.decide("ruth", 0, "accept")
    single.decide("omar", 1, "accept")
    single.decide("ruth", 0, "reject")
    lines = len(single.project.verdicts.lines)
    single.undo("ruth")
    assert single.standing(0).state == "accepted"
    single.undo("ruth")
    assert [single.standing(n).state for n in (0, 1)] == ["open", "accepted"]
    assert len(single.project.verdicts.lines) == lines + 2
    with pytest.raises(UserError, match="no verdict of yours"):
        single.undo("ruth")


def test_a_verdict_on_another_content_counts_no_more(single: Office) -> None:
    single.decide("ruth", 0, "accept")
    entry = single.project.edits.get(single.records[0].id)
    assert entry is not None
    texts = entry.content.texts.model_copy(update={"target": "Changed."})
    changed = entry.content.model_copy(update={"texts": texts})
    single.project.edits.put(entry.id, changed, sources=(), by={}, inputs="other")
    with pytest.raises(ChangedError, match="has changed"):
        Desk(Queue(single.project, records(single.project), Ledger())).decide(single.decided("omar", 0, "accept"))
    single.records = records(single.project)
    found = single.standing(0)
    assert (found.state, found.stale, found.verdicts) == ("open", 1, ())
    later = Queue(single.project, single.records, Ledger(single.project.verdicts.lines))
    assert later.next("ruth") == (single.records[0], "first")


def test_a_verdict_that_is_sent_twice_is_written_once(single: Office) -> None:
    sent = single.decided("ruth", 0, "accept")
    single.desk.decide(sent)
    single.desk.decide(sent)
    with pytest.raises(UserError, match="used for another one"):
        single.decide("omar", 1, "accept", key=sent.key)
    assert len(single.project.verdicts.lines) == 1


def test_two_tabs_of_one_person_do_not_overwrite_each_other(single: Office) -> None:
    one, other = single.decided("ruth", 0, "accept"), single.decided("ruth", 0, "reject")
    single.desk.decide(one)
    with pytest.raises(ChangedError, match="another tab"):
        single.desk.decide(other)
    assert single.standing(0).state == "accepted"


def test_two_people_at_one_single_record_must_agree(single: Office) -> None:
    single.decide("ruth", 0, "accept")
    single.decide("omar", 0, "reject")
    assert single.standing(0).state == "disputed"


@pytest.mark.parametrize(
    ("decision", "more", "told"),
    [
        ("reject", {"reasons": ()}, "at least one reason"),
        ("reject", {"reasons": ("ugly",)}, "'ugly' is none of the reasons"),
        ("correct", {"corrections": {"targte": "x"}}, "no text 'targte'"),
        ("correct", {"corrections": {"target": "  "}}, "is empty"),
        ("correct", {"corrections": {}}, "nothing is corrected"),
        ("accept", {"corrections": {"target": "x"}}, "is a correction"),
        ("accept", {"record": "entity/none"}, "no record 'entity/none'"),
        ("accept", {"turn": "adjudication"}, "nobody disagrees"),
    ],
)
def test_a_wrong_verdict_is_told_and_not_written(single: Office, decision: str, more: dict, told: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UserError, match=told):
        single.decide("ruth", 0, decision, **more)
    assert len(single.project.verdicts.lines) == 0


def test_people_at_once_get_different_records_until_one_stays_away(single: Office) -> None:
    single.queue.show("ruth", single.records[0])
    assert single.next("omar") == (1, "first")
    single.seconds = HELD + 1
    assert single.next("omar") == (0, "first")


def test_a_record_for_two_is_before_two_at_once(double: Office) -> None:
    double.queue.show("ruth", double.records[0])
    assert double.next("omar") == (0, "first")
    double.queue.show("omar", double.records[0])
    assert double.next("lena") == (1, "first")


def test_next_goes_on_behind_a_record_and_comes_round(single: Office) -> None:
    assert single.next("ruth", after=4) == (5, "first")
    assert single.next("ruth", after=5) == (0, "first")
    for number in range(6):
        single.decide("ruth", number, "accept")
    assert single.next("ruth") is None


def test_who_is_asked_twice_follows_from_id_and_seed_alone() -> None:
    names = [f"entity/bird/{n}" for n in range(2000)]
    chosen = {name for name in names if doubled(name, share=0.2, seed=0)}
    assert 340 < len(chosen) < 460  # 400 ± 3.4 standard deviations
    assert chosen != {name for name in names if doubled(name, share=0.2, seed=1)}
    assert chosen < {name for name in names if doubled(name, share=0.3, seed=0)}
    assert not any(doubled(name, share=0.0, seed=0) for name in names)
    assert all(doubled(name, share=1.0, seed=0) for name in names)


def test_half_a_line_of_a_kill_is_no_verdict(single: Office, tmp_path: Path) -> None:
    single.decide("ruth", 0, "accept")
    whole = single.project.verdicts.file.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        file = tmp_path / f"{cut}.jsonl"
        file.write_bytes(whole + whole[:cut])
        assert len(Log(file, Verdict).lines) == 1


def test_pseudonyms_follow_the_first_verdicts(single: Office) -> None:
    for person, number in (("zoe", 0), ("abe", 1), ("zoe", 2)):
        single.decide(person, number, "accept")
    assert pseudonyms(single.project.verdicts.lines) == {"zoe": "annotator 1", "abe": "annotator 2"}
