"""A stream that is killed at any moment, however often, ends with the bytes of one that was not."""

import errno
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from quick import QUICK

from grid import first_quick
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.weight_session import WeightSession
from mmke.errors import UserError
from mmke.protocols import TrainableEditor
from mmke.results.finished import ANSWERS, CASES, ROWS
from mmke.results.saved_session import FACTS, SESSION, Origin, SavedSession
from mmke.results.states import STATES
from mmke.results.steps import STEPS
from mmke.running import health, stream
from mmke.running.execution import ChangedBackboneError
from mmke.running.journal import steps_to_skip
from mmke.running.loading import load_backbone
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.running.schedule import Apply, Examine, Leave, Open, Score
from mmke.running.stream_settings import StreamSettings
from mmke.types import STRICT, EditCase

CHANGES = {**QUICK, "ike-random": {"demonstrations": 2, "memory": "own"}}
EDITORS = (
    "ft-llm",
    "ft-alignment",
    "ike-random",
    "mend",
    "ke",
    "serac",
    "mscke",
    "lora",
    "ultraedit",
    "grace",
    "m-ore",
    "wise",
    "gated-note",
)
SETTINGS = StreamSettings(tests=3, score="before,right,at:2,end", distract=1)
SAME = (ROWS, ANSWERS, CASES, STATES)


class Killed(BaseException):
    """The program was ended."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a small part of the text: each of its bytes is a token of the tiny models. Save the session at every step."""
    passages, beginnings = health.asked()
    short = [replace(probe, target=probe.target[:40]) for probe in passages[:1]]
    monkeypatch.setattr(health, "asked", lambda: (short, beginnings[:2]))
    monkeypatch.setattr(stream, "SAVE_EVERY", 1)


def request_of(editor: str, data: Path, out: Path, settings: StreamSettings = SETTINGS) -> Request:
    return Request(
        backbone="tiny-llava",
        editors=(editor,),
        benchmarks=("mmke-entity",),
        changes={editor: CHANGES[editor]},
        untrained=True,
        data=data,
        out=out,
        stream=settings,
    )


def start(request: Request) -> None:
    """Run a stream; an editor that is trained gets fresh networks, the same each time."""
    planned = plan(request)
    for editor in [cell.editor for cell in planned.cells]:
        if isinstance(editor, TrainableEditor):
            train = open_benchmark("mmke-entity", data=request.data).load("train", hop=0, switches=STRICT).cases
            torch.manual_seed(0)
            editor.prepare(load_backbone(request.backbone), train, store=MemoryStore())
    run(planned)


def contents(out: Path) -> dict[str, Any]:
    """Return what two streams have in common: all bytes, but of steps what no clock decides."""
    found: dict[str, Any] = {
        str(file.relative_to(out)): file.read_bytes() for name in SAME for file in sorted(out.rglob(name))
    }
    for file in sorted(out.rglob(STEPS)):
        steps = [json.loads(line) for line in file.read_text().splitlines()]
        found[str(file.relative_to(out))] = [
            {key: value for key, value in step.items() if key not in ("seconds", "peak_memory_bytes")} for step in steps
        ]
    return found


@pytest.fixture(scope="module")
def whole(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Return what a stream that nothing stopped has written: it is made once."""

    @cache
    def run_once(editor: str, settings: StreamSettings = SETTINGS) -> dict[str, Any]:
        out = tmp_path_factory.mktemp("whole")
        start(request_of(editor, small_data, out, settings))
        return contents(out)

    return run_once


def killed(request: Request, due: Callable[[int], bool], *, torn: int = 0) -> bool:
    """Start a stream and end it at the n-th write to the disk that is due; tell whether it was ended.

    Args:
        request: the stream.
        due: tells of the number of a write whether the program is ended there.
        torn: how many bytes of that write are lost.
    """
    writes = 0

    def fsync(handle: int) -> None:
        nonlocal writes
        writes += 1
        if due(writes):
            # Not a folder, and not a file that is open for reading.
            if torn and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                os.truncate(handle, max(0, os.fstat(handle).st_size - torn))
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        try:
            start(request)
        except Killed:
            return True
    return False


@pytest.mark.parametrize(
    ("editor", "seed", "writes"),
    [
        ("ft-llm", 0, (25, 45)),
        ("wise", 0, (25, 45)),
        *(pytest.param(editor, seed, (8, 30), marks=pytest.mark.slow) for editor in EDITORS for seed in (1, 2)),
    ],
)
def test_killed_again_and_again_it_ends_with_the_same_bytes(
    small_data: Path,
    tmp_path: Path,
    whole: Callable[..., dict[str, Any]],
    editor: str,
    seed: int,
    writes: tuple[int, int],
) -> None:
    draw = random.Random(seed)  # noqa: S311 - where it is killed
    request, starts = request_of(editor, small_data, tmp_path), 1
    while killed(request, draw.randint(*writes).__eq__, torn=draw.choice((0, 1, 7))):
        starts += 1
        assert starts < 100
    assert starts > 1
    assert contents(tmp_path) == whole(editor)


@pytest.mark.slow
def test_with_resets_too(small_data: Path, tmp_path: Path, whole: Callable[..., dict[str, Any]]) -> None:
    settings = StreamSettings(tests=4, score="right,end", reset=2)
    request = request_of("ft-llm", small_data, tmp_path, settings)
    for writes in (40, 30):
        assert killed(request, writes.__eq__, torn=3)
    start(request)
    assert contents(tmp_path) == whole("ft-llm", settings)
    for name in (ROWS, ANSWERS):
        (folder_of(tmp_path) / name).write_bytes(b"")
    start(request)
    assert contents(tmp_path) == whole("ft-llm", settings)


def test_only_edits_of_its_own_session_are_taken_from_a_saved_session() -> None:
    case = EditCase("a", (), ())
    first = [Open(), Apply((case,), 0), Apply((case,), 1), Score(case), Leave()]
    second = [Open(), Apply((case,), 2), Apply((case,), 3), Leave()]
    saved = SavedSession(Origin("e", "b", "w", "s"), 3, 2, "", "", "", {})
    assert steps_to_skip([*first, *second], saved) == range(2, 4)
    assert steps_to_skip([*first, *second], replace(saved, step=1)) == range(2)
    assert steps_to_skip([*first, second[0], Examine(0), *second[1:]], saved) == range(0)
    assert steps_to_skip(first, saved) == range(0)
    assert steps_to_skip([*first, *second], None) == range(0)


def folder_of(out: Path, editor: str = "ft-llm") -> Path:
    (found,) = [file.parent for file in out.rglob(ROWS) if file.parent.name == editor]
    return found


def has_steps(out: Path, number: int) -> Callable[[int], bool]:
    """Return what tells, at any write, whether a stream has written so many steps."""

    def written(_: int) -> bool:
        files = [*out.rglob(f"order0/**/{STEPS}")]
        return bool(files) and files[0].read_bytes().count(b"\n") == number

    return written


@pytest.fixture(scope="module")
def stopped(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Request]:
    """Return a stream that was killed when it had written its third step: it is made once."""

    @cache
    def stop_once() -> Request:
        request = request_of("ft-llm", small_data, tmp_path_factory.mktemp("stopped"))
        assert killed(request, has_steps(request.out, 3))
        return request

    return stop_once


@pytest.fixture
def half(stopped: Callable[[], Request], tmp_path: Path) -> Request:
    """A copy of it."""
    request = stopped()
    return replace(request, out=shutil.copytree(request.out, tmp_path / "copy"))


def test_what_was_saved_is_not_edited_again(half: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = json.loads((folder_of(half.out) / SESSION / FACTS).read_text())["step"]
    edited = counted(monkeypatch)
    start(half)
    assert len(edited) == 4 - (saved + 1)


def test_distractors_that_were_saved_are_not_edited_again(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SAVE_EVERY", 2)
    request = request_of("ft-llm", small_data, tmp_path, replace(SETTINGS, tests=1, score="right,end", distract=3))
    assert killed(request, has_steps(tmp_path, 3))
    edited = counted(monkeypatch)
    start(request)
    assert len(edited) == 3 + 1 - 2


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of edits of each step from now on."""
    edited: list[int] = []
    apply = WeightSession.apply
    monkeypatch.setattr(WeightSession, "apply", lambda self, edits: (edited.append(len(edits)), apply(self, edits))[1])
    return edited


def test_without_its_saved_session_it_edits_again_and_ends_the_same(
    half: Request, whole: Callable[..., dict[str, Any]]
) -> None:
    shutil.rmtree(folder_of(half.out) / SESSION)
    start(half)
    assert contents(half.out) == whole("ft-llm")


def test_a_state_that_was_lost_is_looked_at_again(half: Request, whole: Callable[..., dict[str, Any]]) -> None:
    start(half)
    file = folder_of(half.out) / STATES
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    start(half)
    assert contents(half.out) == whole("ft-llm")


@pytest.mark.parametrize("name", first_quick([STEPS, STATES, ROWS, SESSION]))
def test_a_full_disk_names_the_place_and_loses_nothing(
    half: Request, whole: Callable[..., dict[str, Any]], name: str
) -> None:
    def full(handle: int) -> None:
        places = [file for file in half.out.rglob("*") if f"ft-llm/{name}" in str(file)]
        if os.fstat(handle).st_ino in {file.stat().st_ino for file in places}:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises((OSError, UserError)) as told:
            start(half)
    assert f"ft-llm/{name}" in (str(told.value) if isinstance(told.value, UserError) else told.value.filename)
    start(half)
    assert contents(half.out) == whole("ft-llm")


def change_facts(folder: Path, **changes: Any) -> None:
    file = folder / SESSION / FACTS
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def cut_tensors(folder: Path) -> None:
    (file,) = (folder / SESSION).glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])


def lose_steps(folder: Path) -> None:
    (folder / STEPS).write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: change_facts(folder, format=2), "it has the format 2"),
        (lambda folder: change_facts(folder, step=77), "it was saved after other edits"),
        (lambda folder: change_facts(folder, origin={"editor": "mend"}), "it is broken: origin.backbone"),
        (lambda folder: (folder / SESSION / FACTS).write_bytes(b"{"), "it is broken: not JSON"),
        (cut_tensors, "it has the sha256"),
        (lose_steps, "steps.jsonl"),
    ],
)
def test_a_session_that_does_not_fit_is_refused_before_any_weights_are_read(
    half: Request, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder_of(half.out))
    monkeypatch.setattr("mmke.running.run.fingerprint", lambda module: pytest.fail("weights were read"))
    with pytest.raises(UserError, match=f"{message}.*delete the folder .*{SESSION}"):
        start(half)


def test_a_folder_that_another_program_writes_is_told_before_any_weights_are_read(
    half: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmke.results.locks import locked

    monkeypatch.setattr("mmke.running.run.fingerprint", lambda module: pytest.fail("weights were read"))
    with locked(folder_of(half.out)), pytest.raises(UserError, match="is being written by another program"):
        start(half)


def test_what_an_editor_spoiled_is_set_aside_and_its_session_deleted(
    half: Request, monkeypatch: pytest.MonkeyPatch, whole: Callable[..., dict[str, Any]]
) -> None:
    def changed(*args: object, **more: object) -> None:
        raise ChangedBackboneError("editor 'ft-llm' has changed the backbone")

    folder = folder_of(half.out)
    with monkeypatch.context() as patch:
        patch.setattr("mmke.running.run.execute", changed)
        with pytest.raises(ChangedBackboneError, match="void"):
            start(half)
    assert {file.suffix for file in folder.iterdir() if file.name != ".lock"} == {".void"}
    start(half)
    assert contents(half.out) == whole("ft-llm")


PROGRAM = """
import sys
from mmke.cli import main
sys.exit(main(sys.argv[1:]))
"""


def command(data: Path, out: Path) -> list[str]:
    """Return the command line of a short stream, as a program of its own."""
    options = "stream --backbone tiny-llava --editor ft-llm --benchmark mmke-entity --tests 4 --score right,end"
    more = ("--set", "ft-llm.steps=2", "--data", str(data), "--out", str(out))
    return [sys.executable, "-c", PROGRAM, *options.split(), *more]


def killed_after(program: list[str], out: Path, growth: int) -> bool:
    """Run a program and kill it when a folder has grown by so many bytes; tell whether it was killed."""

    def size() -> int:
        return sum(file.stat().st_size for file in out.rglob("*.jsonl"))

    before = size()
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if size() >= before + growth:
                process.kill()
            time.sleep(0.002)
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode != 0


@pytest.mark.slow
def test_programs_that_are_really_killed_end_with_the_same_bytes(small_data: Path, tmp_path: Path) -> None:
    draw = random.Random(0)  # noqa: S311 - when it is killed
    whole, out = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(small_data, whole), check=True, capture_output=True)
    kills = 0
    while killed_after(command(small_data, out), out, draw.randint(1, 40_000)):
        kills += 1
    assert kills > 2
    assert contents(out) == contents(whole)
