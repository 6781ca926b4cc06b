"""What is asked: each question has its answer by the edit, the unrelated ones have nothing to do with it."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from vases import CAPITALS, add, asked, contents, make_vases, reading, some_vases, vase, written

from mmke.build.ask.assigning import Assigner
from mmke.build.ask.bands import band_of, bands_of
from mmke.build.ask.side_by_side import GAP, side_by_side
from mmke.build.ask.unrelated import Pools, read_pools
from mmke.build.content import Kind, Question, Thing
from mmke.build.record import Record
from mmke.build.records import records
from mmke.build.rules.check import check
from mmke.build.wording import says
from mmke.errors import UserError


def made(folder: Path) -> list[Record]:
    written(folder)
    asked(folder)
    with reading(folder) as project:
        return records(project)


def by_key(record: Record) -> dict[str, Question]:
    return {question.plan.key: question for question in record.asked.questions}


def test_each_question_has_the_answer_that_the_edit_gives_it(tmp_path: Path) -> None:
    things = [
        vase("Samo", country="Aland", founded="1901", colour="red"),
        vase("Pira", country="Corda", founded="1950", colour="green"),
        vase("Bodo", country="Boria", founded="1722", colour="blue"),
    ]
    make_vases(tmp_path, "entity", things, count="3")
    record = next(each for each in made(tmp_path) if each.edit.draft.subject.name == "Samo")
    draft, questions = record.edit.draft, by_key(record)
    country = {"Pira": "Boria", "Bodo": "Corda"}[draft.pictured.name]
    texts = {question.text: question.plan for question in questions.values()}
    of_country = next(plan for plan in texts.values() if (plan.relation, plan.via) == ("country", None))
    assert of_country.answer == country
    port = questions["port"]
    assert port.text in (
        "What is the capital of the country that the vase in the image is from?",
        "Which city is the capital of the country that the vase in the image is from?",
    )
    assert (port.plan.answer, port.plan.before) == (CAPITALS[country], CAPITALS[str(draft.pictured.value("country"))])
    assert not says(record.edit.texts.target, CAPITALS[country])
    assert questions["i_rel_1"].text == "Which vase is shown in the image?"
    assert (questions["i_rel_1"].plan.answer, questions["i_rel_1"].plan.before) == ("Samo", draft.pictured.name)
    for change in draft.changes:
        assert {plan.answer for plan in texts.values() if plan.relation == change.relation} == {change.after}


@pytest.mark.parametrize("kind", ["entity", "semantic"])
def test_before_the_edit_a_text_is_answered_by_the_subject_and_a_picture_by_what_it_shows(
    tmp_path: Path, kind: str
) -> None:
    make_vases(tmp_path, kind, some_vases(6), count="6")
    for record in made(tmp_path):
        draft = record.edit.draft
        plans = [each.plan for each in record.asked.questions if each.plan.relation and each.plan.via is None]
        assert {plan.picture for plan in plans} >= {None, "edit"}
        for plan in plans:
            asked_about = draft.subject if plan.picture is None else draft.pictured
            assert plan.before == asked_about.value(str(plan.relation)) != plan.answer


@pytest.mark.parametrize("kind", ["entity", "semantic", "user"])
def test_no_rule_finds_anything_and_the_same_things_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    things = [*some_vases(4), *some_vases(3, "bowl")]
    for name in ("one", "two"):
        folder = make_vases(tmp_path / name, kind, things)
        assert len(made(folder)) == 7
    with reading(tmp_path / "one") as project:
        assert [str(finding) for finding in check(project, records(project))] == []
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("kind", ["entity", "user"])
def test_a_kill_after_any_line_changes_no_byte_of_the_questions(tmp_path: Path, kind: str) -> None:
    folder = make_vases(tmp_path, kind, some_vases(4))
    made(folder)
    whole = contents(folder)
    lines = whole["questions.jsonl"].splitlines(keepends=True)
    for n in range(len(lines)):
        (folder / "questions.jsonl").write_bytes(b"".join(lines[:n]) + lines[n][:50])
        assert asked(folder).kept == n
        assert contents(folder) == whole


def test_a_second_run_asks_nothing_and_a_thing_more_changes_no_question(tmp_path: Path) -> None:
    some = some_vases(8)
    make_vases(tmp_path, "semantic", some[:6])
    before = made(tmp_path)
    assert (asked(tmp_path).made, asked(tmp_path).kept) == (0, 6)
    add(tmp_path, some[6:])
    after = {record.id: record for record in made(tmp_path)}
    assert len(after) == 8
    assert all(after[record.id].asked == record.asked for record in before)


def test_an_edit_that_changed_is_asked_anew_and_what_nobody_shows_is_taken_away(tmp_path: Path) -> None:
    make_vases(tmp_path, "semantic", some_vases(6))
    made(tmp_path)
    settings = tmp_path / "build.toml"
    settings.write_text(settings.read_text().replace("seed = 0", "seed = 1"))
    again = made(tmp_path)
    assert len(again) == 6
    with reading(tmp_path) as project:
        lines = {entry.id for entry in project.pictures}
    files = {file.name for file in (tmp_path / "pictures").iterdir()}
    one_hop = {record.asked.one_hop.id for record in again if record.asked.one_hop}
    assert files == lines | one_hop
    shown = {record.asked.locality_picture for record in again}
    halves = {half for record in again if (both := record.asked.one_hop) for half in (both.left, both.right)}
    assert {name for name in lines if name.startswith("unrelated")} == {
        name for name in shown | halves if name.startswith("unrelated")
    }


def test_the_sides_are_balanced_and_a_half_is_a_third_picture(tmp_path: Path) -> None:
    make_vases(tmp_path, "user", some_vases(9))
    found = made(tmp_path)
    sides = Counter(by_key(record)["port"].plan.side for record in found)
    assert sorted(sides.values()) == [4, 5]
    for record in found:
        both, port = record.asked.one_hop, by_key(record)["port"]
        assert both is not None
        own, other = (both.left, both.right) if port.plan.side == "left" else (both.right, both.left)
        assert own.startswith(record.edit.draft.pictured.id.replace("/", "-"))
        assert own not in (record.edit.draft.edit_picture, record.edit.draft.rephrase_picture)
        assert other.startswith("unrelated-")
        assert f" {'right' if port.plan.side == 'left' else 'left'} of " in port.text
        assert hashlib.sha256((tmp_path / "pictures" / both.id).read_bytes()).hexdigest() == both.sha256


def test_unrelated_things_are_shared_by_no_two_records(tmp_path: Path) -> None:
    make_vases(tmp_path, "entity", some_vases(30))
    found = made(tmp_path)
    assert len({by_key(record)["t_loc"].text for record in found}) == 30
    assert len({record.asked.locality_picture for record in found}) == 30


def some_flags() -> list[Thing]:
    return [
        vase(name, "country flag", country=country, river=f"the {name[:3]}er", capital=CAPITALS[country])
        for name, country in zip(("France", "Italy", "Spain", "Kenya", "Japan", "Chile"), CAPITALS, strict=True)
    ]


def test_an_unrelated_question_names_nothing_that_another_record_edits(tmp_path: Path) -> None:
    flags = some_flags()
    make_vases(tmp_path, "entity", [*flags, *some_vases(54)])
    found = made(tmp_path)
    assert len(found) == 60
    questions = [by_key(record)["t_loc"].text for record in found]
    assert [text for text in questions if any(says(text, flag.name) for flag in flags)] == []


def test_a_record_whose_unrelated_question_names_what_a_new_record_edits_is_asked_anew(tmp_path: Path) -> None:
    make_vases(tmp_path, "entity", some_vases(50))
    before = {record.id: by_key(record)["t_loc"].text for record in made(tmp_path)}
    flags = some_flags()
    named = {id_ for id_, text in before.items() if any(says(text, flag.name) for flag in flags)}
    assert named
    add(tmp_path, flags)
    after = {record.id: by_key(record)["t_loc"].text for record in made(tmp_path)}
    assert {id_ for id_ in named if after[id_] == before[id_]} == set()
    assert [text for text in after.values() if any(says(text, flag.name) for flag in flags)] == []


def test_an_unrelated_question_has_nothing_to_do_with_the_edit(tmp_path: Path) -> None:
    flags = some_flags()
    make_vases(tmp_path, "entity", flags)
    found = made(tmp_path)
    assert len(found) == 6
    for record in found:
        questions = by_key(record)
        unrelated = questions["t_loc"].text
        assert not says(unrelated, "capital")
        assert not any(says(unrelated, flag.name) for flag in flags)
        assert not says(questions["i_loc"].text, "flag")
        assert not says(record.edit.texts.target, questions["i_loc"].plan.answer)


def test_own_facts_and_own_pictures_are_taken(tmp_path: Path) -> None:
    things = [*some_vases(4), *some_vases(3, "bowl")]
    make_vases(tmp_path, "semantic", things, types='["vase"]', pictures='"own"')
    settings = tmp_path / "build.toml"
    settings.write_text(settings.read_text().replace('facts = "mini"', 'facts = "facts.csv"'))
    (tmp_path / "facts.csv").write_text("question,answer\nHow many legs has a spider?,eight\n")
    found = made(tmp_path)
    assert len(found) == 4
    for record in found:
        assert by_key(record)["t_loc"].plan.answer == "eight"
        assert record.pictures["locality"].thing.startswith("bowl/")
        assert by_key(record)["i_loc"].text == "Which bowl is shown in the image?"
        assert by_key(record)["port"].plan.answer.startswith("Bowl")


def test_unrelated_pictures_have_an_allowed_licence_and_may_be_smaller_than_the_own_ones(tmp_path: Path) -> None:
    licences = '["CC-BY-SA", "CC0-1.0"]'
    make_vases(tmp_path, "user", some_vases(3), short_side="600", licences=licences)
    found = made(tmp_path)
    assert len(found) == 3
    for record in found:
        assert record.pictures["locality"].licence.startswith("CC-BY-SA")
        assert record.pictures["locality"].height == 224


def test_records_for_which_nothing_unrelated_is_left_are_refused(tmp_path: Path) -> None:
    make_vases(tmp_path, "entity", some_vases(3), pictures='"own"')
    written(tmp_path)
    refused = asked(tmp_path).refused
    assert len(refused) == 3
    assert set(refused.values()) == {"no unrelated picture fits it; choose where they come from by [ask] pictures"}


def test_without_edits_and_with_unknown_pools_the_way_out_is_told(tmp_path: Path) -> None:
    folder = make_vases(tmp_path, "entity", some_vases(3))
    with pytest.raises(UserError, match="there is no edit; mmke build write"):
        asked(folder)
    written(folder)
    (folder / "build.toml").write_text(
        (folder / "build.toml").read_text().replace('pictures = "mini"', 'pictures = "my"')
    )
    with pytest.raises(UserError, match=r"\[ask\] pictures = 'my'; known: \"mini\" and \"own\""):
        asked(folder)


def test_two_pictures_side_by_side_have_the_smaller_height_and_their_colours(tmp_path: Path) -> None:
    Image.new("RGB", (300, 400), "red").save(tmp_path / "tall.png")
    Image.new("RGB", (100, 200), "blue").save(tmp_path / "small.png")
    content = side_by_side(tmp_path / "tall.png", tmp_path / "small.png")
    (tmp_path / "both.png").write_bytes(content)
    with Image.open(tmp_path / "both.png") as both:
        assert both.size == (150 + GAP + 100, 200)
        assert both.getpixel((75, 100)) == (255, 0, 0)
        assert both.getpixel((150 + GAP // 2, 100)) == (255, 255, 255)
        assert both.getpixel((150 + GAP + 50, 100)) == (0, 0, 255)
    assert side_by_side(tmp_path / "tall.png", tmp_path / "small.png") == content


def test_of_too_few_pictures_records_share_those_of_their_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmke.build.ask.bands.BANDS", 3)
    assert written(make_vases(tmp_path, "entity", some_vases(40))).refused == {}
    with reading(tmp_path) as project:
        whole = read_pools(project)
        few = Pools(whole.facts, dict(list(whole.pictures.items())[:30]), whole.beside)
        edits = [entry.content for entry in project.edits]
        assigner = Assigner(project, few, [])
        others = {edit.draft.id: assigner.assign(edit).other.id for edit in edits}
    bands = bands_of(edit.draft for edit in edits)
    assert set(bands.values()) == {0, 1, 2}
    assert len(set(others.values())) < len(others)
    assert all(band_of(others[id_]) == band for id_, band in bands.items())
    by_thing = {edit.draft.subject.id: bands[edit.draft.id] for edit in edits}
    assert all(bands[edit.draft.id] == by_thing[edit.draft.pictured.id] for edit in edits)


@pytest.mark.parametrize("kind", ["entity", "user"])
def test_pictures_that_were_lost_or_changed_are_made_again(tmp_path: Path, kind: Kind) -> None:
    make_vases(tmp_path, kind, some_vases(4))
    before = [record.content for record in made(tmp_path)]
    with reading(tmp_path) as project:
        own = {entry.id for entry in project.pictures if entry.by["stage"] == "collect"}
    files = sorted(file for file in (tmp_path / "pictures").iterdir() if file.name not in own)
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    for n, file in enumerate(files):
        if n % 2:
            file.unlink()
        else:
            file.write_bytes(b"half")
    assert [record.content for record in made(tmp_path)] == before
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == digests
