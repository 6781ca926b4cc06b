"""What a model sends back, read out of whatever stands around it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmke.build.writers.llm.answers import AllAsked, Asked, Described, read_answer, response_format, shortened

TEXTS = {"prompt": "What is it?", "rephrase": "Say what it is.", "original": "A vase.", "target": "A {jug}."}
WORDS = st.text(st.characters(exclude_characters="{", exclude_categories=("Cs",)))


@given(before=WORDS, behind=WORDS)
def test_an_object_is_found_between_any_words(before: str, behind: str) -> None:
    found, problems = read_answer(before + json.dumps(TEXTS) + behind, Described)
    assert (found, problems) == (Described(**TEXTS), [])


def test_the_last_object_counts_and_braces_that_are_none_are_passed_over() -> None:
    text = f'I think of {{country}}, {{"a": 1}} and {{. So: {json.dumps(TEXTS)}'
    assert read_answer(text, Described)[0] == Described(**TEXTS)


def test_braces_without_end_are_no_object() -> None:
    found, problems = read_answer('{"a":' * 100_000, Described)
    assert found is None
    assert "holds no JSON object" in problems[0]


def test_white_space_is_made_plain() -> None:
    found, _ = read_answer(json.dumps({**TEXTS, "target": " A vase,\n\tmade  of clay.\n"}), Described)
    assert isinstance(found, Described)
    assert found.target == "A vase, made of clay."


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["the reply holds no JSON object: ''"]),
        ("[1, 2]", ["the reply holds no JSON object: '[1, 2]'"]),
        ('{"questions": [{"key": "t_rel"}]}', ["questions.0.question is missing"]),
        (
            '{"questions": [{"key": "t_rel", "question": " "}], "note": "x"}',
            ["questions.0.question: it is empty", "note is not asked for"],
        ),
        ('{"questions": "none"}', ["questions: input should be a valid list"]),
    ],
)
def test_every_problem_of_a_reply_is_told(text: str, problems: list[str]) -> None:
    assert read_answer(text, AllAsked) == (None, problems)


def test_the_schema_that_is_asked_for_is_closed_and_needs_every_key() -> None:
    schema = response_format(AllAsked)["json_schema"]["schema"]
    for part in (schema, schema["$defs"]["Asked"]):
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])
    assert set(Asked.model_fields) == {"key", "question"}


def test_a_long_text_is_shortened_to_one_line() -> None:
    assert shortened("a\nb") == "a b"
    assert shortened("x" * 100, 10) == "x" * 9 + "…"
