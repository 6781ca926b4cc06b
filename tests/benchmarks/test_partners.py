"""The partner of a record: of the same type, of other pictures, not spoken of, and the most similar."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hard_kit import embed, record

from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.probes.names import first_name, first_sentence, recurring_name, subject_names
from mmke.benchmarks.probes.partners import ALL_NAMED, NO_OTHER, find_partners
from mmke.types import STRICT, EditCase


def chosen(cases: Sequence[EditCase], among: Sequence[EditCase] | None = None) -> dict[str, str | None]:
    partners = find_partners(cases, cases if among is None else among, embed)
    return {id_: None if partner.case is None else partner.case.id for id_, partner in partners.items()}


@pytest.mark.parametrize("benchmark", ["mini-entity", "mini-user"])
def test_the_order_of_the_records_does_not_matter(benchmark: str) -> None:
    cases = list(open_benchmark(benchmark, data=None).load("eval", hop=1, switches=STRICT).cases)
    first = chosen(cases)
    random.Random(0).shuffle(cases)  # noqa: S311
    assert chosen(cases) == first
    assert sum(partner is not None for partner in first.values()) > 50
    assert all(partner != id_ for id_, partner in first.items())


def test_a_limit_does_not_matter() -> None:
    cases = [record(f"r{i}", f"new {i}") for i in range(6)]
    whole = chosen(cases)
    assert chosen(cases[:2], cases) == {id_: whole[id_] for id_ in ("r0", "r1")}


def test_a_partner_is_of_the_same_type_and_shows_other_things() -> None:
    alone = record("alone", "new", kind="fish")
    chain = [record("a", "new a", image="x"), record("b", "new b", image="x"), record("c", "new c")]
    partners = find_partners([alone, *chain], [alone, *chain], embed)
    assert partners["alone"] == (None, NO_OTHER)
    assert {id_: partner.case and partner.case.id for id_, partner in partners.items() if id_ in ("a", "b")} == {
        "a": "c",
        "b": "c",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The new description of one names what the other is about now, or what it was about before.
        (record("a", "This is Rex, who fears Tom."), record("b", "This is Tom.", rel="Where does Tom live?")),
        (record("a", "This is the flag of Peru."), record("b", "This is new.", original="This is the flag of Peru.")),
    ],
)
def test_a_record_that_is_spoken_of_is_no_partner(one: EditCase, other: EditCase) -> None:
    for cases in ([one, other], [other, one]):
        partners = find_partners(cases, cases, embed)
        assert list(partners.values()) == [(None, ALL_NAMED)] * 2


def test_part_of_a_word_is_no_name() -> None:
    cases = [record("a", "This is Romania."), record("b", "This is the flag of Oman.", original="This is Oman.")]
    assert chosen(cases) == {"a": "b", "b": "a"}


def test_the_most_similar_old_description_is_chosen_and_of_equal_ones_the_first_id() -> None:
    cases = [record(id_, f"new {id_}", original=text) for id_, text in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "x"))]
    assert chosen(cases) == {"a": "b", "b": "a", "c": "a", "d": "a"}


def test_without_an_old_description_the_new_one_is_compared() -> None:
    cases = [record(id_, text) for id_, text in (("a", "same"), ("b", "far"), ("c", "same"))]
    bare = [replace(case, edits=(replace(case.edits[0], original=""),)) for case in cases]
    assert chosen(bare)["c"] == "a"


def test_the_last_bits_of_the_encoder_decide_nothing() -> None:
    cases = [record(id_, f"new {id_}", original=id_) for id_ in "abc"]

    def nearly(texts: Sequence[str]) -> np.ndarray:
        return np.array([[1.0, 1e-8 * (text == "c")] for text in texts])

    assert find_partners(cases, cases, nearly)["a"].case == cases[1]


def test_names_are_found_by_their_capital_letters() -> None:
    sentence, rest = first_sentence("This is Biscuit, Dr. Anna Keller's cat. Biscuit sleeps.")
    assert (sentence, rest) == ("This is Biscuit, Dr. Anna Keller's cat.", "Biscuit sleeps.")
    assert recurring_name(sentence, ["What is the name of Anna Keller's cat?", "Anna?"]) == "Anna Keller"
    assert recurring_name("Two fingers are raised.", ["Two fingers mean what?"]) is None
    assert first_name("This is the Statue of Liberty, in New York.") == "Statue of Liberty"
    assert first_name("Thumb and finger make a ring.") is None


def test_a_record_is_about_what_it_says_now_and_what_it_said_before() -> None:
    case = record("a", "This is the flag of Iceland.", original="This is the flag of Kenya.", rel="Who rules Iceland?")
    assert subject_names(case) == ("Iceland", "Kenya")
