"""Each answer stands once in its record's line, with what scoring it again needs."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from mmke.results.answers import answers_line, distinct, parse_answers
from mmke.results.rows import RecordKey
from mmke.types import Ask, ScoreRow, StoredAnswer

Row = Callable[..., ScoreRow]
KEY = RecordKey("entity-00001", "single", 1, None)
RANKED = StoredAnswer("a", (1,), -0.5, target_ids=(2,), top_ids=((1, 2), (3, 4)), ask=Ask(top=2), model="base")
WRITTEN = StoredAnswer("two\nlines", (1, 2), None, finished=False, ask=Ask(decode="generate"), image="another.png")


def test_answers_come_back_as_they_were_written() -> None:
    kept = ((0, RANKED), (3, WRITTEN), (3, StoredAnswer("", (), None)))
    line = answers_line(KEY, kept)
    assert line.count(b"\n") == 1
    assert parse_answers(line) == (KEY, kept)


def test_scores_of_one_answer_keep_it_once(row: Row) -> None:
    rows = [
        row(before=RANKED, after=WRITTEN),
        row(metric="other", before=RANKED, after=replace(WRITTEN, finished=True)),
        row(probe=1, after=WRITTEN),
        row(probe=None, after=None),
    ]
    assert distinct(rows) == {
        (0, RANKED): 0,
        (0, WRITTEN): 1,
        (0, replace(WRITTEN, finished=True)): 2,
        (1, WRITTEN): 3,
    }


def test_only_what_differs_from_the_usual_way_to_ask_is_written() -> None:
    answers = json.loads(answers_line(KEY, [(0, RANKED), (0, WRITTEN)]))["answers"]
    assert [answer["ask"] for answer in answers] == [{"top": 2}, {"decode": "generate"}]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_log_probability_that_is_no_number_is_null(value: float) -> None:
    assert parse_answers(answers_line(KEY, [(0, replace(RANKED, target_logprob=value))])).answers[0][1] == replace(
        RANKED, target_logprob=None
    )


def test_a_way_to_ask_of_a_later_version_is_read() -> None:
    plain = json.loads(answers_line(KEY, [(0, RANKED)]))
    plain["answers"][0]["ask"]["temperature"] = 0.7
    assert parse_answers(json.dumps(plain).encode()).answers == ((0, RANKED),)
