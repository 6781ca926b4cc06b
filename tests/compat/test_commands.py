"""The published command line is `mmke run` in other words, and a mistake costs one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmke import cli, registry
from mmke.compat import commands as published_commands
from mmke.compat.commands import BACKBONES, HELPERS, functions, main
from mmke.exits import exit_code

DOOR = Path(__file__).parents[2] / "multimodal_edit.py"
TINY = {"MiniGPT4": "tiny-minigpt4", "Blip2OPT": "tiny-blip2", "LLaVA": "tiny-llava"}
PUBLISHED = [
    *("test_FT_MiniGPT4", "test_FT_Blip2OPT", "test_FT_LLaVA"),
    *("test_FT_MiniGPT4_Qformer", "test_FT_Blip2OPT_QFormer", "test_FT_LLaVA_mmproj"),
    *("train_MEND_MiniGPT4", "train_MEND_Blip2OPT", "train_MEND_LLaVA"),
    *("test_MEND_MiniGPT4", "test_MEND_Blip2OPT", "test_MEND_LLaVA"),
    *("train_SERAC_MiniGPT4", "train_SERAC_Blip2OPT", "train_SERAC_LLaVA"),
    *("test_SERAC_MiniGPT4", "test_SERAC_Blip2OPT", "test_SERAC_LLaVA"),
    *("test_IKE_MiniGPT4", "test_IKE_Blip2OPT", "test_IKE_LLaVA"),
]
ELSEWHERE = ["test_FT_QwenVL", "test_FT_Owl2_ViT", "train_MEND_QwenVL", "test_SERAC_Owl2", "test_IKE_Owl2"]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that reach `mmke`."""
    found: list[list[str]] = []

    def listen(command: list[str]) -> int:
        found.append(command)
        return 0

    monkeypatch.setattr(cli, "main", listen)
    monkeypatch.setattr(published_commands, "_device", lambda: "cpu")
    return found


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


@pytest.mark.parametrize(
    ("name", "kind", "backbone", "editor", "benchmark"),
    [
        ("test_FT_LLaVA", "entity", "llava-1.5-7b", "ft-llm", "mmke-entity"),
        ("test_FT_MiniGPT4", "visual", "minigpt4-7b", "ft-llm", "mmke-visual"),
        ("test_FT_Blip2OPT", "user", "blip2-opt-2.7b", "ft-llm", "mmke-user"),
        ("test_FT_LLaVA_mmproj", "user", "llava-1.5-7b", "ft-alignment", "mmke-user"),
        ("test_FT_MiniGPT4_Qformer", "entity", "minigpt4-7b", "ft-alignment", "mmke-entity"),
        ("test_FT_Blip2OPT_QFormer", "entity", "blip2-opt-2.7b", "ft-alignment", "mmke-entity"),
        ("test_IKE_LLaVA", "visual", "llava-1.5-7b", "ike", "mmke-visual"),
        ("test_IKE_Blip2OPT", "random_user", "blip2-opt-2.7b", "ike-random", "mmke-user"),
        ("test_IKE_MiniGPT4", "random_entity", "minigpt4-7b", "ike-random", "mmke-entity"),
    ],
)
def test_a_function_names_backbone_editor_and_benchmark_under_the_published_arithmetic(
    name: str, kind: str, backbone: str, editor: str, benchmark: str, ran: list[list[str]]
) -> None:
    assert main([f"--function_name={name}", "--hop=2", f"--data_type={kind}"]) == 0
    (command,) = ran
    assert command[0] == "run"
    assert option(command, "--backbone") == backbone
    assert option(command, "--editor") == editor
    assert option(command, "--benchmark") == benchmark
    assert (option(command, "--hop"), option(command, "--protocol")) == ("2", "paper")


def test_every_published_name_of_the_three_models_is_known() -> None:
    assert [name for name, function in functions().items() if function.model in BACKBONES] == sorted(
        PUBLISHED, key=list(functions()).index
    )
    assert set(BACKBONES.values()) <= set(registry.names("backbones"))


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "MEND" in name or "SERAC" in name])
def test_what_trains_comes_first_with_the_options_that_it_knows(name: str, ran: list[list[str]]) -> None:
    editor = name.split("_")[1].lower()
    further = ["--limit=3", "--seed=5", "--data", "here", "--set", f"{editor}.steps=4", "--generate"]
    assert main([f"--function_name={name}", "--data_type=user", *further]) == 0
    assert option(ran[-1], "--editor") == editor
    backbone, trained = option(ran[-1], "--backbone"), ran[:-1]
    shared = ["--protocol", "paper", "--seed", "5", "--data", "here", "--device", "cpu", "--set", f"{editor}.steps=4"]
    training = ["train", editor, "--backbone", backbone, "--benchmark", "mmke-user", *shared]
    assert trained == ([training] if name.startswith("train_") else [])


def test_a_mistake_in_the_run_is_told_before_hours_of_training(ran: list[list[str]]) -> None:
    assert main(["--function_name=train_MEND_LLaVA", "--data_type=user", "--limit=many"]) == 2
    assert ran == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), [("SERAC_MiniGPT4", "tiny-minigpt4"), ("MEND_Blip2OPT", "tiny-blip2")])
def test_an_editor_is_trained_and_then_tested_as_published(
    name: str,
    backbone: str,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    editor = name.partition("_")[0].lower()
    further = ["--data_type=user", "--limit=1", f"--data={small_data}", "--device=cpu", "--out=there"]
    untrained = main([f"--function_name=test_{name}", *further], backbones=TINY)
    assert untrained == 2
    assert f"{editor} has to be trained for {backbone} and mmke-user under paper first" in capsys.readouterr().err
    steps = ["--set", f"{editor}.steps=3", "--set", f"{editor}.validation_records=1"]
    assert main([f"--function_name=train_{name}", *further, *steps], backbones=TINY) == 0
    assert Path("checkpoints", backbone, "mmke-user", editor, "best.safetensors").is_file()
    assert f"{backbone} on mmke-user, hop 1, protocol paper" in capsys.readouterr().out
    assert main([f"--function_name=test_{name}", *further], backbones=TINY) == 0


def test_further_options_reach_the_run_in_place_of_ours(ran: list[list[str]]) -> None:
    further = ["--limit", "3", "--protocol", "strict", "--device=cuda:1", "--set", "ft-llm.steps=2", "--dry"]
    assert main(["--function_name", "test_FT_LLaVA", "--hop", "1", "--data_type", "entity", *further]) == 0
    assert ran[0][-len(further) :] == further
    assert ran[0].count("--protocol") == 1
    assert "cpu" not in ran[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["test_FT_LLava", "entity"], "unknown function 'test_FT_LLava'; did you mean 'test_FT_LLaVA'?"),
        (["test_FT_Blip2OPT_Qformer", "user"], "did you mean 'test_FT_Blip2OPT_QFormer'?"),
        (["MMKE_print_results", "user"], "did you mean 'MMKE_print_result'?"),
        (["test_FT_LLaVA", "entitty"], "unknown kind of data 'entitty'; did you mean 'entity'?; give --data_type"),
        (["test_FT_LLaVA", "random_user"], "unknown kind of data 'random_user'"),
        (["test_IKE_LLaVA", "random_usr"], "did you mean 'random_user'?"),
        (["test_KE_LLaVA", "user"], "unknown function 'test_KE_LLaVA'"),
        (["test_FT_LLaVA", "user", "--backbone", "smol-llava"], "--backbone: test_FT_LLaVA names it already"),
        (["test_FT_LLaVA", "user", "--editor=ike"], "--editor=ike: test_FT_LLaVA names it already"),
        *[([name, "entity"], "has no backbone here") for name in ELSEWHERE],
        *[([name, "entity"], "mmke run --backbone hf:NAME --editor") for name in ELSEWHERE],
    ],
)
def test_a_mistake_costs_one_line(
    arguments: list[str], told: str, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    name, kind, *further = arguments
    assert main(["--function_name", name, "--hop", "1", "--data_type", kind, *further]) == 2
    found = capsys.readouterr().err
    assert told in found
    assert found.count("\n") == 1
    assert ran == []


def test_a_kind_of_data_must_be_given(ran: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--function_name=test_IKE_LLaVA", "--hop=1"]) == 2
    assert "test_IKE_LLaVA: give --data_type with one of entity, visual, user, random_entity" in capsys.readouterr().err


def test_an_editor_that_is_not_there_is_named(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {name: where for name, where in registry.BUILT_IN["editors"].items() if name not in ("mend", "serac")}
    monkeypatch.setitem(registry.BUILT_IN, "editors", left)  # type: ignore[call-overload]
    assert main(["--function_name=train_MEND_LLaVA", "--data_type=user"]) == 2
    assert "train_MEND_LLaVA: the editor 'mend' is not there yet; there are ft-llm," in capsys.readouterr().err


@pytest.mark.parametrize("name", HELPERS)
def test_a_helper_says_what_took_its_place(name: str, ran: list[list[str]], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="mmke"):
        assert main([f"--function_name={name}", "--hop=1", "--data_type=entity"]) == 0
    assert caplog.messages == [f"{name}: {HELPERS[name]}"]
    assert ran == []


@pytest.mark.parametrize("layout", ["flat", "nested"])
def test_a_run_finds_the_data_in_the_current_folder_and_prints_the_table(
    layout: str,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data_image").symlink_to(small_data / "data_image")
    for split in ("train", "eval"):
        place = Path("data_json", *([f"user_{split}.json"] if layout == "flat" else ["user", f"{split}.json"]))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((small_data / "data_json" / f"user_{split}.json").read_bytes())
    command = ["--function_name=test_FT_Blip2OPT_QFormer", "--hop=1", "--data_type=user", "--limit=1", "--device=cpu"]
    assert main([*command, "--set", "ft-alignment.steps=1"], backbones=TINY) == 0
    assert "tiny-blip2 on mmke-user, hop 1, protocol paper" in capsys.readouterr().out
    manifest = json.loads(Path("results/tiny-blip2/mmke-user/hop1/paper/seed0/ft-alignment/run.json").read_text())
    assert manifest["history"][0]["command"][:4] == ["mmke", "run", "--backbone", "tiny-blip2"]


@pytest.mark.slow
def test_the_script_works_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(DOOR), "--function_name=test_FT_LLaVA", "--hop=1", "--data_type=entity"]
    alone = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "mmke-entity: annotation files are missing under" in done.stderr
    assert "data_json/entity_eval.json or data_json/entity/eval.json" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_lists_the_functions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        exit_code(lambda: main(["--help"]))
    printed = " ".join(capsys.readouterr().out.split())
    assert all(name in printed for name in (*PUBLISHED, *HELPERS))
