"""Kept answers are scored again without a model: the same rows, or those of a metric that came later."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from mmke import registry
from mmke.cli import main
from mmke.errors import UserError
from mmke.report.cells import read_cells
from mmke.results.finished import ANSWERS, CASES, ROWS
from mmke.results.run_json import RUN
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.rescoring import rescore
from mmke.running.run import run
from mmke.types import Answer, Ask, Metric, Probe, ProbeKind, Role, Score, Switches

SCORED = {"accuracy", "agreement", "agreement-top10", "exact-match", "token-f1"}


@pytest.fixture(scope="module")
def made(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run of two records with all metrics."""
    out = tmp_path_factory.mktemp("made")
    changes = {"ft-llm": {"steps": 3, "learning_rate": 0.01}}
    run(plan(Request("tiny-llava", ("ft-llm",), ("mmke-entity",), changes=changes, data=small_data, out=out, limit=2,
                     generate=True)))  # fmt: skip
    return out


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "results")


@dataclass(frozen=True)
class Length:
    """How many tokens the gold answer has; a metric of another package."""

    ask: Ask
    name: str = "length"
    roles: tuple[Role, ...] = ("relation",)
    reference: Literal["base", "previous edit"] | None = None
    unit: str = "tokens"
    higher_is_better: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def column(self, kind: ProbeKind) -> str:
        return f"{kind}_length"

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        return Score(float(len(after.target_ids)), 1)


def make(switches: Switches) -> Sequence[Metric]:
    """The length of the gold answer."""
    return (Length(Ask(labels=switches.labels)),)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the metric as another package would."""
    names = registry.names
    mine = {"length": f"{__name__}:make"}
    monkeypatch.setattr(registry, "names", lambda noun: {**names(noun), **(mine if noun == "metrics" else {})})
    monkeypatch.setattr(registry, "factory", _factory(registry.factory))


def _factory(original: Any) -> Any:
    return lambda noun, name: make if (noun, name) == ("metrics", "length") else original(noun, name)


def files(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*.json*"))}


def test_scoring_again_with_the_same_metrics_changes_no_byte_of_the_rows(results: Path, made: Path) -> None:
    for done in rescore(results):
        assert set(done.metrics) == SCORED
        assert done.kept_out == {"divergence": "it needs the probabilities of the whole vocabulary, which are not kept"}
    for name in (ROWS, ANSWERS, CASES):
        before, after = ({key: text for key, text in files(out).items() if name in key} for out in (made, results))
        assert before == after


def test_a_score_that_was_changed_by_hand_comes_back(results: Path, made: Path) -> None:
    for file in results.rglob(ROWS):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        changed = [line | ({"value": 0.123} if line["metric"] == "i_rel" else {}) for line in lines]
        file.write_text("".join(json.dumps(line) + "\n" for line in changed))
    assert read_cells(results)[0].metrics["i_rel"].value == pytest.approx(12.3)
    list(rescore(results, ["accuracy"]))
    assert [cell.as_dict() for cell in read_cells(results)] == [cell.as_dict() for cell in read_cells(made)]


@pytest.mark.usefixtures("outside")
def test_a_metric_of_another_package_is_added(results: Path, made: Path) -> None:
    assert [dict(done.metrics) for done in rescore(results, ["length"])] == [{"length": 14}, {"length": 14}]
    (folder,) = (file.parent for file in results.rglob(f"ft-llm/{RUN}"))
    run_json = json.loads((folder / RUN).read_text())
    assert run_json["metrics"]["length"] == {"unit": "tokens", "higher_is_better": False, "parameters": {}}
    assert run_json["columns"]["t_rel_length"]["unit"] == "tokens"
    floor, cell = read_cells(results)
    assert cell.scale.unit("t_rel_length") == "tokens"
    assert cell.metrics["t_rel_length"].gain == 0.0
    assert cell.metrics["t_rel_length"].value == floor.metrics["t_rel_length"].value
    old = read_cells(made)[1].metrics
    assert {name: cell.metrics[name] for name in old} == dict(old)


@pytest.mark.usefixtures("outside")
def test_what_was_never_asked_cannot_be_scored(small_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    request = Request("tiny-llava", ("none",), ("mmke-entity",), data=small_data, out=out, limit=1)
    run(plan(request))
    (done,) = rescore(out, ["exact-match"])
    assert done.metrics == {}
    assert done.kept_out["exact-match"].startswith(
        "the run did not ask in its way; run again with --metric exact-match"
    )


def test_the_first_format_keeps_too_little(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[1] / "results/v1", tmp_path / "v1")
    before = files(tmp_path)
    for done in rescore(tmp_path):
        assert done.kept_out == {"every metric": "the first results format keeps too little of an answer"}
    assert files(tmp_path) == before


def test_the_command_says_what_it_scored_and_what_it_could_not(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(results), "--metric", "accuracy", "--metric", "divergence"]) == 0
    printed = capsys.readouterr().out
    assert "ft-llm: scored again: accuracy (20 rows)" in printed
    assert "not divergence: it needs the probabilities of the whole vocabulary" in printed


def test_the_command_ends_with_2_where_nothing_could_be_scored(results: Path) -> None:
    assert main(["score", str(results), "--metric", "divergence"]) == 2


def test_a_folder_without_results_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results below"):
        list(rescore(tmp_path))
