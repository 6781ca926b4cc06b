"""Rows, timings and settings made by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmke.benchmarks.probes.published import PORT, T_REL
from mmke.metrics.accuracy import Accuracy
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.timings import Timing
from mmke.types import STRICT, Ask, Dropped, Edit, EditCase, ImageRef, Probe, Query, ScoreRow, StoredAnswer

ROW = ScoreRow(
    case_id="entity-00001",
    probe=0,
    kind="t_rel",
    metric="t_rel",
    edits_applied=1,
    value=0.5,
    floor=0.25,
    n_scored=4,
    reason=None,
    notes={},
    before=None,
    after=StoredAnswer(text="in 🏔", ids=(3, 4), target_logprob=-1.25, target_ids=(3, 5), ask=Ask()),
)
QUERY = Query("Where is “it”?\u2028Straße", ImageRef(Path("pictures/it.png"), "5" * 64))
CASE = EditCase(
    id="entity-00001",
    edits=(Edit(QUERY, "in Zürich", "in Bern"),),
    probes=(Probe(T_REL, Query("Where?"), "in Zürich", {"knowledge": "entity"}), Probe(T_REL, QUERY, "in Zürich")),
    unscored={PORT: "no 1-hop"},
)


@pytest.fixture
def row() -> Callable[..., ScoreRow]:
    def make(**changes: Any) -> ScoreRow:
        return replace(ROW, **changes)

    return make


@pytest.fixture
def record(row: Callable[..., ScoreRow]) -> Callable[[str], list[ScoreRow]]:
    """Three rows of one record, one of them without a score."""

    def make(case_id: str) -> list[ScoreRow]:
        return [
            row(case_id=case_id),
            row(case_id=case_id, probe=1, value=1.0),
            row(case_id=case_id, probe=None, kind="port", metric="port", value=None, floor=None, reason="no 1-hop"),
        ]

    return make


@pytest.fixture
def case() -> Callable[[str], EditCase]:
    """The case of `record`."""

    def make(case_id: str) -> EditCase:
        return replace(CASE, id=case_id)

    return make


@pytest.fixture
def timing() -> Timing:
    return Timing({"edit": 0.5, "before": 0.125, "after": 0.25}, 2_000_000, "rss")


@pytest.fixture
def settings() -> RunSettings:
    return RunSettings(
        backbone="tiny-llava",
        editor="ft-llm",
        benchmark="mini-entity",
        hop=1,
        switches=STRICT,
        settings={"steps": 3, "lr": 0.001, "parts": ["language"]},
        metrics=(Accuracy(Ask()),),
        generate=False,
        seed=0,
        dtype="float32",
        device_type="cpu",
        device="a processor",
        data_revision="d" * 64,
        weights_revision="w" * 64,
    )


@pytest.fixture
def facts() -> RunFacts:
    return RunFacts(
        records_used=3,
        dropped=(Dropped(7, "alt is empty"),),
        command=("mmke", "run", "--seed", "0"),
        kinds=(T_REL, PORT),
    )
