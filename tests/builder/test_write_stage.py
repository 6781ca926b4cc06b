"""What an edit alters: drawn values are never true, fit together, and stay when things are added."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vases import CAPITALS, Quiet, add, contents, make_vases, reading, some_vases, vase, written

from mmke.build.ask.stage import ask
from mmke.build.content import Draft, Kind, Thing
from mmke.build.project import open_project
from mmke.build.records import records
from mmke.build.wording import says
from mmke.build.words import read_words
from mmke.build.write.changes import Exchange, draw_changes
from mmke.build.write.groups import groups
from mmke.build.write.stage import dry
from mmke.errors import CannotWriteError, UserError


def drafts(folder: Path) -> dict[str, Draft]:
    with reading(folder) as project:
        return {entry.id: entry.content.draft for entry in project.edits}


def test_the_description_holds_the_new_values_and_none_of_the_replaced_ones(tmp_path: Path) -> None:
    subject = vase("Samo", country="Aland", founded="1901", colour="red")
    pictured = vase("Pira", country="Corda", founded="1950", colour="green")
    lender = vase("Bodo", country="Boria", founded="1722", colour="blue")
    make_vases(tmp_path, "entity", [subject, pictured, lender], count="3")
    assert written(tmp_path).refused == {}
    with reading(tmp_path) as project:
        edits = {entry.content.draft.subject.name: entry.content for entry in project.edits}
    assert len(edits) == 3
    for edit in edits.values():
        target = edit.texts.target
        assert says(target, edit.draft.subject.name)
        assert not says(target, edit.draft.pictured.name)
        assert says(edit.texts.original, edit.draft.pictured.name)
        for change in edit.draft.changes:
            assert says(target, change.after)
            assert not says(target, str(change.before))
    of_samo = {change.relation: (change.before, change.after) for change in edits["Samo"].draft.changes}
    other = {"Pira": lender, "Bodo": pictured}[edits["Samo"].draft.pictured.name]
    assert of_samo == {
        relation: (subject.value(relation), other.value(relation)) for relation in ("country", "founded", "colour")
    }


VALUES = st.sampled_from(list(CAPITALS))
YEARS = st.integers(1480, 2010).map(str)


@st.composite
def things(draw: st.DrawFn) -> list[Thing]:
    """Draw things whose values often agree, and whose firms are sometimes closed."""
    made = []
    for n in range(draw(st.integers(3, 9))):
        facts = {"country": draw(VALUES), "rival": draw(VALUES), "founded": draw(YEARS)}
        if draw(st.booleans()):
            facts["closed"] = draw(YEARS)
        made.append(vase(f"Vase{chr(97 + n)}", **facts))
    return made


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(things=things(), seed=st.integers(0, 3), wanted=st.integers(2, 4))
def test_no_new_value_is_true_or_said_twice_and_all_fit_together(things: list[Thing], seed: int, wanted: int) -> None:
    before = {
        "phrase": "{x}",
        "questions": ["{x}?", "Is {x}?"],
        "statement": "{x} was founded in {value}.",
        "before": "closed",
    }
    words = read_words({"founded": {**before, "range": [1500, 2000]}}, {}, place=Path("build.toml"))
    subject, pictured = things[:2]
    try:
        changes = draw_changes(Exchange("entity", subject, pictured, things, words, (seed,)), wanted)
    except CannotWriteError:
        return
    assert 2 <= len(changes) <= wanted
    after = [change.after for change in changes]
    true = {fact.value for thing in (subject, pictured) for fact in thing.facts}
    assert not true & set(after)
    assert len(set(after)) == len(after)
    lenders = {thing.id: thing for thing in things[2:]}
    for change in changes:
        assert change.before == subject.value(change.relation)
        assert lenders[str(change.taken_from)].value(change.relation) == change.after
    values = {fact.relation: fact.value for fact in subject.facts} | {each.relation: each.after for each in changes}
    changed = {change.relation for change in changes}
    if {"founded", "closed"} & changed:
        assert int(values["founded"]) < int(values.get("closed", "9999"))
    if "founded" in changed:
        assert 1500 <= int(values["founded"]) <= 2000
    further = [fact.value for change in changes for fact in change.further]
    assert any(value not in {CAPITALS[str(subject.value("country"))], *after} for value in further)


@given(count=st.integers(1, 40), cut=st.integers(0, 40), seed=st.integers(0, 5))
def test_groups_are_pairs_and_one_triple_and_are_closed_as_they_were_begun(count: int, cut: int, seed: int) -> None:
    names = [f"thing {n}" for n in range(count)]
    whole = groups(names, {}, seed)
    assert whole.begun == []
    assert (whole.alone is not None) == (count == 1)
    assert sorted(map(len, whole.fresh))[:-1] == [2] * (len(whole.fresh) - 1)
    links = [link for group in whole.fresh for link in group]
    assert len({link.subject for link in links}) == len({link.pictured for link in links}) == len(links)
    kept = dict(links[:cut])
    rest = groups(names, kept, seed)
    assert [*rest.begun, *(link for group in rest.fresh for link in group)] == links[len(kept) :]


def test_a_thing_more_changes_no_draft(tmp_path: Path) -> None:
    some = some_vases(9)
    make_vases(tmp_path, "entity", some[:6])
    written(tmp_path)
    before, bytes_before = drafts(tmp_path), contents(tmp_path)["edits.jsonl"]
    add(tmp_path, some[6:])
    outcome = written(tmp_path)
    assert (outcome.made, outcome.kept) == (3, 6)
    after = drafts(tmp_path)
    assert {id_: after[id_] for id_ in before} == before
    assert contents(tmp_path)["edits.jsonl"].startswith(bytes_before)
    pictured = [draft.pictured.id for draft in after.values()]
    assert len(set(pictured)) == len(pictured) == 9


def test_a_thing_that_changed_is_drawn_again_and_the_others_stay(tmp_path: Path) -> None:
    some = some_vases(8)
    make_vases(tmp_path, "entity", some)
    written(tmp_path)
    before = drafts(tmp_path)
    changed = some[0].model_copy(update={"facts": some[0].facts[:3]})
    add(tmp_path, [changed])
    written(tmp_path)
    after = drafts(tmp_path)
    touched = {
        id_
        for id_, draft in before.items()
        if some[0].id in {draft.subject.id, draft.pictured.id, *(change.taken_from for change in draft.changes)}
    }
    assert {id_: after[id_] for id_ in before if id_ not in touched} == {
        id_: draft for id_, draft in before.items() if id_ not in touched
    }
    assert after[f"entity/{changed.id}"].subject == changed


@pytest.mark.parametrize("kind", ["entity", "semantic", "user"])
def test_a_kill_after_any_line_changes_no_byte(tmp_path: Path, kind: str) -> None:
    folder = make_vases(tmp_path / "whole", kind, some_vases(7), count="5")
    written(folder)
    whole = contents(folder)["edits.jsonl"]
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 5
    for n in range(len(lines)):
        (folder / "edits.jsonl").write_bytes(b"".join(lines[:n]) + lines[n][:40])
        written(folder)
        assert contents(folder)["edits.jsonl"] == whole


def test_types_take_turns_and_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    alone = vase("Solo", "jug", country="Aland", founded="1800")
    plain = vase("Plain", founded="1900")
    make_vases(tmp_path, "entity", [*some_vases(10), *some_vases(4, "bowl"), alone, plain], count="30")
    outcome = written(tmp_path)
    types = [draft.subject.type for draft in drafts(tmp_path).values()]
    assert (types.count("vase"), types.count("bowl")) == (10, 4)
    assert [*zip(types[:8:2], types[1:8:2], strict=True)] in (
        [("vase", "vase"), ("bowl", "bowl")] * 2,
        [("bowl", "bowl"), ("vase", "vase")] * 2,
    )
    assert outcome.refused == {
        "jug/solo": "no other thing of the type jug is left for it to exchange pictures with",
        "vase/plain": "1 fact, and kind entity needs 2",
    }
    assert outcome.notes[0].startswith("14 of the 30 records that `count` asks for can be made of the 16 things: 1 x ")


def test_fewer_records_than_things_are_as_many_as_wanted(tmp_path: Path) -> None:
    make_vases(tmp_path, "entity", some_vases(9), count="5")
    assert written(tmp_path).made == 5
    assert written(tmp_path).kept == 5


@pytest.mark.parametrize(
    ("things", "reason"),
    [
        (
            [vase("A", country="Aland", colour="red"), vase("B", country="Aland", colour="red")],
            "lends it another value",
        ),
        (
            [
                vase("A", size="1", colour="red"),
                vase("B", size="2", colour="green"),
                vase("C", size="3", colour="blue"),
            ],
            "leads to a further fact",
        ),
    ],
)
def test_a_thing_whose_facts_cannot_be_altered_is_refused(tmp_path: Path, things: list[Thing], reason: str) -> None:
    make_vases(tmp_path, "entity", things)
    refused = written(tmp_path).refused
    assert set(refused) == {thing.id for thing in things}
    assert all(reason in why for why in refused.values())


def test_another_seed_draws_otherwise_and_the_same_draws_the_same(tmp_path: Path) -> None:
    some = some_vases(12)
    for name, seed in (("one", "0"), ("two", "0"), ("three", "1")):
        written(make_vases(tmp_path / name, "entity", some, seed=seed))
    one, two, three = (contents(tmp_path / name)["edits.jsonl"] for name in ("one", "two", "three"))
    assert one == two
    assert one != three


def test_the_meaning_is_altered_and_the_looks_are_those_of_what_is_pictured(tmp_path: Path) -> None:
    make_vases(tmp_path, "semantic", some_vases(6))
    written(tmp_path)
    with reading(tmp_path) as project:
        for entry in project.edits:
            draft, texts = entry.content.draft, entry.content.texts
            assert draft.changes[0].relation == "meaning"
            assert draft.pictured.looks in texts.target
            assert draft.pictured.looks in texts.original
            assert says(texts.target, draft.changes[0].after)


def test_users_have_names_of_their_own_and_tell_facts_in_the_second_person(tmp_path: Path) -> None:
    make_vases(tmp_path, "user", some_vases(12))
    written(tmp_path)
    with reading(tmp_path) as project:
        edits = [entry.content for entry in project.edits]
    assert len({edit.draft.user for edit in edits}) == 12
    for edit in edits:
        assert edit.draft.subject == edit.draft.pictured
        assert says(edit.texts.prompt, str(edit.draft.user))
        assert says(edit.texts.target, "your") or says(edit.texts.target, "you")
        assert edit.texts.original == edit.texts.target
        assert all(change.before is None and says(edit.texts.target, change.after) for change in edit.draft.changes)


def test_a_projects_own_names_and_lists_stand_in_the_place_of_those_of_mmke(tmp_path: Path) -> None:
    folder = make_vases(tmp_path, "user", some_vases(3))
    plain = (folder / "build.toml").read_text()
    told = (
        '[user_words.lists]\nplaces = ["Nearby"]\n[[user_words.names]]\ngiven = ["{}"]\nfamily = ["A", "B", "C", "D"]\n'
    )
    for first in ("Ada", "Tom"):
        (folder / "build.toml").write_text(plain + told.format(first))
        written(folder)
        found = drafts(folder).values()
        assert len({draft.user for draft in found}) == 3
        assert {str(draft.user).split()[0] for draft in found} == {first}
        places = {change.after for draft in found for change in draft.changes if change.relation == "first met in"}
        assert places == {"Nearby"}


def test_an_unknown_table_of_user_words_is_refused(tmp_path: Path) -> None:
    folder = make_vases(tmp_path, "user", some_vases(2))
    with (folder / "build.toml").open("a") as out:
        out.write('[user_words.list]\nplaces = ["Nearby"]\n')
    with pytest.raises(UserError, match=r"\[user_words\]: unknown key 'list'; did you mean 'lists'"):
        written(folder)


def test_a_type_with_an_unknown_tie_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    folder = make_vases(tmp_path, "user", some_vases(2))
    with (folder / "build.toml").open("a") as out:
        out.write(
            '[type_words.vase]\nnoun = "vase"\nshown = "the vase in the image"\non_side = "the vase on the {side}"\n'
            'named = "the {name}"\nidentity = "Which vase is it?"\nties = ["belongin"]\n'
        )
    refused = written(folder).refused
    assert set(refused.values()) == {"its type has the unknown tie 'belongin'; did you mean 'belonging'?"}


def test_nothing_collected_and_unknown_types_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was collected"):
        written(make_vases(tmp_path / "empty", "entity", []))
    with pytest.raises(UserError, match="changes = 1: kind entity asks about 2 altered facts; raise it"):
        written(make_vases(tmp_path / "one", "entity", some_vases(3), changes="1"))
    with pytest.raises(UserError, match="no collected thing is of the type 'vas'; did you mean 'vase'"):
        written(make_vases(tmp_path / "vas", "entity", some_vases(2), types='["vas"]'))


def test_a_dry_run_says_how_many_would_be_written(tmp_path: Path) -> None:
    make_vases(tmp_path, "entity", some_vases(6), count="4")
    with open_project(tmp_path, write=False) as project:
        assert dry(project) == "templates would write 4 edits with questions; there already: 0"
    written(tmp_path)
    with open_project(tmp_path, write=False) as project:
        assert dry(project) == "templates would write 0 edits with questions; there already: 4"


@pytest.mark.parametrize("kind", ["entity", "semantic"])
def test_braces_in_names_types_relations_and_values_are_only_text(tmp_path: Path, kind: Kind) -> None:
    countries = list(CAPITALS)
    things = [
        vase(f"{{name}} {n}", "{noun}", country=countries[n], meaning=f"{{value}} {n}", **{"{x} of": f"{{x}}{n}"})
        for n in range(4)
    ]
    make_vases(tmp_path, kind, things)
    assert written(tmp_path).refused == {}
    with open_project(tmp_path) as project:
        assert ask(project, Quiet()).refused == {}
        for record in records(project):
            assert all(says(record.texts["target"], change.after) for change in record.edit.draft.changes)
            assert "{noun}" in record.texts["port.question"]
