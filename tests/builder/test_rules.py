"""Each rule finds the one thing that breaks it, says nothing of a record in order, and no other rule speaks of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from kit import make_project

from mmke import registry
from mmke.build.consistency import number, year
from mmke.build.content import Kind, PictureRole
from mmke.build.project import Project, open_project
from mmke.build.record import Record
from mmke.build.records import records
from mmke.build.rules.check import as_json, as_text, check, rules
from mmke.build.rules.grammar import wrong_article
from mmke.build.words import Relation, TypeWords, Words
from mmke.errors import BrokenPluginError

Break = Callable[[Record, Project], Record]


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    folder = tmp_path_factory.mktemp("rules")
    opened: dict[str, Project] = {}
    kinds: tuple[Kind, ...] = ("entity", "semantic", "user")
    for kind in kinds:
        with open_project(make_project(folder / kind, kind), write=False) as project:
            opened[kind] = project
    return opened


def text(**new: str) -> Break:
    """Give texts of the record; two underscores stand for the dot of a question's text."""
    return lambda record, _: record.corrected({name.replace("__", "."): value for name, value in new.items()})


def more(place: str, sentence: str) -> Break:
    return lambda record, _: record.corrected({place: f"{record.texts[place]} {sentence}"})


def draft(**new: Any) -> Break:
    def broken(record: Record, _: Project) -> Record:
        changed = record.edit.draft.model_copy(update=new)
        return replace(record, edit=record.edit.model_copy(update={"draft": changed}))

    return broken


def plan(key: str, **new: Any) -> Break:
    def broken(record: Record, _: Project) -> Record:
        asked = [
            each.model_copy(update={"plan": each.plan.model_copy(update=new)}) if each.plan.key == key else each
            for each in record.asked.questions
        ]
        return replace(record, asked=record.asked.model_copy(update={"questions": tuple(asked)}))

    return broken


def change(of: str, **new: Any) -> Break:
    def broken(record: Record, project: Project) -> Record:
        made = [each.model_copy(update=new) if each.relation == of else each for each in record.edit.draft.changes]
        return draft(changes=tuple(made))(record, project)

    return broken


def without(key: str) -> Break:
    def broken(record: Record, _: Project) -> Record:
        kept = tuple(each for each in record.asked.questions if each.plan.key != key)
        return replace(record, asked=record.asked.model_copy(update={"questions": kept}))

    return broken


def shows(role: PictureRole, other: str) -> Break:
    def broken(record: Record, project: Project) -> Record:
        entry = project.pictures.get(other)
        assert entry is not None
        return replace(record, pictures={**record.pictures, role: entry.content})

    return broken


def picture(role: PictureRole, **new: Any) -> Break:
    return lambda record, _: replace(
        record, pictures={**record.pictures, role: record.pictures[role].model_copy(update=new)}
    )


def one_hop(**new: Any) -> Break:
    def broken(record: Record, _: Project) -> Record:
        assert record.asked.one_hop is not None
        both = record.asked.one_hop.model_copy(update=new)
        return replace(record, asked=record.asked.model_copy(update={"one_hop": both}))

    return broken


def alike_prints(record: Record, _: Project) -> Record:
    prints = {"phash": f"{int(record.pictures['edit'].prints['phash'], 16) ^ 0b111:016x}"}
    return picture("rephrase", prints=prints)(record, _)


# The first record: Aland, shown under Boria's flag; capital Cordo (its river the Corer), founded in 1833.
BROKEN: list[tuple[str, Kind, str, Break]] = [
    ("short-answer", "entity", "t_loc.answer", text(t_loc__answer="not at all hot but cold")),
    ("complete", "entity", "i_rel_2.question", without("i_rel_2")),
    ("complete", "semantic", "i_gen.question", plan("i_gen", picture="edit")),
    ("complete", "entity", "original", text(original=" ")),
    ("complete", "user", "pictures.one_hop", lambda record, _: replace(
        record, asked=record.asked.model_copy(update={"one_hop": None})
    )),
    ("complete", "semantic", "i_gen.answer", plan("i_gen", relation=None, answer="a baker")),
    ("answer-in-description", "semantic", "t_rel.answer", plan("t_rel", relation=None, answer="a tailor")),
    ("portability-not-in-description", "entity", "port.answer", more("target", "It lies on the Corer.")),
    ("new-answer", "entity", "t_rel_1.answer", plan("t_rel_1", before="cordo")),
    ("new-answer", "entity", "port.answer", plan("port", before="the Corer")),
    ("answer-not-in-question", "entity", "t_loc.question", text(t_loc__question="Not hot but cold is")),
    ("one-answer", "entity", "t_rel_2.answer", plan("t_rel_2", answer="her brothers")),
    ("one-answer", "entity", "port.answer", plan("port", answer="the Rhine")),
    ("picture-question-unnamed", "entity", "i_rel_1.question", text(
        i_rel_1__question="What is the capital of Aland, the country whose flag is in the image?"
    )),
    ("picture-question-unnamed", "entity", "rephrase", text(rephrase="Say more of Boria's flag.")),
    ("text-question-named", "entity", "t_rel_1.question", text(t_rel_1__question="What is the capital there?")),
    ("text-question-named", "user", "t_rel_1.question", text(t_rel_1__question="Which capital does Aland have?")),
    ("text-question-named", "entity", "t_rel_2.question", text(
        t_rel_2__question="When was Aland, which is in the picture, founded?"
    )),
    ("description-names-subject", "entity", "target", text(
        target="This flag flies in Cordo, founded in 1833 by a baker and two of her brothers."
    )),
    ("description-names-subject", "entity", "target", more("target", "Boria lies beside it.")),
    ("description-names-subject", "user", "target", text(prompt="Whose flag is this?")),
    ("consistent-changes", "entity", "target", lambda record, project: draft(
        changes=(*record.edit.draft.changes, record.edit.draft.changes[0])
    )(record, project)),
    ("untrue-value", "entity", "target", change("founded", after="1833", before="in 1833")),
    ("new-value-said", "entity", "target", lambda record, project: draft(changes=(
        *record.edit.draft.changes,
        record.edit.draft.changes[0].model_copy(update={"relation": "colour", "before": "red", "after": "violet"}),
    ))(record, project)),
    ("replaced-value-gone", "entity", "target", more("target", "Before that, Alva was famous.")),
    ("near-copies", "entity", "rephrase", text(rephrase="Which country does this red flag belong to?")),
    ("near-copies", "entity", "i_rel_1.question", text(i_rel_1__question="Which country does that flag belong to?")),
    ("pictures-of-one-thing", "entity", "pictures.rephrase", shows("rephrase", "flag-elba-2.png")),
    ("pictures-of-one-thing", "entity", "pictures.rephrase", shows("rephrase", "flag-boria-0.png")),
    ("pictures-of-one-thing", "entity", "pictures.rephrase", alike_prints),
    ("locality-picture-in-no-edit", "entity", "pictures.locality", shows("locality", "flag-elba-0.png")),
    ("locality-picture-in-no-edit", "entity", "pictures.locality", shows("locality", "flag-elba-2.png")),
    ("side-by-side", "semantic", "pictures.one_hop", one_hop(left="flag-elba-0.png")),
    ("side-by-side", "semantic", "pictures.one_hop", plan("port", side="right")),
    ("side-by-side", "semantic", "pictures.one_hop", one_hop(right="flag-boria-2.png")),
    ("side-by-side", "user", "pictures.one_hop", one_hop(right="nowhere.png")),
    ("picture-files", "entity", "pictures.locality", picture("locality", sha256="0" * 64)),
    ("picture-files", "entity", "pictures.locality", picture("locality", id="gone.png")),
    ("picture-files", "entity", "pictures", picture("edit", refused="its licence forbids redistribution")),
    ("picture-files", "entity", "pictures", picture("edit", licence="")),
    ("picture-files", "entity", "pictures", picture("edit", licence="CC-BY-NC-4.0")),
    ("locality-untouched", "entity", "t_loc.question", text(t_loc__question="The country beside Aland is")),
    ("locality-untouched", "entity", "t_loc.question", text(t_loc__question="The longest river of Drome is")),
    ("locality-untouched", "entity", "i_loc.answer", text(i_loc__answer="Alva")),
    ("grammar", "entity", "target", more("target", "It has a own anthem.")),
    ("grammar", "entity", "target", more("target", "It is the the best.")),
    ("grammar", "entity", "rephrase", text(rephrase="Say whose flag {x} is.")),
    ("grammar", "entity", "target", more("target", "It is old .")),
    ("grammar", "entity", "original", text(original="it is a flag.")),
    ("grammar", "entity", "original", text(original="It is a flag")),
    ("grammar", "entity", "target", more("target", "It is the a best.")),
    ("grammar", "entity", "target", more("target", "It is \x1b[31mred.")),
    ("grammar", "entity", "target", more("target", "It is \u202eder.")),
    ("grammar", "entity", "target", more("target", "It is <image> red.")),
    ("grammar", "entity", "target", more("target", "It is red </s>.")),
    ("grammar", "entity", "target", more("target", "It is red <|im_end|>.")),
    ("pointed-noun", "entity", "i_rel_1.question", text(i_rel_1__question="What capital lies in this bird?")),
    ("pointed-noun", "entity", "i_rel_2.question", text(i_rel_2__question="When were these flag founded?")),
    ("length", "entity", "target", text(target="Aland has Cordo since 1833.")),
    ("length", "entity", "prompt", text(prompt="Who?")),
    ("private-data", "entity", "target", more("target", "Write to king@palace.example.")),
    ("private-data", "entity", "target", more("target", "See www.aland.example/flag for more.")),
    ("private-data", "entity", "target", more("target", "Its office is +49 30 1234567.")),
    ("private-data", "entity", "target", more("target", f"Its key is sk-{'a1' * 12}.")),
    ("private-data", "entity", "target", more("target", "It is kept in 12 Castle Street.")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "kind", "place", "broken"), BROKEN)
def test_a_rule_finds_what_breaks_it_and_no_other_speaks_of_it(
    projects: dict[str, Project], rule: str, kind: str, place: str, broken: Break
) -> None:
    project = projects[kind]
    first, *others = records(project)
    found = check(project, [broken(first, project), *others])
    assert {(each.record, each.rule, each.place) for each in found} == {(first.id, rule, place)}


def test_every_rule_has_a_record_that_breaks_it() -> None:
    assert {rule for rule, *_ in BROKEN} | {"duplicate-records"} == set(registry.names("rules"))
    assert [rule.name for rule in rules().values()] == list(registry.names("rules"))


@pytest.mark.parametrize("kind", ["entity", "semantic", "user"])
def test_records_in_order_have_no_finding(projects: dict[str, Project], kind: str) -> None:
    found = check(projects[kind], records(projects[kind]))
    assert as_text(found, records=6) == "6 records: the rules find nothing"


def test_two_records_that_share_something_are_both_named(projects: dict[str, Project]) -> None:
    project = projects["entity"]
    made = records(project)
    made[1] = made[1].corrected({"target": made[0].texts["target"], "t_rel_1.question": "What is Aland’s capital?"})
    made[2] = made[2].corrected({"t_rel_1.question": "What is Aland’s capital?"})
    found = [finding for finding in check(project, made) if finding.rule == "duplicate-records"]
    assert [(each.record, each.place) for each in found] == [
        (made[0].id, "target"),
        (made[1].id, "target"),
        (made[1].id, "t_rel_1.question"),
        (made[2].id, "t_rel_1.question"),
    ]
    twice = check(project, [*records(project), records(project)[0]])
    assert {(each.rule, each.place) for each in twice} == {("duplicate-records", "id")}


def test_what_must_be_earlier_is_and_numbers_are_in_their_range(projects: dict[str, Project]) -> None:
    project = projects["entity"]

    def grammar(**limits: Any) -> Relation:
        return Relation(phrase="{x}", questions=("{x}?", "Is {x}?"), statement="{x} {value}", **limits)

    def told(**relations: Relation) -> list[str]:
        judged = replace(project, words=Words(relations, {}))
        return [each.message for each in check(judged, records(project)[:1]) if each.rule == "consistent-changes"]

    ended = draft(changes=(records(project)[0].edit.draft.changes[1],))(records(project)[0], project)
    assert ended.edit.draft.changes[0].after == "1833"
    assert told(founded=grammar(before="capital")) == []  # a capital is no year
    assert told(founded=grammar(range=(1900, 2000))) == ["founded '1833' is not from 1900 to 2000"]
    assert told(capital=grammar(range=(1, 5))) == ["capital 'Cordo' is not from 1 to 5"]
    first = records(project)[0]
    later = change("capital", relation="ended", after="1801", before=None)(first, project)
    judged = replace(project, words=Words({"founded": grammar(before="ended")}, {}))
    messages = [each.message for each in check(judged, [later]) if each.rule == "consistent-changes"]
    assert messages == ["founded '1833' is not before ended '1801'"]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("a owl", "an owl"),
        ("an bird", "a bird"),
        ("an university", "a university"),
        ("a hour", "an hour"),
        ("a 18th", "an 18th"),
        ("an one-way", "a one-way"),
        ("a X", "an X"),
        ("an European", "a European"),
        ("a umbrella", "an umbrella"),
        ("a unusual", "an unusual"),
        ("an ukulele", "a ukulele"),
        ("an horn", "a horn"),
    ],
)
def test_articles_fit_the_sound_of_the_next_word(wrong: str, right: str) -> None:
    assert wrong_article(*wrong.split())
    assert not wrong_article(*right.split())


@pytest.mark.parametrize(
    "question", ["Who rules these zodiac sign?", "Where are the sign in the image?", "Are these sign?"]
)
def test_a_noun_of_several_words_agrees_in_number_too(projects: dict[str, Project], question: str) -> None:
    project = projects["entity"]
    words = TypeWords(noun="zodiac sign", shown="the zodiac sign", on_side="the {side}", named="{name}", identity="y")
    judged = replace(project, words=Words({}, {"flag": words}))
    asked = [
        [
            each.message
            for each in check(judged, [text(i_rel_1__question=said)(records(project)[0], project)])
            if (each.rule, each.place) == ("pointed-noun", "i_rel_1.question")
        ]
        for said in (question, "Who rules this zodiac sign, and what is the sign in the image?")
    ]
    assert [len(messages) for messages in asked] == [1, 0]
    assert "does not agree in number" in asked[0][0]


def test_numbers_and_years_are_read_from_values() -> None:
    assert [number(text) for text in ("1,200 km", "12 000 people", "three", "-4.5 degrees")] == [
        1200,
        12000,
        None,
        -4.5,
    ]
    assert [year(text) for text in ("4 May 1901", "300 BC", "red")] == [1901, -300, None]


@pytest.mark.parametrize(
    "harmless",
    [
        "It has 1,427,647,786 people.",
        "It lasted from 1914 to 1918.",
        "It is 9 984 670 square kilometres large.",
        "The score was 3.5 to 2.",
        "It is made by ACME Ltd. and weighs 0.25 kg.",
        "It was 01 May 2001.",
    ],
)
def test_numbers_of_a_description_are_no_private_data(projects: dict[str, Project], harmless: str) -> None:
    project = projects["entity"]
    first = more("target", harmless)(records(project)[0], project)
    assert [each for each in check(project, [first]) if each.rule == "private-data"] == []


def test_a_name_that_two_things_have_needs_its_type_in_a_text_question(projects: dict[str, Project]) -> None:
    project = projects["entity"]
    first, second, *others = records(project)
    namesake = second.edit.draft.subject.model_copy(update={"id": "planet/aland", "name": "Aland", "type": "planet"})
    made = [first, draft(subject=namesake)(second, project), *others]
    found = [each for each in check(project, made) if each.rule == "one-answer" and each.record == first.id]
    assert [each.place for each in found] == ["t_rel_1.question", "t_rel_2.question"]
    assert found[0].message == "'Aland' is also the name of planet/aland"
    said = first.corrected({f"t_rel_{n}.question": f"What does the flag of Aland say of {n}?" for n in (1, 2)})
    found = check(project, [said, *made[1:]])
    assert [each for each in found if each.rule == "one-answer" and each.record == first.id] == []


def test_an_alias_that_is_the_name_of_another_thing_of_the_type_makes_two_answers(projects: dict[str, Project]) -> None:
    project = projects["entity"]
    first, second, *others = records(project)
    namesake = second.edit.draft.subject.model_copy(update={"aliases": ("ALAND",)})
    found = check(project, [first, draft(subject=namesake)(second, project), *others])
    assert {(each.record, each.place) for each in found if each.rule == "one-answer"} == {
        (first.id, "t_rel_1.question"),
        (first.id, "t_rel_2.question"),
    }


def test_a_rule_of_another_package_is_asked_too_and_named_where_it_fails(
    projects: dict[str, Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "building-export.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "their_rules.py").write_text(f"from mmke.build.protocols import Finding\n\n{code}")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint(name="no-colours", value="their_rules:make", group="mmke.rules")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])
    project = projects["entity"]
    red = more("target", "It is red.")(records(project)[0], project)
    assert [(each.rule, each.message) for each in check(project, [red])] == [("no-colours", "it says 'red'")]
    assert "no-colours: 1. Colours look different on every screen." in as_text(check(project, [red]), records=1)
    (tmp_path / "broken_rules.py").write_text(code.replace('"red" in', "record.nothing or"))
    broken = EntryPoint(name="broken", value="broken_rules:make", group="mmke.rules")
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken] if group == broken.group else [])
    with pytest.raises(BrokenPluginError, match=r"rule 'broken' \(broken_rules:make.*AttributeError"):
        check(project, [red])


def test_findings_are_told_by_rule_with_the_reason_and_as_json(projects: dict[str, Project]) -> None:
    project = projects["entity"]
    first = text(t_loc__answer="not at all hot but cold")(records(project)[0], project)
    found = check(project, [first])
    told = as_text(found, records=1)
    assert told.splitlines()[0] == "records with findings: 1 of 1; a record with findings is not exported"
    assert "short-answer: 1. An answer of more than 5 words" in told
    assert "  entity/flag/aland: t_loc.answer: 'not at all hot but cold' has 6 words, more than 5" in told
    assert json.loads(as_json(found))[0]["place"] == "t_loc.answer"


def test_a_picture_that_was_changed_by_hand_is_found(tmp_path: Path) -> None:
    with open_project(make_project(tmp_path), write=False) as project:
        (project.pictures_folder / "flag-boria-0.png").write_bytes(b"x")
        found = check(project, records(project))
    assert [(each.record, each.rule) for each in found] == [("entity/flag/aland", "picture-files")]
    assert "flag-boria-0.png was changed since it was collected" in found[0].message
