"""Abilities at the checkpoints of a stream: what is asked when, also after a kill, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from mmke.abilities.suites import Wanted, draw
from mmke.errors import UserError
from mmke.results.abilities import ABILITIES, AbilityRecord, read_abilities
from mmke.results.finished import ROWS
from mmke.results.states import STATES
from mmke.running import health
from mmke.running.abilities import answered
from mmke.running.journal import Journal
from mmke.running.loading import load_backbone
from mmke.running.planning import plan
from mmke.running.request import Request, check_request
from mmke.running.run import run
from mmke.running.stream_settings import StreamSettings

WANTED = Wanted(("held-out",), limit=3)
SETTINGS = StreamSettings(tests=2, score="right,at:1,end")


class Killed(BaseException):
    """The program was ended."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a small part of the text."""
    passages, beginnings = health.asked()
    short = [replace(probe, target=probe.target[:40]) for probe in passages[:1]]
    monkeypatch.setattr(health, "asked", lambda: (short, beginnings[:2]))


def request_of(data: Path, out: Path, abilities: Wanted | None = WANTED) -> Request:
    return Request(
        backbone="tiny-llava",
        editors=("ft-llm",),
        benchmarks=("mmke-entity",),
        changes={"ft-llm": {"steps": 3, "learning_rate": 0.01}},
        data=data,
        out=out,
        stream=SETTINGS,
        abilities=abilities,
    )


def folder_of(out: Path) -> Path:
    (found,) = [file.parent for file in out.rglob(ROWS) if file.parent.name == "ft-llm"]
    return found


def contents(out: Path) -> list[bytes]:
    return [(folder_of(out) / name).read_bytes() for name in (ABILITIES, STATES, ROWS)]


@pytest.fixture(scope="module")
def whole(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return the results of a stream that nothing stopped; it is made once."""

    @cache
    def run_once() -> Path:
        out = tmp_path_factory.mktemp("whole")
        run(plan(request_of(small_data, out)))
        return out

    return run_once


def test_the_unedited_model_is_asked_once_and_the_session_at_a_checkpoint(small_data: Path, tmp_path: Path) -> None:
    wanted = replace(WANTED, limit=2)
    request = request_of(small_data, tmp_path, wanted)
    run(plan(replace(request, stream=StreamSettings(tests=1, score="end"))))
    before, after = read_abilities(folder_of(tmp_path))
    assert [(each.edits_applied, each.step) for each in (before, after)] == [(0, None), (1, 0)]
    (suite,) = draw(wanted).suites
    assert before.revision == after.revision == suite.revision
    unedited = answered(load_backbone("tiny-llava"), suite)
    assert [each["text"] for each in before.answers] == [each.text for each in unedited]
    assert after.answers != before.answers
    assert list(tmp_path.rglob(ABILITIES)) == [folder_of(tmp_path) / ABILITIES]


@pytest.mark.slow
def test_each_checkpoint_has_its_line(whole: Callable[[], Path]) -> None:
    found = read_abilities(folder_of(whole()))
    assert [(each.edits_applied, each.step) for each in found] == [(0, None), (1, 0), (2, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", [(0, None), (1, 0), (2, 1)])
def test_after_a_kill_nothing_is_lost_and_nothing_asked_twice(
    small_data: Path, tmp_path: Path, whole: Callable[[], Path], kill_at: tuple[int, int | None]
) -> None:
    written = Journal.add_ability

    def add_and_die(self: Journal, record: AbilityRecord) -> None:
        written(self, record)
        if (record.edits_applied, record.step) == kill_at:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "add_ability", add_and_die)
        with pytest.raises(Killed):
            run(plan(request_of(small_data, tmp_path)))
    file = folder_of(tmp_path) / ABILITIES
    before = file.read_bytes()
    file.write_bytes(before + b'{"edits_appl')  # half a line
    run(plan(request_of(small_data, tmp_path)))
    assert file.read_bytes().startswith(before)
    assert contents(tmp_path) == contents(whole())


@pytest.mark.slow
def test_they_can_be_asked_of_a_stream_that_is_finished(
    small_data: Path, tmp_path: Path, whole: Callable[[], Path]
) -> None:
    run(plan(request_of(small_data, tmp_path, None)))
    assert not (folder_of(tmp_path) / ABILITIES).exists()
    run(plan(request_of(small_data, tmp_path)))
    assert contents(tmp_path) == contents(whole())
    run(plan(request_of(small_data, tmp_path, None)))
    assert contents(tmp_path) == contents(whole())


@pytest.mark.slow
def test_other_questions_are_refused_before_any_weights(small_data: Path, whole: Callable[[], Path]) -> None:
    request = request_of(small_data, whole(), replace(WANTED, limit=4))
    with pytest.raises(UserError, match="holds answers to other questions of held-out"):
        run(plan(request))


def test_a_stream_without_checkpoints_and_single_edits_have_none(small_data: Path, tmp_path: Path) -> None:
    request = request_of(small_data, tmp_path)
    with pytest.raises(UserError, match="--score right has none; add end"):
        check_request(replace(request, stream=replace(SETTINGS, score="right")))
    with pytest.raises(UserError, match="this request is none"):
        check_request(replace(request, stream=None))


def test_a_suite_that_is_named_and_not_here_is_told_when_the_run_is_planned(small_data: Path, tmp_path: Path) -> None:
    request = request_of(small_data, tmp_path, Wanted(("pope",), data=tmp_path))
    with pytest.raises(UserError, match="pope is not in"):
        plan(request)
