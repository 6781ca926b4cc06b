"""Streams' folders written by the code that streams write them with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mmke.metrics.accuracy import Accuracy
from mmke.results import v1
from mmke.results.folder import open_run
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.places import run_path
from mmke.results.states import STATES, StateRecord, state_line
from mmke.results.steps import STEPS, StepRecord, step_line
from mmke.results.timings import Timing
from mmke.types import PROTOCOLS, Ask, EditCase, Probe, ProbeKind, Query, ScoreRow

HARD = {
    name: ProbeKind(name, name, "hard locality", group=group)
    for name, group in (("ri_picture", "RI"), ("ni_question", "NI"), ("ci_picture", "CI"))
}
KINDS = {**v1.KINDS, **HARD}
WriteStream = Callable[..., Path]
FLOOR = 0.1
ORACLE = {"a": (1, {1: 0.9, 2: 0.6, 3: 0.5}), "b": (2, {2: 0.8, 3: 0.7}), "c": (3, {3: 1.0})}
"""Each case's position, and its score in each state."""

FLAT = {case: (None, {0: FLOOR}) for case in ORACLE}
"""The unedited model on the same cases."""

Tracks = Mapping[str, tuple[int | None, Mapping[int, float]]]


def write_stream(
    out: Path,
    tracks: Tracks = MappingProxyType(ORACLE),
    *,
    kinds: Sequence[str] = ("i_rel",),
    editor: str = "ft-llm",
    order_seed: int = 0,
    missing: Callable[[str, int], bool] = lambda case, state: False,
    notes: Callable[[str, int], Mapping[str, int]] = lambda case, state: {},
    score: str = "right,at:1,2,end",
    states: Sequence[StateRecord] = (),
    seconds: Callable[[int], float] = lambda state: 0.5,
    state_bytes: Callable[[int], int] = lambda state: 1000,
    **about: Any,
) -> Path:
    """Write the folder of one stream, and return it.

    Every case is asked one question of each of `kinds`, with the scores of `tracks`, but where it is `missing`. There
    is a step for each position.
    """
    stream = {"order": "seed", "tests": len(tracks), "batch": 1, "score": score, **about}
    seed = None if editor == "none" else order_seed
    settings = _settings(editor, stream, seed)
    facts = RunFacts(len(tracks), (), ("mmke", "stream"), tuple(KINDS.values()))
    with open_run(out, settings, facts) as folder:
        for case, state, position, value in _asked(tracks):
            if missing(case, state):
                continue
            rows = [_row(case, state, position, value, kind, index) for index, kind in enumerate(kinds)]
            rows = [replace(row, order_seed=seed, notes=notes(case, state)) for row in rows]
            probes = tuple(Probe(KINDS[kind], Query("q"), "t", {"style": kind}) for kind in kinds)
            timing = Timing({"edit": 0.0, "before": 0.0, "after": seconds(state) / 10}, 2**30, "rss")
            folder.append(EditCase(case, (), probes), rows, timing)
    path = run_path(out, settings)
    if editor != "none":
        (path / STEPS).write_bytes(b"".join(_steps(tracks, seconds, state_bytes)))
    (path / STATES).write_bytes(b"".join(map(state_line, states)))
    return path


def state(edits_applied: int, perplexity: float = 10.0, **changes: Any) -> StateRecord:
    plain = StateRecord(edits_applied, perplexity, 10.0, 0.0, 1.0, finite=True, collapsed=None)
    return replace(plain, **changes)


def step(
    edits_applied: int,
    seconds: float = 0.5,
    *,
    number: int = 0,
    cases: tuple[str, ...] = (),
    state_bytes: int = 1000,
    peak: int = 2**31,
    distractors: bool = False,
) -> StepRecord:
    return StepRecord(
        step=number,
        edits_applied=edits_applied,
        cases=cases,
        refused={},
        distractors=distractors,
        seconds=seconds,
        peak_memory_bytes=peak,
        memory="rss",
        state_bytes=state_bytes,
    )


def _asked(tracks: Tracks) -> list[tuple[str, int, int | None, float]]:
    found = [
        (case, state, position, value) for case, (position, scores) in tracks.items() for state, value in scores.items()
    ]
    return sorted(found, key=lambda each: each[1])


def _row(case: str, state: int, position: int | None, value: float, kind: str, probe: int) -> ScoreRow:
    local = "locality" in KINDS[kind].role or position is None
    return ScoreRow(
        case_id=case,
        probe=probe,
        kind=kind,
        metric=kind,
        edits_applied=state,
        value=value,
        floor=None if local else FLOOR,
        n_scored=1,
        reason=None,
        notes={},
        before=None,
        after=None,
        schedule="stream",
        position=position,
    )


def _steps(tracks: Tracks, seconds: Callable[[int], float], state_bytes: Callable[[int], int]) -> list[bytes]:
    positions: dict[int, list[str]] = {}
    for case, (position, _) in tracks.items():
        positions.setdefault(position or 0, []).append(case)
    return [
        step_line(step(state, seconds(state), number=number, cases=tuple(cases), state_bytes=state_bytes(state)))
        for number, (state, cases) in enumerate(sorted(positions.items()))
    ]


def _settings(editor: str, stream: Mapping[str, Any], order_seed: int | None) -> RunSettings:
    return RunSettings(
        backbone="smol-llava",
        editor=editor,
        benchmark="mini-entity",
        hop=1,
        switches=PROTOCOLS["strict"],
        settings={},
        metrics=(Accuracy(Ask()),),
        generate=False,
        seed=0,
        dtype="float32",
        device_type="cpu",
        device="a processor",
        data_revision="d",
        weights_revision="w",
        schedule="stream",
        stream=stream,
        order_seed=order_seed,
    )
