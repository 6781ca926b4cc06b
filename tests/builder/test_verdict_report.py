"""The report on what people decided: rates, agreement, times, and what it says where there is nothing yet."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from kit import make_project

from mmke.build.content import Verdict
from mmke.build.project import Project, open_project
from mmke.build.records import records
from mmke.build.verdicts.agreement import agreement
from mmke.build.verdicts.computing import figures, stage_of_reason
from mmke.build.verdicts.report import report, report_json

KEEP, REJECT = False, True


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Every record is decided by one person."""
    with open_project(make_project(tmp_path, double=0.0)) as opened:
        yield opened


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Project]:
    """Every record is decided by two people."""
    with open_project(make_project(tmp_path, double=1.0)) as opened:
        yield opened


def decide(
    project: Project,
    number: int,
    person: str,
    decision: str,
    *,
    turn: str = "first",
    reasons: tuple[str, ...] = (),
    corrections: Mapping[str, str] | None = None,
    seconds: float = 0.0,
) -> None:
    record = records(project)[number]
    verdict = Verdict.model_validate(
        {
            "record": record.id,
            "content": record.content,
            "annotator": person,
            "turn": turn,
            "decision": decision,
            "reasons": reasons,
            "comment": "a comment" if reasons else "",
            "corrections": corrections or {},
            "before": {name: record.texts[name] for name in corrections or {}},
            "seconds": seconds,
        }
    )
    project.verdicts.put(f"key{len(project.verdicts.lines)}", verdict, sources=(), by={}, inputs="")


def test_alpha_of_four_records_by_hand() -> None:
    found = agreement([(KEEP, KEEP), (KEEP, REJECT), (REJECT, REJECT), (KEEP, KEEP)], seed=0)
    assert found.alpha == pytest.approx(1 - (1 / 4) / (15 / 28))
    assert (found.records, found.same) == (4, 3)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.alpha <= found.high
    assert found == agreement([(KEEP, KEEP), (KEEP, REJECT), (REJECT, REJECT), (KEEP, KEEP)], seed=0)


def test_alpha_with_a_third_verdict_by_hand() -> None:
    # Pairs within a record with m verdicts weigh 1 / (m - 1). Coincidences of (k, r, r) and (k, k): k–r and r–k 1 each,
    # r–r 1, k–k 2; n = 5, n_k = 3, n_r = 2. D_o = 2/5, D_e = 2·3·2/(5·4) = 3/5.
    found = agreement([(KEEP, REJECT, REJECT), (KEEP, KEEP), (REJECT,)], seed=0)
    assert found.alpha == pytest.approx(1 - (2 / 5) / (3 / 5))
    assert found.records == 2


def test_alpha_is_one_where_all_agree_and_not_defined_where_nobody_differs() -> None:
    assert agreement([(KEEP, KEEP), (REJECT, REJECT)] * 5, seed=0).alpha == pytest.approx(1.0)
    same = agreement([(KEEP, KEEP)] * 5, seed=0)
    assert (same.alpha, same.low, same.same) == (None, None, 5)


def test_the_interval_narrows_with_more_records() -> None:
    widths = []
    for times in (5, 50):
        found = agreement([(KEEP, KEEP), (KEEP, REJECT), (REJECT, REJECT), (KEEP, KEEP)] * times, seed=1)
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert 2 < widths[0] / widths[1] < 5  # about the square root of 10


def test_rates_by_stage_and_type_are_of_judged_records(project: Project) -> None:
    decide(project, 0, "ruth", "accept")
    decide(project, 1, "ruth", "correct", corrections={"target": "T.", "port.question": "Q?", "port.answer": "A"})
    decide(project, 2, "ruth", "reject", reasons=("wrong picture", "not suitable"))
    found = figures(project, records(project))
    assert found.states == {"accepted": 1, "corrected": 1, "rejected": 1, "open": 3, "disputed": 0}
    rates = {rate.name: (rate.judged, rate.accepted, rate.corrected, rate.rejected) for rate in found.by_stage}
    assert rates == {
        "edit texts": (3, 2, 1, 0),
        "questions": (3, 2, 1, 0),
        "pictures": (3, 2, 0, 1),
        "whole record": (3, 2, 0, 1),
    }
    assert [(rate.name, rate.judged) for rate in found.by_type] == [("flag", 3)]
    assert sum(rate.judged for rate in found.by_rule if rate.name == "no finding") <= 3
    assert {each.name: each.count for each in found.corrections} == {"target": 1, "port.question": 1, "port.answer": 1}
    assert found.corrections[-1].examples[0].after == "T."
    assert [each.name for each in found.reasons] == ["not suitable", "wrong picture"]


def test_what_disagreed_is_counted_also_after_the_adjudication(double: Project) -> None:
    for number, (one, other) in enumerate([("accept", "accept"), ("accept", "reject"), ("reject", "reject")]):
        decide(double, number, "ruth", one, seconds=10.0 + number)
        decide(double, number, "omar", other, turn="second", seconds=20.0)
    before = figures(double, records(double))
    assert (before.disputes, before.adjudicated, before.agreement.same) == (1, 0, 2)
    decide(double, 1, "ruth", "accept", turn="adjudication", seconds=500.0)
    found = figures(double, records(double))
    assert (found.disputes, found.adjudicated, found.own) == (1, 1, 1)
    assert found.agreement == before.agreement
    assert found.states["accepted"] == 2
    assert found.seconds is not None
    assert (found.seconds.verdicts, found.seconds.lower, found.seconds.median) == (6, 11.25, 16.0)


def test_nobody_is_named_and_empty_cases_are_told(project: Project) -> None:
    told = report(project, records(project))
    for empty in ("6 open", "no record is decided yet", "no double verdicts yet", "none measured yet"):
        assert empty in told
    decide(project, 0, "Ruth Andersen", "reject", reasons=("wrong fact",), seconds=3.5)
    decide(project, 0, "Omar", "reject", turn="second", reasons=("wrong fact",))
    told = report(project, records(project)) + report_json(project, records(project))
    assert "Ruth" not in told
    assert "annotator 1" in told
    assert "Krippendorff's alpha is not defined: all verdicts are the same" in told
    assert "wrong fact: 1" in told


def test_json_holds_the_same_figures(project: Project) -> None:
    decide(project, 0, "ruth", "correct", corrections={"target": "Ü."})
    plain = json.loads(report_json(project, records(project)))
    assert (plain["states"]["corrected"], plain["states"]["open"]) == (1, 5)
    assert plain["agreement"]["alpha"] is None
    assert [each["name"] for each in plain["annotators"]] == ["annotator 1"]


def test_the_stage_of_a_reason_is_in_its_words() -> None:
    stages = {
        "wrong picture": "pictures",
        "wrong fact": "edit texts",
        "unclear question": "questions",
        "more than one answer": "questions",
        "bad language": "whole record",
    }
    assert {reason: stage_of_reason(reason) for reason in stages} == stages
