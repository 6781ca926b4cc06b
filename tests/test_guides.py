"""The examples of the guides are whole: written out as they stand, they are found, run, and keep their contracts."""

import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from safetensors.torch import save_file

from grid import first_quick
from mmke import cli, registry
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.tiny import byte_tokenizer
from mmke.testing import backbones, benchmarks, editors, metrics, shared_kit
from mmke.testing.records import draw_picture

DOCS = Path(__file__).parents[1] / "docs"

Written = Callable[[str], None]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """Write the files that a guide shows, each under the name above it, and let its package be found there."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)

    def write(page: str) -> None:
        text = (DOCS / page).read_text(encoding="utf-8")
        for name, content in re.findall(r"^`([\w./-]+)`:\n\n```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(content)
        install(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


def install(folder: Path) -> None:
    """Write what pip would write of the entry points in pyproject.toml."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    groups = project["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{n} = {v}" for n, v in names.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines))


def scored(folder: str) -> dict[str, set[str]]:
    """Return the editors of a results folder, each with the metrics that have a value."""
    found = {}
    for file in Path(folder).rglob("rows.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        found[file.parent.name] = {row["metric"] for row in rows if row["value"] is not None}
    return found


@pytest.fixture
def own_model(written: Written) -> None:
    written("own-model.md")
    module = import_module("my_model.backbone")
    save_file(module.Model().state_dict(), "my_model/model.safetensors")
    byte_tokenizer().backend_tokenizer.save("my_model/tokenizer.json")


@pytest.mark.usefixtures("own_model")
@pytest.mark.slow
def test_a_model_of_ones_own_is_listed_and_edited(capsys: pytest.CaptureFixture[str]) -> None:
    assert registry.summary(registry.import_string("backbones", "mine")).startswith("Our model")
    command = ["run", "--backbone", "mine", "--editor", "ft-llm", "--benchmark", "mini-entity", "--limit", "1"]
    assert cli.main(command) == 0, capsys.readouterr().err
    found = scored("results")
    assert set(found) == {"none", "ft-llm"}
    assert {"t_rel", "i_rel", "t_loc"} <= found["ft-llm"]


@pytest.mark.slow
@pytest.mark.usefixtures("own_model")
def test_a_model_of_ones_own_keeps_its_contract(request: pytest.FixtureRequest) -> None:
    kit = shared_kit(request)
    for claim in backbones.CLAIMS:
        claim(backbones.BackboneTrial(kit.backbone("mine"), kit.cases[0].probes, MemoryStore()))


def test_an_editor_of_ones_own_edits_and_keeps_the_main_claims(
    written: Written, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    written("writing-an-editor.md")
    command = ["run", "--backbone", "tiny-llava", "--editor", "nudge", "--benchmark", "mini-entity", "--limit", "1"]
    assert cli.main(command) == 0, capsys.readouterr().err
    assert "i_rel" in scored("results")["nudge"]
    editors.one_session_keeps_the_main_claims(
        editors.EditorTrial(shared_kit(request), "nudge", "tiny-llava", {}, MemoryStore())
    )


@pytest.mark.slow
def test_an_editor_of_ones_own_keeps_its_contract(written: Written, request: pytest.FixtureRequest) -> None:
    written("writing-an-editor.md")
    for claim in editors.CLAIMS:
        claim(editors.EditorTrial(shared_kit(request), "nudge", "tiny-llava", {}, MemoryStore()))


def test_a_file_of_ones_own_is_checked_and_edited(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written("own-data.md")
    Path("data_image").mkdir()
    for name, colour in (("rufus-1", "brown"), ("rufus-2", "orange"), ("bridge", "gray")):
        draw_picture(Path("data_image", f"{name}.png"), colour)
    assert cli.main(["check", "my_eval.json"]) == 0, capsys.readouterr().err
    command = ["run", "--backbone", "tiny-llava", "--benchmark", "my_eval.json", "--editor", "ft-llm"]
    assert cli.main(command) == 0, capsys.readouterr().err
    assert {"t_rel", "i_rel", "i_gen", "port", "t_loc", "i_loc"} <= scored("results")["ft-llm"]
    assert cli.main(["table", "results", "--by", "animal"]) == 0
    assert "dog" in capsys.readouterr().out


def test_records_of_ones_own_kind_run_and_keep_their_contract(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written("own-data.md")
    data = tmp_path / "data"
    (data / "train.csv").write_text((data / "eval.csv").read_text())
    for colour in ("red", "green", "blue"):
        draw_picture(data / f"{colour}.png", colour)
    command = ["run", "--backbone", "tiny-llava", "--benchmark", "things", "--data", "data", "--editor", "ft-llm"]
    assert cli.main(command) == 0, capsys.readouterr().err
    table = capsys.readouterr().out
    assert "Paraphrase" in table
    assert "Other picture" in table
    for claim in benchmarks.CLAIMS:
        claim(benchmarks.BenchmarkTrial("things", data, tmp_path / "contract"))


@pytest.mark.slow
def test_a_metric_of_ones_own_scores_kept_answers_and_keeps_its_contract(
    written: Written, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    written("own-metric.md")
    small = ["--backbone", "tiny-llava", "--editor", "ft-llm", "--benchmark", "mini-entity", "--limit", "1"]
    assert cli.main(["run", "--generate", *small, "--out", "freely", "--metric", "exact-match"]) == 0
    assert cli.main(["score", "freely", "--metric", "contains"]) == 0, capsys.readouterr().err
    assert "i_rel_contains" in scored("freely")["ft-llm"]
    for claim in metrics.CLAIMS:
        if claim is not metrics.it_loads_no_torch:  # which needs the package to be installed for another process
            claim(metrics.MetricTrial(shared_kit(request), "contains"))


@pytest.mark.parametrize("page", first_quick(["questions.md", "python.md", "edits.md"]))
def test_the_programs_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw_picture(Path("flag.png"), "red")
    programs = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert programs
    for program in programs:
        small = program.replace("smol-llava", "tiny-llava").replace("limit=6", "limit=1").replace("steps=20", "steps=2")
        exec(small, {"print": str})  # noqa: S102 - it is what the page says
