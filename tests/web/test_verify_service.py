"""What the page is told: nothing that the person may not see, and always what is there now."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import make_project

from mmke.build.content import Verdict
from mmke.build.log import Log
from mmke.build.project import Project, open_project
from mmke.build.records import records
from mmke.build.verdicts.deciding import ChangedError
from mmke.build.verdicts.ledger import Ledger
from mmke.build.verdicts.standing import standing, standing_of
from mmke.errors import UserError
from mmke.web.verify.asks import AskDecide, AskNext, AskRecord, AskUndo
from mmke.web.verify.opening import service_of
from mmke.web.verify.service import Service


class People:
    """Several people at one service, who decide in few words."""

    def __init__(self, project: Project) -> None:
        self.project, self.records = project, records(project)
        self.service: Service = service_of(project, self.records, annotator=None)
        self.steps = 0

    def key(self) -> str:
        self.steps += 1
        return f"{self.steps:016x}"

    def next(self, person: str) -> dict[str, Any]:
        return self.service.next(AskNext(annotator=person))

    def decide(self, person: str, view: dict[str, Any], decision: str, **more: Any) -> dict[str, Any]:
        ask = {
            "annotator": person,
            "key": self.key(),
            "record": view["record"],
            "content": view["content"],
            "over": view["mine"] and view["mine"]["key"],
            "turn": view["turn"],
            "decision": decision,
            "reasons": ["wrong fact"] if decision == "reject" else [],
            "corrections": {"target": "Better."} if decision == "correct" else {},
        }
        return self.service.decide(AskDecide.model_validate({**ask, **more}))

    def undo(self, person: str, last: str) -> dict[str, Any]:
        return self.service.undo(AskUndo(annotator=person, key=self.key(), last=last))


@pytest.fixture
def double(tmp_path: Path) -> Iterator[People]:
    """Two people look at each of two records."""
    with open_project(make_project(tmp_path, count=2, double=1.0)) as project:
        yield People(project)


def test_the_second_person_sees_nothing_of_the_first_verdict(double: People) -> None:
    first = double.next("ruth")
    double.decide("ruth", first, "reject", comment="a secret", reasons=["not suitable"])
    second = double.next("omar")
    assert (second["record"], second["turn"]) == (first["record"], "second")
    alike = {"annotator", "turn", "progress"}
    assert {key: value for key, value in second.items() if key not in alike} == {
        key: value for key, value in first.items() if key not in alike
    }
    assert not any(word in json.dumps(second) for word in ("ruth", "secret", "not suitable", "reject"))


def test_who_adjudicates_sees_both_sides_and_no_names(double: People) -> None:
    double.decide("ruth", double.next("ruth"), "reject", comment="a secret")
    double.decide("omar", double.next("omar"), "accept")
    for number in (0, 1):
        view = double.service.show(AskRecord(annotator="lena", record=double.records[number].id))
        if number == 0:
            assert view["turn"] == "adjudication"
            assert sorted(side["decision"] for side in view["sides"]) == ["accept", "reject"]
            assert not any(name in json.dumps(view) for name in ("ruth", "omar"))
        else:
            assert (view["turn"], view["sides"]) == ("first", [])


def test_a_record_that_others_have_decided_is_not_shown(double: People) -> None:
    for person in ("ruth", "omar"):
        double.decide(person, double.next(person), "accept")
    with pytest.raises(ChangedError, match="others have decided"):
        double.service.show(AskRecord(annotator="lena", record=double.records[0].id))


def test_undo_shows_the_record_again_as_it_was(double: People) -> None:
    view = double.next("ruth")
    after = double.decide("ruth", view, "correct")
    again = double.undo("ruth", after["progress"]["last"])
    assert again == view
    with pytest.raises(UserError, match="no verdict of yours"):
        double.undo("ruth", "0" * 16)


def test_what_waits_for_others_is_counted(double: People) -> None:
    view = double.next("ruth")
    for _ in range(2):
        view = double.decide("ruth", view, "accept")
    assert view["record"] is None
    counts = {key: view["progress"][key] for key in ("records", "settled", "waiting", "disputed", "decided", "left")}
    assert counts == {"records": 2, "settled": 0, "waiting": 2, "disputed": 0, "decided": 2, "left": 0}
    double.decide("omar", double.next("omar"), "reject")
    assert double.next("ruth")["own_disputes"] == [double.records[0].id]


def test_a_verdict_can_be_changed_on_the_way_back(double: People) -> None:
    after = double.decide("ruth", double.next("ruth"), "accept")
    back = double.service.show(AskRecord(annotator="ruth", record=after["previous"]))
    assert (back["mine"]["decision"], back["turn"]) == ("accept", "first")
    double.decide("ruth", back, "reject")
    (verdict,) = standing(double.project, double.records)[back["record"]].verdicts
    assert verdict.decision == "reject"


def test_what_a_start_finds_is_what_the_server_knew_before(double: People) -> None:
    """Any steps of several people, in any order, leave a log from which all that counts can be read again."""
    draw = random.Random(0)  # noqa: S311 - no secret
    queue = double.service._queue
    for _ in range(150):
        person = draw.choice(["ruth", "omar", "lena"])
        view = double.next(person)
        last = view["progress"]["last"]
        if last and (view["record"] is None or draw.random() < 0.4):
            double.undo(person, last)
        elif view["record"] is not None:
            double.decide(person, view, draw.choice(["accept", "correct", "reject"]))
    read = Ledger(Log(double.project.verdicts.file, Verdict).lines)
    for record in double.records:
        known = queue.standing(record)
        assert standing_of(record, read, double.project, content=record.content) == known
    lines = [entry.content for entry in double.project.verdicts.lines]
    assert len(lines) > 100
    assert {verdict.turn for verdict in lines} == {"first", "second", "adjudication"}
