"""In a stream logits that are no numbers score 0 and say so; alone they are unscored."""

import math

import numpy as np
import pytest

from mmke.benchmarks.probes.published import T_LOC, T_REL
from mmke.metrics import accuracy, agreement, divergence
from mmke.running.scoring import COLLAPSED, NOT_NUMBERS, CaseAnswers, Floor, When, make_rows, unasked
from mmke.types import STRICT, Answer, Ask, EditCase, Probe, Query, ScoreRow

CASE = EditCase("a", (), (Probe(T_REL, Query("Where?"), "here"), Probe(T_LOC, Query("What?"), "that")))
METRICS = (*accuracy.make(STRICT), *agreement.make(STRICT), *divergence.make(STRICT))
ALONE, IN_STREAM = When(1), When(7, "stream", 0, position=3)


def said(logprob: float) -> Answer:
    ids = np.arange(20).reshape(2, 10)
    return Answer("x", (0, 10), (0, 10), logprob, ids, logprobs=np.full((2, 30), logprob))


def rows(after: Answer, *, when: When, before: float = -1.0, floor: Floor | None = None) -> dict[str, ScoreRow]:
    ways: list[Ask] = [metric.ask for metric in METRICS]
    base = {(i, way): said(before) for i in range(2) for way in ways}
    answers = CaseAnswers({"base": base}, {(i, way): after for i in range(2) for way in ways})
    return {row.metric: row for row in make_rows(CASE, METRICS, answers, floor=floor, when=when)}


def test_in_a_stream_what_is_no_number_scores_zero_and_counts_its_tokens() -> None:
    found = rows(said(math.nan), when=IN_STREAM)
    assert {
        metric: (row.value, row.n_scored) for metric, row in found.items() if row.value is not None
    } == dict.fromkeys(("t_rel", "t_loc", "t_loc_top10"), (0.0, 2))
    assert {row.reason for row in found.values() if row.value is not None} == {COLLAPSED}


def test_a_divergence_of_zero_would_flatter_and_stays_unscored() -> None:
    divergence = rows(said(math.nan), when=IN_STREAM)["t_loc_kl"]
    assert (divergence.value, divergence.reason) == (None, NOT_NUMBERS)


def test_a_record_alone_stays_unscored() -> None:
    assert {(row.value, row.reason) for row in rows(said(math.nan), when=ALONE).values()} == {(None, NOT_NUMBERS)}


def test_numbers_are_scored_as_ever() -> None:
    found = rows(said(-1.0), when=IN_STREAM)
    assert (found["t_rel"].value, found["t_loc"].value, found["t_rel"].reason) == (1.0, 1.0, None)


def test_an_unedited_model_without_numbers_has_not_collapsed_by_its_edits() -> None:
    floor = Floor({("a", 0, "t_rel"): rows(said(math.nan), when=When(0))["t_rel"]})
    found = rows(said(math.nan), when=IN_STREAM, before=math.nan, floor=floor)
    assert {row.value for row in found.values()} == {None}


@pytest.mark.parametrize("reason", ["the edit cannot be made: too long", "a picture cannot be read"])
def test_what_cannot_be_asked_is_unscored_in_a_stream_too(reason: str) -> None:
    assert {(row.value, row.reason) for row in rows(unasked(reason), when=IN_STREAM).values()} == {(None, reason)}
