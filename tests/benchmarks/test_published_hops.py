"""Which records a hop keeps, and which question it asks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from published_records import Raw, record

from mmke.benchmarks.probes.published import PORT
from mmke.benchmarks.splits import AnnotationBenchmark
from mmke.errors import UserError
from mmke.types import PAPER, STRICT, Split, Switches

Dataset = Callable[..., AnnotationBenchmark]


def port(hop: int, answer: str) -> Raw:
    return {"port_type": f"{hop}-hop", "Q&A": {"Question": "Where?", "Answer": answer}}


@pytest.fixture
def three(dataset: Dataset) -> AnnotationBenchmark:
    """No description; no port_new; port_new with a 2-hop and two 1-hop questions."""
    return dataset(
        record("entity", alt=""),
        record("entity", without=["port_new"]),
        record("entity", port_new=[port(2, "two"), port(1, "one"), port(1, "another")]),
    )


def ports(split: Split) -> dict[str, list[str]]:
    return {case.id: [p.target for p in case.probes if p.kind.name == "port"] for case in split.cases}


def load(benchmark: AnnotationBenchmark, hop: int, switches: Switches) -> Split:
    return benchmark.load("eval", hop=hop, switches=switches)


@pytest.mark.parametrize(("hop", "answer"), [(1, "one"), (2, "two")])
def test_paper_keeps_records_with_the_hop_and_asks_its_first_question(
    hop: int, answer: str, three: AnnotationBenchmark
) -> None:
    assert ports(load(three, hop, PAPER)) == {"entity-00002": [answer]}


def test_paper_says_why_each_record_was_dropped(three: AnnotationBenchmark) -> None:
    assert load(three, 1, PAPER).dropped == ((0, "alt is empty"), (1, "no port_new"))


def test_paper_drops_a_record_that_has_other_hops_only(dataset: Dataset) -> None:
    split = load(dataset(record("entity"), record("user", port_new=[port(2, "two")])), 2, PAPER)
    assert split.dropped == ((0, "no 2-hop question in port_new"),)
    assert ports(split) == {"user-00001": ["two"]}


def test_strict_keeps_every_described_record_with_port_unscored(three: AnnotationBenchmark) -> None:
    split = load(three, 1, STRICT)
    assert ports(split) == {"entity-00001": [], "entity-00002": ["one"]}
    assert [dict(case.unscored) for case in split.cases] == [{PORT: "no port_new"}, {}]
    assert split.dropped == ((0, "alt is empty"),)


@pytest.mark.parametrize("switches", [PAPER, STRICT], ids=["paper", "strict"])
def test_a_hop_that_leaves_nothing_is_refused_naming_the_hops_there_are(
    switches: Switches, three: AnnotationBenchmark
) -> None:
    with pytest.raises(
        UserError, match=r"(?s)entity_eval.json: field 'port_new': no record has a 3-hop.*1-hop \(in 1\)"
    ):
        load(three, 3, switches)


@pytest.mark.parametrize("switches", [PAPER, STRICT], ids=["paper", "strict"])
def test_hop_0_asks_no_portability_and_drops_nothing_for_it(switches: Switches, three: AnnotationBenchmark) -> None:
    split = load(three, 0, switches)
    assert ports(split) == {"entity-00001": [], "entity-00002": []}
    assert [dict(case.unscored) for case in split.cases] == [{}, {}]


@pytest.mark.parametrize("hop", [-1, 5])
def test_a_hop_that_does_not_exist_is_refused(hop: int, three: AnnotationBenchmark) -> None:
    with pytest.raises(UserError, match=f"hop {hop} does not exist; expected one of 1, 2, 3, 4, or 0"):
        load(three, hop, STRICT)


@pytest.mark.parametrize("broken", ["text", [3], [{"port_type": "1-hop"}]])
def test_without_a_hop_portability_questions_are_not_read(broken: Any, dataset: Dataset) -> None:
    assert len(load(dataset(record("entity", port_new=broken)), 0, STRICT).cases) == 1


def test_dropping_changes_no_remaining_case(three: AnnotationBenchmark) -> None:
    dropping = load(three, 1, replace(STRICT, hop_drops_records=True))
    assert dropping.cases == load(three, 1, STRICT).cases[1:]
