"""Streams on a tiny model: what holds of every editor, every order and every interruption."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from grid import first_quick
from mmke.backbones.engine.store import MemoryStore
from mmke.editors.none.edit import NullEditor, NullSession
from mmke.errors import UserError
from mmke.protocols import Backbone, EditSession, Store
from mmke.results.finished import read_finished
from mmke.results.locks import locked
from mmke.results.rows import RecordKey
from mmke.results.states import read_states
from mmke.results.steps import read_steps
from mmke.results.timings import Timing
from mmke.running import loop
from mmke.running import run as running
from mmke.running.fingerprint import fingerprint
from mmke.running.health import Look, Passage
from mmke.running.loading import load_backbone
from mmke.running.loop import Task
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.running.scoring import Floor
from mmke.running.stream_settings import StreamSettings
from mmke.types import Edit, EditCase, ScoreRow

SCORED = ("accuracy", "agreement")
QUICK = {"ft-llm": {"steps": 3, "learning_rate": 0.001}}


@pytest.fixture
def health() -> None:
    """Ask for the whole look at the model's health."""


@pytest.fixture(autouse=True)
def quick_look(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the reading of a long text at each checkpoint, where a test is not about the model's health."""
    if "health" not in request.fixturenames:
        monkeypatch.setattr(
            loop, "look", lambda _: Look(passages=(Passage(nats=9.0, tokens=9),), repeated=0, written=2)
        )


@dataclass
class InMemory:
    """Keeps rows in a list."""

    rows: list[ScoreRow] = field(default_factory=list)
    done: set[RecordKey] = field(default_factory=set)

    def append(self, case: EditCase, rows: Sequence[ScoreRow], timing: Timing) -> None:
        self.rows += rows
        self.done.add(RecordKey.of(rows[0]))


def request(data: Path, out: Path, **given: Any) -> Request:
    changes = {} if "ft-llm" not in given.get("editors", ("ft-llm",)) else QUICK
    stream = StreamSettings(**{"tests": 3, "order": "file", "score": "right,end", **given.pop("stream", {})})
    wanted = {"editors": ("ft-llm",), "benchmarks": ("mmke-entity",), "metrics": SCORED, **given}
    return Request("tiny-llava", data=data, out=out, changes=changes, stream=stream, **wanted)


def bare(row: ScoreRow) -> ScoreRow:
    """Return a row without what says in which schedule it was made."""
    return replace(row, schedule="", order_seed=None, position=None)


def folder_of(out: Path, editor: str, order: int = 0) -> Path:
    (found,) = [
        file.parent for file in out.rglob("run.json") if file.parts[-4:-1] == (f"order{order}", "seed0", editor)
    ]
    return found


def files(folder: Path) -> dict[str, bytes]:
    """Return what two runs of one stream must write alike; a step's cost is no such thing."""
    found = {
        name: (folder / name).read_bytes() for name in ("rows.jsonl", "answers.jsonl", "cases.jsonl", "states.jsonl")
    }
    steps = [
        {key: value for key, value in json.loads(line).items() if key not in ("seconds", "peak_memory_bytes")}
        for line in (folder / "steps.jsonl").read_text().splitlines()
    ]
    return {**found, "steps.jsonl": json.dumps(steps).encode()}


def test_the_first_case_of_a_stream_has_the_rows_of_the_single_edit(small_data: Path, tmp_path: Path) -> None:
    streamed = request(small_data, tmp_path / "stream", stream={"tests": 1, "score": "at:1"})
    (of_stream,) = read_finished(_ran(streamed, "ft-llm"), answers=True)
    single = replace(streamed, stream=None, limit=1, out=tmp_path / "single")
    (of_single,) = read_finished(_ran(single, "ft-llm"), answers=True)
    assert list(map(bare, of_stream.rows)) == list(map(bare, of_single.rows))
    assert {row.position for row in of_stream.rows} == {1}


def _ran(wanted: Request, editor: str) -> Path:
    (folder,) = [folder for folder in run(plan(wanted)) if folder.name == editor]
    return folder


def test_an_editor_that_does_nothing_is_flat_in_every_state(small_data: Path, tmp_path: Path) -> None:
    planned = plan(request(small_data, tmp_path, stream={"score": "before,right,gap:1,at:1,2,end"}))
    none, edited = planned.cells
    backbone, floor, kept = load_backbone("tiny-llava"), InMemory(), InMemory()
    untouched = fingerprint(backbone.module)

    def work(events: Any, keeper: InMemory, unedited: Floor | None) -> None:
        task = Task(backbone, NullEditor(), events, edited.metrics, unedited, MemoryStore(), 0, "s", 0)
        loop.run(task, keeper)

    work(none.events, floor, None)
    work(edited.events, kept, Floor({(row.case_id, row.probe, row.metric): row for row in floor.rows}))
    assert len({(row.case_id, row.edits_applied) for row in kept.rows}) == 10
    assert {row.value for row in kept.rows if row.kind in ("t_loc", "i_loc")} == {1.0}
    others = [row for row in kept.rows if row.kind not in ("t_loc", "i_loc")]
    assert others
    assert all(row.value == row.floor for row in others)
    assert fingerprint(backbone.module) == untouched


@dataclass(frozen=True)
class Watched(NullSession):
    """Notes what reaches it, and in which order."""

    log: list[tuple[str, Any]] = field(default_factory=list)

    def apply(self, edits: Sequence[Edit]) -> None:
        self.log.append(("apply", tuple(edits)))

    def answer(self, probes: Any, ask: Any) -> Any:
        self.log.append(("ask", len(probes)))
        return super().answer(probes, ask)


@dataclass(frozen=True)
class WatchedEditor(NullEditor):
    log: list[tuple[str, Any]] = field(default_factory=list)

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        self.log.append(("open", None))
        yield Watched(backbone, store, None, self.log)
        self.log.append(("leave", None))


@pytest.mark.parametrize("batch", [1, 2])
def test_edits_alone_reach_the_editor_and_nothing_is_compared_with_an_edited_model(
    small_data: Path, tmp_path: Path, batch: int
) -> None:
    planned = plan(request(small_data, tmp_path, stream={"tests": 4, "batch": batch, "score": "end"}))
    cell, editor = planned.cells[1], WatchedEditor()
    loop.run(Task(load_backbone("tiny-llava"), editor, cell.events, cell.metrics, None, MemoryStore(), 0), InMemory())
    words = [word for word, _ in editor.log]
    assert words[0] == "open"
    first = words.index("leave")
    assert "apply" not in words[:first]
    assert words[first + 1 :].index("ask") > words[first + 1 :].index("apply")
    applied = [edits for word, edits in editor.log if word == "apply"]
    assert [len(edits) for edits in applied] == [batch] * (4 // batch)
    assert [edit for edits in applied for edit in edits] == [edit for case in cell.split.cases for edit in case.edits]


@pytest.mark.parametrize("editor", first_quick(["ft-llm", "ike-random"]))
def test_gold_answers_and_probes_do_not_reach_the_edited_model(small_data: Path, tmp_path: Path, editor: str) -> None:
    wanted = request(small_data, tmp_path, editors=(editor,), stream={"tests": 2, "score": "end"})
    states = {}
    planned = plan(wanted)
    stripped = plan(replace(wanted, out=tmp_path / "stripped"))
    for name, some in (("whole", planned), ("stripped", stripped)):
        cells = some.cells
        if name == "stripped":
            blank = {
                case.id: replace(case, probes=tuple(replace(probe, target="x") for probe in case.probes))
                for case in cells[0].split.cases
            }
            cells = tuple(
                replace(
                    cell,
                    events=tuple(
                        replace(event, case=blank[event.case.id]) if hasattr(event, "case") else event
                        for event in cell.events
                    ),
                )
                for cell in cells
            )
        run(replace(some, cells=cells))
        saved = json.loads((folder_of(some.request.out, editor) / "session" / "session.json").read_text())
        states[name] = (saved["sha256"], saved["facts"])
    assert states["whole"] == states["stripped"]


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop_after", first_quick([4, 1, 6]))
def test_a_stream_that_was_stopped_continues_to_the_same_bytes(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    whole = request(small_data, tmp_path / "whole", stream={"tests": 4, "score": "right,at:2,end"})
    run(plan(whole))
    stopped, count = replace(whole, out=tmp_path / "stopped"), 0

    def on_record() -> None:
        nonlocal count
        count += 1
        if count == 4 + stop_after:  # behind the floor's four
            raise _StoppedError

    with pytest.raises(_StoppedError):
        run(plan(stopped), on_record=on_record)
    before = (folder_of(stopped.out, "ft-llm") / "rows.jsonl").read_bytes()
    applied: list[int] = []
    apply = loop._apply

    def counted(session: EditSession, backbone: Backbone, cases: Sequence[EditCase]) -> dict[str, str]:
        applied.append(len(cases))
        return apply(session, backbone, cases)

    monkeypatch.setattr(loop, "_apply", counted)
    run(plan(stopped))
    assert files(folder_of(stopped.out, "ft-llm")) == files(folder_of(whole.out, "ft-llm"))
    assert files(folder_of(stopped.out, "ft-llm"))["rows.jsonl"].startswith(before)
    # Behind a checkpoint only the edits after it are made again.
    assert len(applied) == {1: 4, 4: 2, 6: 0}[stop_after]


def test_orders_stand_side_by_side_and_share_a_floor(small_data: Path, tmp_path: Path) -> None:
    wanted = request(small_data, tmp_path, order_seeds=(0, 1), stream={"order": "seed", "tests": 0})
    folders = run(plan(wanted))
    assert len(set(folders)) == 3
    cases = {seed: [step.cases[0] for step in read_steps(folder_of(tmp_path, "ft-llm", seed))] for seed in (0, 1)}
    assert cases[0] != cases[1]
    assert sorted(cases[0]) == sorted(cases[1])
    records = read_finished(folder_of(tmp_path, "ft-llm", 1))
    assert {record.key.order_seed for record in records} == {1}
    assert all(row.floor is not None for record in records for row in record.rows if row.kind == "i_rel")


@pytest.mark.usefixtures("health")
def test_steps_and_states_say_what_was_applied_and_how_the_model_is(small_data: Path, tmp_path: Path) -> None:
    run(plan(request(small_data, tmp_path, stream={"tests": 4, "batch": 2, "score": "at:2,end"})))
    folder = folder_of(tmp_path, "ft-llm")
    steps = read_steps(folder)
    assert [(step.step, step.edits_applied, len(step.cases)) for step in steps] == [(0, 2, 2), (1, 4, 2)]
    assert all(step.seconds > 0 and step.state_bytes for step in steps)
    assert [(state.edits_applied, state.step, state.finite) for state in read_states(folder)] == [
        (2, 0, True),
        (4, 1, True),
    ]


@pytest.mark.usefixtures("health")
def test_a_model_that_broke_is_told_with_its_state_and_its_rows_score_nothing(small_data: Path, tmp_path: Path) -> None:
    wanted = request(small_data, tmp_path, stream={"tests": 2, "score": "right,end"})
    run(plan(replace(wanted, changes={"ft-llm": {"steps": 3, "learning_rate": 1e38}})))
    folder = folder_of(tmp_path, "ft-llm")
    (state,) = read_states(folder)
    assert state.collapsed
    assert not state.finite
    rows = [row for record in read_finished(folder) for row in record.rows if row.kind == "i_rel"]
    assert rows
    assert all(row.value == 0 and "collapsed" in (row.reason or "") for row in rows)


def test_a_record_that_cannot_be_edited_does_not_end_a_stream(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(request(small_data, tmp_path, stream={"tests": 4, "batch": 2, "score": "end"}))
    cell = planned.cells[1]
    bad = cell.split.cases[1].id
    broken = replace(
        cell.split.cases[1].edits[0].query,
        image=replace(cell.split.cases[1].edits[0].query.image, path=tmp_path / "none.png", sha256="0"),
    )  # type: ignore[type-var]

    def spoiled(case: EditCase) -> EditCase:
        return replace(case, edits=(replace(case.edits[0], query=broken),)) if case.id == bad else case

    def with_spoiled(event: Any) -> Any:
        if isinstance(event, loop.Apply):
            return replace(event, cases=tuple(map(spoiled, event.cases)))
        return replace(event, case=spoiled(event.case)) if hasattr(event, "case") else event

    run(replace(planned, cells=(planned.cells[0], replace(cell, events=tuple(map(with_spoiled, cell.events))))))
    folder = folder_of(tmp_path, "ft-llm")
    assert [dict(step.refused).keys() for step in read_steps(folder)] == [{bad}, set()]
    of_bad = [row for record in read_finished(folder) for row in record.rows if record.case_id == bad]
    assert all(row.value is None and "the edit cannot be made" in (row.reason or "") for row in of_bad)
    others = [row for record in read_finished(folder) for row in record.rows if record.case_id != bad]
    assert any(row.value is not None for row in others)


def test_mistakes_are_told_before_any_weights_are_read(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "load", lambda *_, **__: pytest.fail("weights were read"))
    with pytest.raises(UserError, match="mmke-entity has 4 records"):
        plan(request(small_data, tmp_path, stream={"tests": 9}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limit": 2}, "limit=2 is for single edits; a stream takes the number of records from tests"),
        ({"order_seeds": ()}, "order_seeds is empty"),
        ({"order_seeds": (0, 1)}, "--seed 1: --order file is one order"),
        ({"stream": {"hold_out": "all"}}, "hold_out='all': give 'partners' or 'none'"),
    ],
)
def test_a_request_that_is_no_clear_stream_is_refused(
    small_data: Path, tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        plan(request(small_data, tmp_path, **given))


def test_two_runs_write_the_same_bytes(small_data: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "a", tmp_path / "b"]
    for out in outs:
        torch.manual_seed(len(str(out)))
        run(plan(request(small_data, out, stream={"order": "seed", "score": "before,right,gap:1"})))
    assert files(folder_of(outs[0], "ft-llm")) == files(folder_of(outs[1], "ft-llm"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("editor", "mend", "of the editor 'mend', and this one's is 'ft-llm'"),
        ("backbone", "tiny-blip2", "of the backbone 'tiny-blip2'"),
        ("weights_revision", "other", "of the weights 'other'"),
        ("stream", "other", "of a stream with other settings, another order or other data"),
    ],
)
def test_a_saved_session_of_something_else_is_refused_before_weights_are_read(
    small_data: Path, tmp_path: Path, key: str, value: str, message: str
) -> None:
    wanted = request(small_data, tmp_path, stream={"tests": 1, "score": "end"})
    run(plan(wanted))
    file = folder_of(tmp_path, "ft-llm") / "session" / "session.json"
    plain = json.loads(file.read_text())
    plain["origin"][key] = value
    file.write_text(json.dumps(plain))
    with pytest.raises(UserError, match=message) as told:
        running.check_sites(plan(wanted))
    assert str(file.parent) in str(told.value)


def test_two_programs_on_one_stream_are_refused_before_weights_are_read(small_data: Path, tmp_path: Path) -> None:
    wanted = request(small_data, tmp_path, stream={"tests": 1, "score": "right"})
    run(plan(wanted))
    with locked(folder_of(tmp_path, "ft-llm")), pytest.raises(UserError, match="written by another program"):
        running.check_sites(plan(wanted))
