"""The sentences of the writer without a model: articles, pronouns, joined sentences, and phrases that find a thing."""

from pathlib import Path

import pytest

from mmke.build.content import Fact, Thing
from mmke.build.draws import rng
from mmke.build.wording import with_article
from mmke.build.words import Relation, TypeWords, Words, read_words
from mmke.build.writers.templates.describe import description
from mmke.build.writers.templates.sentences import introduced, joined, pointed, stated_again


def relation(statement: str) -> Relation:
    return Relation(
        phrase="the home of {x}", questions=("Where is {x}?", "In which place is {x}?"), statement=statement
    )


def type_words(named: str = "the {name}", pronoun: str = "it") -> TypeWords:
    return TypeWords(
        noun="bird",
        shown="the bird in the image",
        on_side="the bird on the {side}",
        named=named,
        identity="Which bird is it?",
        pronoun=pronoun,
    )


@pytest.mark.parametrize(
    ("noun", "told"),
    [
        ("owl", "an owl"),
        ("kingfisher", "a kingfisher"),
        ("unicorn", "a unicorn"),
        ("umbrella", "an umbrella"),
        ("uninvited guest", "an uninvited guest"),
        ("hourglass", "an hourglass"),
        ("European robin", "a European robin"),
        ("one-way street", "a one-way street"),
        ("onion", "an onion"),
        ("X-ray", "an X-ray"),
        ("ukulele", "a ukulele"),
        ("8-ball", "an 8-ball"),
    ],
)
def test_the_article_fits_the_sound(noun: str, told: str) -> None:
    assert with_article(noun) == told


@pytest.mark.parametrize(
    ("named", "name", "told"),
    [
        ("the {name}", "owl", "an owl"),
        ("the {name}", "Mona Lisa", "the Mona Lisa"),
        ("the {name}", "grapes", "the grapes"),
        ("the {name}", "walrus", "a walrus"),
        ("the {name} gesture", "OK", "an OK gesture"),
        ("{name}", "Kenya", "Kenya"),
    ],
)
def test_a_thing_is_introduced_as_one_speaks_of_it(named: str, name: str, told: str) -> None:
    assert introduced(type_words(named), name) == told


@pytest.mark.parametrize(
    ("statement", "pronoun", "told"),
    [
        ("{x} lives in {value}.", "it", "It lives in Norway."),
        ("The home of {x} is {value}.", "it", "Its home is Norway."),
        ("In {x}, one sees {value}.", "it", "In the bird, one sees Norway."),
        ("{x} lives in {value}.", "", "The bird lives in Norway."),
        ("The home of {x} is {value}.", "", "The home of the bird is Norway."),
    ],
)
def test_a_fact_is_told_again_without_the_name(statement: str, pronoun: str, told: str) -> None:
    assert stated_again(type_words(pronoun=pronoun), relation(statement), "Norway") == told


@pytest.mark.parametrize(
    ("first", "second", "value", "told"),
    [
        ("It lives in Norway.", "It eats fish.", "fish", "It lives in Norway and eats fish."),
        ("It is used by pupils.", "It is used at school.", "at school", "It is used by pupils and at school."),
        ("You call it Rex.", "You got it in 2009.", "2009", "You call it Rex and got it in 2009."),
        ("The owl lives in Oslo.", "Its food is fish.", "fish", "The owl lives in Oslo, and its food is fish."),
        ("The owl is grey.", "The owl is from Oslo.", "Oslo", "The owl is grey and from Oslo."),
        ("The owl is grey.", "Its food is fish.", "fish", "The owl is grey, and its food is fish."),
        ("It is red.", "Norway is its home.", "Norway", "It is red, and Norway is its home."),
    ],
)
def test_two_sentences_become_one(first: str, second: str, value: str, told: str) -> None:
    assert joined(first, second, value, noun="owl") == told


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("{x} lives in {value}.", "the bird that lives in Norway"),
        ("The home of {x} is {value}.", "the bird whose home is Norway"),
        ("In {value}, one sees {x}.", "the bird with Norway as its home land"),
    ],
)
def test_a_thing_is_found_by_a_fact(statement: str, told: str) -> None:
    assert pointed(type_words(), "home_land", relation(statement), "Norway") == told


def test_no_pronoun_follows_a_sentence_about_a_thing_of_the_same_kind() -> None:
    words = read_words({}, {}, place=Path("build.toml"))
    capital = (Fact(relation="capital", value="N'Djamena"),)
    facts = (
        Fact(relation="largest neighbour", value="Chad", further=capital),
        Fact(relation="ally", value="Ghana", further=capital),
        Fact(relation="capital", value="Abuja"),
        Fact(relation="currency", value="the naira"),
    )
    thing = Thing(id="country flag/nigeria", name="Nigeria", type="country flag", facts=facts)
    told = [(fact.relation, fact.value) for fact in facts]
    for seed in range(20):
        text = description(words, thing, told, looks="", rng=rng(seed))
        assert text.index("capital") < text.index("currency") < text.index("Chad") < text.index("ally of Nigeria")


def test_words_without_tables_make_sentences_too() -> None:
    words = Words({}, {})
    thing = Thing(id="pump/p1", name="rotary pump", type="pump", facts=(Fact(relation="flow_rate", value="12 litres"),))
    text = description(words, thing, [("flow_rate", "12 litres")], looks="", rng=rng(1))
    assert text.endswith(("The flow rate of the pump is 12 litres.", "The flow rate of the rotary pump is 12 litres."))
