"""The grammar that comes with mmke: every relation and type of its things has words, and every question reads well."""

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from mmke.build.content import Fact, Thing
from mmke.build.sources.mini.source import Mini
from mmke.build.wording import says, with_article
from mmke.build.words import TypeWords, read_words

KINDS = ("entity", "semantic", "user")
WORDS = read_words({}, {}, place=Path("build.toml"))
THINGS = [source.find(id_).thing for source in (Mini(kind, ()) for kind in KINDS) for id_ in source.list()]
FACTS = {(thing.type, fact.relation): fact for thing in THINGS for fact in thing.facts}

TWICE = re.compile(r"\b(\w+) \1\b", re.IGNORECASE)
ARTICLE = re.compile(r"\b(an?) (\w[\w-]*)")


def shipped(name: str) -> dict[str, Any]:
    return tomllib.loads((files("mmke.build") / f"{name}.toml").read_text(encoding="utf-8"))


def pointings(type_: TypeWords, thing: Thing) -> list[str]:
    return [type_.named.format(name=thing.name), type_.shown, type_.on_side.format(side="left")]


def questions() -> Iterator[tuple[str, str]]:
    """Yield every question that can be made of a thing and its facts, with its true answer."""
    for thing in THINGS:
        for x in pointings(WORDS.type(thing.type), thing):
            for fact in thing.facts:
                relation = WORDS.relation(fact.relation)
                yield from ((text.format(x=x), fact.value) for text in relation.questions)
                yield from further(relation.phrase.format(x=x), fact)


def further(phrase: str, fact: Fact) -> Iterator[tuple[str, str]]:
    for each in fact.further:
        yield from ((text.format(x=phrase), each.value) for text in WORDS.relation(each.relation).questions)


def faults(text: str) -> list[str]:
    wrong = [found.group() for found in TWICE.finditer(text)]
    wrong += [each for each in ("{", "}", "  ", " ?", " .", "..") if each in text]
    wrong += [
        found.group()
        for found in ARTICLE.finditer(text)
        if found[2].islower() and with_article(found[2]).split()[0] != found[1]
    ]
    return wrong


def test_every_relation_and_type_has_words_of_its_own() -> None:
    relations, types = shipped("relations"), shipped("type_words")
    named = {fact.relation for thing in THINGS for fact in thing.facts}
    named |= {each.relation for thing in THINGS for fact in thing.facts for each in fact.further}
    assert named - set(relations) == set()
    assert {thing.type for thing in THINGS} - set(types) == set()


def test_every_composed_question_is_a_question_without_faults() -> None:
    made = {text for text, _ in questions()}
    assert len(made) > 2500
    assert [(text, faults(text)) for text in made if faults(text)] == []
    assert [text for text in made if not re.fullmatch(r"[A-Z][^?!]*\?", text)] == []


def test_no_question_says_its_answer() -> None:
    assert sorted({(text, answer) for text, answer in questions() if says(text, answer)}) == []


def test_every_statement_of_every_fact_is_a_sentence_without_faults() -> None:
    for thing in THINGS:
        for x in pointings(WORDS.type(thing.type), thing):
            for fact in thing.facts:
                text = WORDS.relation(fact.relation).statement.format(x=x, value=fact.value)
                assert faults(text) == [], text
                assert text.endswith("."), text
                assert says(text, fact.value), text


@pytest.mark.parametrize("name", sorted(shipped("relations")))
def test_a_relation_leaves_the_right_places_open(name: str) -> None:
    relation = WORDS.relation(name)
    assert relation.phrase.count("{x}") == 1
    assert relation.phrase.startswith(("the ", "what "))
    assert all(question.count("{x}") == 1 for question in relation.questions)
    assert relation.statement.count("{x}") == relation.statement.count("{value}") == 1
    assert len(set(relation.questions)) == len(relation.questions) >= 2


@pytest.mark.parametrize("name", sorted(shipped("type_words")))
def test_a_type_is_pointed_at_by_its_noun(name: str) -> None:
    words = WORDS.type(name)
    assert says(words.shown, words.noun)
    assert says(words.on_side.format(side="left"), words.noun)
    assert says(words.on_side.format(side="left"), "left")
    assert says(words.identity, words.noun)
    assert words.named.format(name="Xyz") != words.named
    assert all(faults(text.format(name="Xyz")) == [] and "Xyz" in text.format(name="Xyz") for text in words.intros)


def test_the_facts_that_lead_further_are_asked_in_one_sentence() -> None:
    fact = FACTS["country flag", "capital"]
    country = WORDS.type("country flag")
    river = WORDS.relation("river").questions[0].format(x=WORDS.relation("capital").phrase.format(x=country.shown))
    assert fact.relation == "capital"
    assert river == "Which river flows through the capital of the country whose flag is shown?"
