"""What tables understand of a stream's settings is what its schedule does."""

from typing import Any

import pytest
from stream_kit import step

from mmke.report.streams.plan import Plan
from mmke.running.arranging import arrange
from mmke.running.schedule import Apply, Score
from mmke.running.stream import Stream
from mmke.running.stream_settings import StreamSettings
from mmke.types import Edit, EditCase, Probe, ProbeKind, Query

KIND = ProbeKind("t_rel", "T-Rel", "relation")


def stream_of(cases: int = 12, **settings: Any) -> Stream:
    made = [
        EditCase(f"{i:02d}", (Edit(Query("q"), "a"),), (Probe(KIND, Query("q"), "a", {"group": f"{i // 3}"}),))
        for i in range(cases)
    ]
    return arrange(StreamSettings(**settings), made, made, order_seed=1, benchmark="own", fills_up=False)


def steps_and_scores(stream: Stream) -> tuple[list[Any], list[Score]]:
    events = stream.events(previous=False)
    applied = [event for event in events if isinstance(event, Apply)]
    steps = [
        step(event.edits_applied, number=number, cases=tuple(case.id for case in event.cases))
        for number, event in enumerate(applied)
    ]
    return steps, [event for event in events if isinstance(event, Score)]


@pytest.mark.parametrize(
    "settings",
    [
        {"tests": 6, "score": "right,at:1,3,end"},
        {"tests": 6, "score": "end", "batch": 4},
        {"tests": 5, "score": "right,at:1,end", "reset": 2},
        {"tests": 4, "score": "at:2,end", "distract": 3},
        {"tests": 4, "score": "end", "distract": 2, "reset": 2},
        {"tests": 0, "score": "end", "order": "grouped:group", "groups": 2, "items": 2},
        {"tests": 0, "score": "right", "reset": 1},
        {"tests": 4, "score": "right,gap:2,end"},
    ],
)
def test_every_case_is_scored_last_in_the_state_that_is_told_as_its_end(settings: dict[str, Any]) -> None:
    stream = stream_of(**settings)
    plan = Plan.of(stream.described())
    steps, scores = steps_and_scores(stream)
    ends = plan.ends(steps)
    for case in stream.scored:
        states = {event.edits_applied for event in scores if event.case.id == case}
        assert ends(case) in states
        assert plan.asked.gaps or max(states) == ends(case)


@pytest.mark.parametrize(
    ("settings", "checkpoints"),
    [
        ({"tests": 6, "score": "right,at:1,3,end"}, [1, 3, 6]),
        ({"tests": 4, "score": "at:2,end", "distract": 3}, [5, 7]),
        ({"tests": 5, "score": "at:1,end", "reset": 2}, [1, 2]),
        ({"tests": 4, "score": "right,gap:2"}, []),
    ],
)
def test_checkpoints_are_the_states_in_which_all_cases_so_far_are_scored(
    settings: dict[str, Any], checkpoints: list[int]
) -> None:
    stream = stream_of(**settings)
    asked = Plan.of(stream.described()).asked
    assert asked.checkpoints == checkpoints
    assert asked.end == ("end" in settings["score"])
    _, scores = steps_and_scores(stream)
    assert set(checkpoints) <= {event.edits_applied for event in scores}


def test_gaps_are_the_ages_at_which_each_case_is_scored() -> None:
    stream = stream_of(tests=4, score="right,gap:1,gap:3")
    plan = Plan.of(stream.described())
    _, scores = steps_and_scores(stream)
    ages = [event.edits_applied - (event.position or 0) for event in scores]
    assert plan.gaps == (0, 1, 3)
    assert {gap: ages.count(gap) for gap in plan.gaps} == {0: 4, 1: 4, 3: 4}


def test_a_checkpoint_at_the_last_case_is_the_end() -> None:
    assert Plan.of(stream_of(tests=4, score="at:4").described()).asked.end
