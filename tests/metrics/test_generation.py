"""Exact match and token F1 as SQuAD defines them."""

from collections.abc import Callable

import pytest

from mmke.benchmarks.probes.published import I_REL, PORT
from mmke.metrics.generation import exact_match, make_exact_match, make_token_f1, normalise, token_f1
from mmke.types import PAPER, STRICT, Answer, MetricFactory, Probe


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("a cat, an owl and the dog", "cat owl and dog"),
        ("Anatole theatre", "anatole theatre"),
        ("U.S.A.\n", "usa"),
        ("The.", ""),
    ],
)
def test_normalising_drops_case_punctuation_articles_and_blanks(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("said", "gold", "expected"),
    [("the Alps.", "Alps", 1.0), ("Alps mountains", "Alps", 0.0), ("", "the", 1.0), ("", "Alps", 0.0)],
)
def test_exact_match_compares_normalised_texts(said: str, gold: str, expected: float) -> None:
    assert exact_match(said, gold) == expected


@pytest.mark.parametrize(
    ("said", "gold", "expected"),
    [
        ("red and white flag", "a white flag", 2 * (2 / 4) * 1.0 / (2 / 4 + 1.0)),
        ("flag flag flag", "flag", 0.5),
        ("white red", "red white", 1.0),
        ("blue", "red", 0.0),
        ("", "", 1.0),
        ("the", "...", 1.0),
        ("", "red", 0.0),
        ("red", "", 0.0),
    ],
)
def test_token_f1_is_the_harmonic_mean_over_bags_of_words(said: str, gold: str, expected: float) -> None:
    assert token_f1(said, gold) == pytest.approx(expected)


def test_an_exact_match_has_f1_one_and_f1_is_symmetric() -> None:
    assert token_f1("The Red  Flag", "red flag.") == exact_match("The Red  Flag", "red flag.") == 1.0
    assert token_f1("x y z", "z q") == token_f1("z q", "x y z")


@pytest.mark.parametrize(("make", "suffix"), [(make_exact_match, "_em"), (make_token_f1, "_f1")])
def test_columns_are_kind_and_suffix_for_relation_probes(make: MetricFactory, suffix: str) -> None:
    (metric,) = make(STRICT)
    assert metric.roles == ("relation",)
    assert [metric.column(kind) for kind in (I_REL, PORT)] == [f"i_rel{suffix}", f"port{suffix}"]


def test_both_ask_the_same_greedy_question_in_both_protocols() -> None:
    asks = {make(switches)[0].ask for make in (make_exact_match, make_token_f1) for switches in (STRICT, PAPER)}
    assert len(asks) == 1
    assert asks.pop().decode == "generate"


def test_the_text_that_was_written_is_scored_against_the_gold_text(
    probe: Callable[..., Probe], written: Callable[..., Answer]
) -> None:
    assert make_exact_match(STRICT)[0].score(probe("port", "the Alps"), None, written("Alps")).value == 1.0
    assert make_token_f1(STRICT)[0].score(probe("port", "Swiss Alps"), None, written("Alps")).value == pytest.approx(
        2 / 3
    )
