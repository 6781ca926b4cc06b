"""Results folders written by the code that runs write them with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from mmke.metrics.accuracy import Accuracy
from mmke.report.figures import Scale
from mmke.results import manifest
from mmke.results.folder import open_run
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.places import run_path
from mmke.results.timings import Timing
from mmke.results.v1 import COLUMNS, KINDS
from mmke.types import PROTOCOLS, Ask, Dropped, EditCase, Probe, ProbeKind, Query, ScoreRow

WriteRun = Callable[..., Path]


@pytest.fixture
def scale() -> Scale:
    """MMKE-Bench's kinds, and the columns of the package's own metrics."""
    return Scale(KINDS, COLUMNS)


@pytest.fixture(autouse=True)
def no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the look at the checkout, which tables do not show."""
    monkeypatch.setattr(manifest, "project_commit", lambda: None)


@pytest.fixture
def row() -> Callable[..., ScoreRow]:
    def make(metric: str, value: float | None, floor: float | None = None, **changes: Any) -> ScoreRow:
        plain: dict[str, Any] = {
            "case_id": "?",
            "probe": 0,
            "kind": metric if metric in KINDS else "t_rel",
            "edits_applied": 1,
            "n_scored": 1,
            "reason": None if value is not None else "because",
            "notes": {},
            "before": None,
            "after": None,
        }
        return ScoreRow(**plain | {"metric": metric, "value": value, "floor": floor} | changes)

    return make


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write the folder of one run: `records` are the rows of each record, `about` the names of the run.

    `tags` are those of every probe; `kinds` are those of hard locality besides.
    """

    def write(
        records: Sequence[Sequence[ScoreRow]],
        *,
        out: Path = tmp_path,
        seconds: float = 0.5,
        tags: Mapping[str, str] = MappingProxyType({}),
        kinds: Sequence[ProbeKind] = (),
        **about: Any,
    ) -> Path:
        settings, known = _settings(about), {**KINDS, **{kind.name: kind for kind in kinds}}
        facts = RunFacts(len(records), (Dropped(3, "alt is empty"),), ("mmke", "run"), tuple(known.values()))
        with open_run(out, settings, facts) as folder:
            for number, rows in enumerate(records):
                timing = Timing(
                    {"edit": seconds * (1 + number), "before": 0.0, "after": 0.0}, 2**30 * (1 + number), "rss"
                )
                probes = tuple(Probe(known.get(row.kind, KINDS["t_rel"]), Query("q"), "t", tags) for row in rows)
                folder.append(EditCase(f"{number}", (), probes), _numbered(rows, f"{number}"), timing)
        return run_path(out, settings)

    return write


def _numbered(rows: Sequence[ScoreRow], case_id: str) -> list[ScoreRow]:
    """Give the rows their record, and probes of the same metric different numbers."""
    return [replace(row, case_id=case_id, probe=None if row.probe is None else index) for index, row in enumerate(rows)]


def _settings(about: Mapping[str, Any]) -> RunSettings:
    return RunSettings(
        backbone=about.get("backbone", "smol-llava"),
        editor=about.get("editor", "ft-llm"),
        benchmark=about.get("benchmark", "mini-entity"),
        hop=about.get("hop", 1),
        switches=replace(PROTOCOLS[about.get("protocol", "strict")], average=about.get("average", "macro")),
        settings={},
        metrics=(Accuracy(Ask()),),
        generate=False,
        seed=about.get("seed", 0),
        dtype="float32",
        device_type="cpu",
        device=about.get("device", "a processor"),
        data_revision="d",
        weights_revision="w",
    )
