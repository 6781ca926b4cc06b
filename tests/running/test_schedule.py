"""Which case is scored in which state: the schedule of every setting, as events, without a model."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mmke.errors import UserError
from mmke.running.arranging import arrange
from mmke.running.schedule import Apply, Event, Examine, Leave, Open, Refer, Save, Score, Single, remaining, scores
from mmke.running.stream import Stream
from mmke.running.stream_settings import StreamSettings, check_stream, parse_moments, preset, settings_of
from mmke.types import Edit, EditCase, Probe, ProbeKind, Query

KIND = ProbeKind("t_rel", "T-Rel", "relation")


def case(id_: str, *, question: str = "What is this?", **tags: str) -> EditCase:
    return EditCase(id_, (Edit(Query(question), "new"),), (Probe(KIND, Query("q"), "a", tags),))


def cases(count: int) -> list[EditCase]:
    return [case(str(i)) for i in range(1, count + 1)]


def stream(
    count: int, *, fills_up: bool = False, train: Sequence[EditCase] = (), seed: int = 0, **given: Any
) -> Stream:
    settings = settings_of(None, {"order": "file", **given})
    return arrange(settings, cases(count), train, order_seed=seed, benchmark="b", fills_up=fills_up)


def scored(events: Sequence[Event]) -> list[tuple[str, tuple[str, ...]]]:
    """Return for each record the case and the cases that are in the model when it is scored."""
    found, inside = [], []
    for event in events:
        match event:
            case Open():
                inside = []
            case Apply(some):
                inside += [each.id for each in some]
            case Score(each, edits_applied):
                assert edits_applied == len(inside)
                found.append((each.id, tuple(inside)))
    return found


def test_a_gap_scores_each_case_once_after_so_many_further_edits() -> None:
    assert scored(stream(5, tests=3, score="gap:2").events(previous=False)) == [
        ("1", ("1", "2", "3")),
        ("2", ("1", "2", "3", "4")),
        ("3", ("1", "2", "3", "4", "5")),
    ]


def test_a_checkpoint_scores_every_case_so_far() -> None:
    one, three = ("1",), ("1", "2", "3")
    assert scored(stream(3, tests=3, score="at:1,3").events(previous=False)) == [
        ("1", one),
        ("1", three),
        ("2", three),
        ("3", three),
    ]


@pytest.mark.parametrize(("fills_up", "last"), [(False, [("5", ("5",))]), (True, [])])
def test_after_a_reset_the_model_is_the_unedited_one(*, fills_up: bool, last: list[Any]) -> None:
    events = stream(5, tests=0, reset=2, score="end", fills_up=fills_up).events(previous=False)
    first, second = ("1", "2"), ("3", "4")
    assert scored(events) == [("1", first), ("2", first), ("3", second), ("4", second), *last]


def test_a_batch_is_one_step_and_its_cases_have_one_position() -> None:
    built = stream(4, tests=2, batch=2, score="gap:2")
    four = ("1", "2", "3", "4")
    assert scored(built.events(previous=False)) == [("1", four), ("2", four)]
    assert [
        [each.id for each in event.cases] for event in built.events(previous=False) if isinstance(event, Apply)
    ] == [
        ["1", "2"],
        ["3", "4"],
    ]
    assert {event.position for event in scores(built.events(previous=False))} == {2}


@pytest.mark.parametrize("gap", [0, 1, 4])
def test_a_gap_applies_exactly_the_tests_and_the_gap(gap: int) -> None:
    events = stream(10, tests=5, score=f"gap:{gap}").events(previous=False)
    assert sum(len(event.cases) for event in events if isinstance(event, Apply)) == 5 + gap


def test_right_is_the_gap_of_none() -> None:
    assert parse_moments("right") == parse_moments("gap:0")
    assert scored(stream(3, tests=3, score="right").events(previous=False)) == [
        ("1", ("1",)),
        ("2", ("1", "2")),
        ("3", ("1", "2", "3")),
    ]


def test_a_case_is_scored_once_in_a_state_even_if_two_moments_ask_for_it() -> None:
    events = stream(4, tests=3, score="right,gap:1,at:1,2,3,end").events(previous=False)
    records = [(event.case.id, event.edits_applied) for event in scores(events)]
    assert len(records) == len(set(records)) == 7


def test_what_is_compared_with_is_asked_before_the_first_edit_and_never_again() -> None:
    events = stream(5, tests=5, reset=2, score="right,end").events(previous=False)
    first = next(i for i, event in enumerate(events) if isinstance(event, Apply))
    asked = [i for i, event in enumerate(events) if isinstance(event, Refer)]
    assert len(asked) == 5
    assert max(asked) < first
    assert isinstance(events[max(asked) + 1], Leave)


def test_before_scores_a_case_in_the_state_before_its_own_step() -> None:
    events = scores(stream(2, tests=2, score="before,right").events(previous=False))
    assert [(event.case.id, event.edits_applied, event.position) for event in events] == [
        ("1", 0, 1),
        ("1", 1, 1),
        ("2", 1, 2),
        ("2", 2, 2),
    ]


def test_distractors_come_first_and_are_in_every_state() -> None:
    built = stream(3, tests=2, distract=2, score="right,at:1,end", train=[case("t1"), case("t2")])
    assert [event.cases[0].id for event in built.events(previous=False) if isinstance(event, Apply)] == [
        "3",
        "t1",
        "1",
        "2",
    ]
    assert [(event.case.id, event.edits_applied, event.position) for event in scores(built.events(previous=False))] == [
        ("1", 3, 3),
        ("1", 4, 3),
        ("2", 4, 4),
    ]


def test_a_session_is_saved_at_checkpoints_before_they_are_scored_and_examined_after() -> None:
    events = stream(3, tests=3, score="at:2,3").events(previous=False)
    kinds = [type(event).__name__ for event in events if not isinstance(event, Refer)]
    assert kinds == [
        *("Open", "Examine", "Leave", "Open", "Apply", "Apply", "Save", "Score", "Score", "Examine"),
        *("Apply", "Save", "Score", "Score", "Score", "Examine", "Leave"),
    ]
    assert [event.step for event in events if isinstance(event, Save)] == [1, 2]
    assert [event.cases for event in events if isinstance(event, Examine)] == [(), ("1", "2"), ("1", "2", "3")]


def test_the_order_is_drawn_from_the_seed_and_not_from_the_file() -> None:
    settings = StreamSettings(tests=0, score="end")

    def order(some: Sequence[EditCase], seed: int) -> list[str]:
        built = arrange(settings, some, (), order_seed=seed, benchmark="b", fills_up=False)
        return [each.id for each in built.cases]

    there = cases(20)
    assert order(there, 1) == order(there[::-1], 1)
    assert order(there, 1) != order(there, 2)
    assert sorted(order(there, 1)) == sorted(each.id for each in there)


def test_groups_stay_together_and_hold_at_most_so_many_items() -> None:
    there = [case(f"{i}", question=f"My name is {'Ann' if i % 2 else 'Bob'}, what is this?") for i in range(8)]
    settings = settings_of(None, {"order": "grouped:user", "tests": 0, "items": 3, "groups": 1, "score": "end"})
    built = arrange(settings, there, (), order_seed=0, benchmark="b", fills_up=False)
    assert [{int(each.id) % 2 for each in session} for session in built.sessions] in ([{0}, {1}], [{1}, {0}])
    assert [len(session) for session in built.sessions] == [3, 3]


def test_the_preset_of_users_scores_the_first_case_of_each_user_after_all_of_them() -> None:
    there = [case(f"{i}", question=f"My name is U{i // 3}, what is this?") for i in range(9)]
    chosen = preset("mmke-users")
    settings = settings_of(chosen, {"groups": 3})
    events = arrange(settings, there, (), order_seed=0, benchmark="b", fills_up=False).events(previous=False)
    assert {len(inside) for _, inside in scored(events)} == {9}
    assert sorted(int(id_) // 3 for id_, _ in scored(events)) == [0, 1, 2]


def test_the_panel_is_the_same_sample_at_every_checkpoint_and_has_the_first_cases() -> None:
    events = stream(200, tests=200, panel=30, score="at:10,50,100,200", order="seed").events(previous=False)
    at = {
        state: {event.case.id for event in scores(events) if event.edits_applied == state}
        for state in (10, 50, 100, 200)
    }
    assert len(at[10]) == 10
    assert at[10] < at[50] < at[100] < at[200]
    assert 30 <= len(at[200]) <= 40


def test_partners_never_enter_the_stream() -> None:
    there = [case("a", partner="b"), case("b", partner="a"), case("c", partner="b"), case("d", partner="e"), case("e")]
    built = arrange(
        settings_of(None, {"order": "file", "tests": 0, "score": "end"}),
        there,
        (),
        order_seed=0,
        benchmark="b",
        fills_up=False,
    )
    assert [each.id for each in built.cases] == ["a", "c", "d"]
    assert "2 records are held out" in built.notes[0]
    settings = settings_of(None, {"order": "file", "tests": 0, "score": "end", "hold_out": "none"})
    whole = arrange(settings, there, (), order_seed=0, benchmark="b", fills_up=False)
    assert [each.id for each in whole.cases] == ["a", "b", "c", "d", "e"]


def test_the_floor_asks_every_scored_case_once_without_an_edit() -> None:
    floor = stream(4, tests=3, score="gap:1,end").floor()
    assert scored(floor) == [("1", ()), ("2", ()), ("3", ())]
    assert not any(isinstance(event, Apply) for event in floor)


def test_equal_settings_have_equal_names_and_others_have_others() -> None:
    names = {
        StreamSettings(**given).named(10)
        for given in (
            {},
            {"score": "end,right"},
            {"score": "right"},
            {"batch": 2},
            {"panel": 4},
            {"reset": 2},
            {"order": "file"},
            {"order": "grouped:user"},
            {"score": "at:1,3"},
            {"score": "at:13"},
            {"distract": 3},
        )
    }
    assert len(names) == 10
    assert "stream-seed-10x1-right-end" in names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tests": 9}, r"b has 5 records, fewer than --tests 9; take --tests 5"),
        ({"tests": 4, "score": "gap:2"}, r"--tests 4 and a gap of 2 take 6; take --tests 3, or a smaller gap"),
        ({"tests": 3, "score": "gap:5"}, "gap:5: b has 5 records, and a gap of 5 leaves none"),
        ({"tests": 3, "score": "at:4"}, "at:4: the stream ends after 3 cases"),
        ({"tests": 4, "batch": 2, "score": "at:3"}, "at:3: with --batch 2 no step ends there"),
        ({"tests": 4, "batch": 2, "score": "gap:3"}, "gap:3: with --batch 2 a gap is a multiple of 2"),
        ({"tests": 4, "reset": 2, "score": "gap:1"}, "gap:1: a session that is opened anew"),
        ({"tests": 4, "reset": 2, "score": "at:3"}, "at:3: each session ends after --reset 2"),
        ({"tests": 5, "distract": 3}, "--distract 3: b has 0 evaluation records behind the stream and 0 training"),
        ({"order": "grouped:colour"}, "record 1 has no tag 'colour'; it has none"),
        ({"order": "grouped:user"}, "the prompt of record 1 has no 'My name is NAME,'"),
        ({"order": "grouped:user"}, "name a benchmark that has it, such as mmke-user, or another --order"),
        ({"order": "random"}, "--order random: give seed, file, or grouped:"),
        ({"score": "now"}, "'now' is no moment"),
        ({"score": "at:0"}, "at:0 is the unedited model"),
        ({"score": ""}, "no moment"),
        ({"batch": 0}, "--batch 0"),
        ({"groups": 2}, "--groups is about groups"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_value_and_the_way_out(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as told:
        stream(5, **given)
    assert "\n" not in str(told.value)


def test_a_checkpoint_beyond_the_longest_session_of_groups_is_refused() -> None:
    there = [case(str(i), colour=colour) for i, colour in enumerate(("red", "red", "blue", "red", "blue"))]
    settings = StreamSettings(order="grouped:colour", groups=1, score="at:4")
    with pytest.raises(UserError, match="at:4: with --groups 1 the longest session ends after 3 cases"):
        arrange(settings, there, (), order_seed=0, benchmark="b", fills_up=False)
    reached = arrange(replace(settings, score="at:3"), there, (), order_seed=0, benchmark="b", fills_up=False)
    assert len(scored(reached.events(previous=False))) == 3


def test_a_preset_with_fewer_tests_leaves_out_checkpoints_beyond_them() -> None:
    chosen = settings_of(preset("lifelong"), {"tests": 4})
    fewer = arrange(chosen, cases(9), (), order_seed=0, benchmark="b", fills_up=False).settings
    assert (fewer.tests, str(fewer.moments)) == (4, "right,at:1,3,end")


def test_own_checkpoints_beyond_the_stream_are_told_where_the_end_is_none() -> None:
    chosen = settings_of(preset("lifelong"), {"score": "at:300"})
    with pytest.raises(UserError, match="at:300: the stream ends after 9 cases"):
        arrange(chosen, cases(9), (), order_seed=0, benchmark="b", fills_up=False)


def test_an_unknown_preset_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'lifelong'"):
        preset("livelong")


def test_every_preset_makes_sense() -> None:
    for name in ("single", "vlkeb-seq", "mmke-users", "liveedit", "memeic", "turns", "lifelong"):
        check_stream(settings_of(preset(name), {}))


def test_published_gaps_score_fewer_cases_where_the_file_has_too_few() -> None:
    built = stream(5, tests=5, score="gap:2", fills_up=True)
    assert [id_ for id_, _ in scored(built.events(previous=False))] == ["1", "2", "3"]
    assert "3 of 5 records are scored" in built.notes[0]


def test_lifelong_takes_a_small_benchmark_whole_with_the_checkpoints_that_it_reaches() -> None:
    settings = settings_of(preset("lifelong"), {})
    built = arrange(settings, cases(180), (), order_seed=0, benchmark="b", fills_up=False)
    assert built.tests == 180
    assert str(built.settings.moments) == "right,at:1,3,10,30,100,end"


def test_the_single_schedule_asks_the_next_case_only_where_a_metric_compares_with_it() -> None:
    kinds = [type(event).__name__ for event in Single(cases(2)).events(previous=True)]
    assert kinds == [
        *("Open", "Refer", "Apply", "Score", "Refer", "Leave"),
        *("Open", "Refer", "Apply", "Score", "Leave"),
    ]
    assert len(Single(cases(2)).events(previous=False)) == 10


def test_what_is_left_has_the_edits_that_it_needs_and_no_others() -> None:
    def left(events: Sequence[Event], done: set[tuple[str, int]]) -> list[str]:
        found = remaining(
            events, lambda event: isinstance(event, Examine) or (event.case.id, event.edits_applied) in done
        )
        return [
            type(each).__name__ + getattr(getattr(each, "case", None), "id", "") + str(getattr(each, "step", "") or "")
            for each in found
        ]

    single = Single(cases(3)).events(previous=True)
    assert left(single, {("1", 1)})[:5] == ["Open", "Apply", "Refer2", "Leave", "Open"]
    assert left(single, {("1", 1), ("2", 1), ("3", 1)}) == []
    streamed = stream(3, tests=3, score="right").events(previous=False)
    assert left(streamed, {("1", 1), ("3", 3)}) == [
        "Open",
        "Refer2",
        "Leave",
        "Open",
        "Apply",
        "Apply1",
        "Score2",
        "Leave",
    ]
