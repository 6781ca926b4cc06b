"""Results folders written by the code that runs write them with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmke.results import manifest
from mmke.results.folder import open_run, run_path
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.timings import Timing
from mmke.types import PROTOCOLS, Dropped, ScoreRow

WriteRun = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the look at the checkout, which tables do not show."""
    monkeypatch.setattr(manifest, "project_commit", lambda: None)


@pytest.fixture
def row() -> Callable[..., ScoreRow]:
    def make(metric: str, value: float | None, floor: float | None = None, **changes: Any) -> ScoreRow:
        plain: dict[str, Any] = {
            "case_id": "?",
            "edits_applied": 1,
            "probe": 0,
            "kind": "t_rel",
            "n_scored": 1,
            "reason": None if value is not None else "because",
            "tags": {},
            "notes": {},
            "question": "q",
            "target": "t",
            "image": None,
            "before": None,
            "after": None,
        }
        return ScoreRow(**plain | {"metric": metric, "value": value, "floor": floor} | changes)

    return make


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write the folder of one run: `records` are the rows of each record, `about` the names of the run."""

    def write(
        records: Sequence[Sequence[ScoreRow]], *, out: Path = tmp_path, seconds: float = 0.5, **about: Any
    ) -> Path:
        settings = _settings(about)
        facts = RunFacts("a processor", len(records), (Dropped(3, "alt is empty"),), ("mmke", "run"))
        with open_run(out, settings, facts) as folder:
            for number, rows in enumerate(records):
                timing = Timing(
                    {"edit": seconds * (1 + number), "before": 0.0, "after": 0.0}, 2**30 * (1 + number), "rss"
                )
                folder.append(f"{number}", _numbered(rows, f"{number}"), timing)
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
        switches=PROTOCOLS[about.get("protocol", "strict")],
        settings={},
        metrics=("accuracy",),
        generate=False,
        seed=0,
        dtype="float32",
        device_type="cpu",
        data_revision="d",
        weights_revision="w",
    )
