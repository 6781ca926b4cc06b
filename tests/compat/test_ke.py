"""The published scripts of KE train and test it, on the GPU that they are given."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmke import cli, registry
from mmke.compat import commands as published_commands
from mmke.compat.ke import BACKBONES, main

SCRIPTS = Path(__file__).parents[2] / "KE"
TRAIN, TEST = "KE/train_ke.sh", "KE/test_multihop.sh"
STAND_IN = """#!/bin/sh
# What the script asks of Python, with a tiny model in the full-size one's place.
test "$1 $2 $3" = "-P -m mmke.compat.ke" || exit 70
shift 3
echo "cards: $CUDA_VISIBLE_DEVICES"
program='import sys; from mmke.compat.ke import main
sys.exit(main(sys.argv[1:], backbones={"llava": "tiny-llava"}))'
exec PYTHON -c "$program" "$@"
"""


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that reach `mmke`."""
    found: list[list[str]] = []

    def listen(command: list[str]) -> int:
        found.append(command)
        return 0

    monkeypatch.setattr(cli, "main", listen)
    monkeypatch.setattr(published_commands, "_device", lambda: "cuda")
    return found


@pytest.mark.parametrize("kind", ["entity", "visual", "user"])
@pytest.mark.parametrize("model", BACKBONES)
def test_a_script_names_backbone_and_benchmark_under_the_published_arithmetic(
    model: str, kind: str, ran: list[list[str]]
) -> None:
    assert main([TRAIN, "0", model, kind]) == 0
    assert main([TEST, "0", model, "3", kind, "--limit", "2"]) == 0
    what = ["--backbone", BACKBONES[model], "--benchmark", f"mmke-{kind}", "--protocol", "paper", "--device", "cuda"]
    assert ran == [["train", "ke", *what], ["run", "--editor", "ke", "--hop", "3", *what, "--limit", "2"]]
    assert BACKBONES[model] in registry.names("backbones")
    assert "ke" in registry.names("editors")


def test_further_options_stand_in_place_of_ours(ran: list[list[str]]) -> None:
    further = ["--protocol=strict", "--device", "cpu", "--set", "ke.steps=9"]
    assert main([TRAIN, "0,1", "blip2", "user", *further]) == 0
    what = ["--backbone", "blip2-opt-2.7b", "--benchmark", "mmke-user"]
    assert ran == [["train", "ke", *what, *further]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            [TRAIN, "0", "lava", "entity"],
            "unknown MODEL 'lava'; did you mean 'llava'?; there are llava, minigpt4, blip2",
        ),
        ([TRAIN, "0", "qwen-vl", "entity"], "qwen-vl has no backbone here, because it needs code of its own"),
        ([TEST, "0", "owl2", "1", "entity"], "owl2 has no backbone here"),
        ([TRAIN, "0", "llava", "entitty"], "unknown TYPE 'entitty'; did you mean 'entity'?; there are entity, visual"),
        (
            [TRAIN, "0", "llava", "1", "entity"],
            "unknown TYPE '1'; there are entity, visual, user (KE/train_ke.sh takes",
        ),
        ([TEST, "0", "llava", "entity", "1"], "HOP 'entity' is none of 1, 2, 3, 4; unknown TYPE '1'"),
        ([TEST, "0", "llava", "5", "entity"], "HOP '5' is none of 1, 2, 3, 4"),
        ([TRAIN, "llava", "entity", "--limit"], "bash KE/train_ke.sh 0 llava entity"),
        ([TRAIN, "card", "llava", "entity"], "GPU 'card' is no number of a GPU"),
        ([TEST, "0", "llava", "entity"], "bash KE/test_multihop.sh 0 llava 1 entity"),
        ([TRAIN], "KE/train_ke.sh takes GPU MODEL TYPE, such as: bash KE/train_ke.sh 0 llava entity"),
        ([TEST, "0", "llava", "1", "entity", "--hop", "2"], "--hop: KE/test_multihop.sh names it already"),
        ([TRAIN, "0", "llava", "entity", "--backbone=x"], "--backbone=x: KE/train_ke.sh names it already"),
    ],
)
def test_a_mistake_costs_one_line(
    words: list[str], told: str, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    found = capsys.readouterr().err
    assert told in found
    assert found.count("\n") == 1
    assert ran == []


def bash(
    script: str, *words: str, folder: Path, python: Path | str = sys.executable
) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("bash") or "bash", str(SCRIPTS.parent / script), *words]
    own = {**os.environ, "PYTHON": str(python), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "7"}
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_scripts_train_and_then_test_what_was_trained(small_data: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(STAND_IN.replace("PYTHON", sys.executable))
    python.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    for folder in small_data.iterdir():
        (work / folder.name).symlink_to(folder)
    few = ["--device=cpu", "--set", "steps=3", "--set", "validation_records=1"]
    early = bash(TEST, "3", "llava", "1", "user", "--device=cpu", "--limit=1", folder=work, python=python)
    assert early.returncode == 2
    assert "ke has to be trained for tiny-llava and mmke-user under paper first" in early.stderr
    trained = bash(TRAIN, "3", "llava", "user", *few, folder=work, python=python)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.startswith("cards: 3\n")
    assert (work / "checkpoints/tiny-llava/mmke-user/ke/best.safetensors").is_file()
    tested = bash(TEST, "3", "llava", "1", "user", "--device=cpu", "--limit=1", folder=work, python=python)
    assert tested.returncode == 0, tested.stderr
    assert "tiny-llava on mmke-user, hop 1, protocol paper" in tested.stdout
    assert (work / "results/tiny-llava/mmke-user/hop1/paper/seed0/ke/rows.jsonl").is_file()


@pytest.mark.parametrize(
    ("script", "words"), [(TRAIN, ["0", "llava", "entity"]), (TEST, ["0", "llava", "1", "entity"])]
)
def test_a_script_works_from_any_folder_and_says_what_is_missing(script: str, words: list[str], tmp_path: Path) -> None:
    done = bash(script, *words, "--device=cpu", folder=tmp_path)
    assert done.returncode == 2
    assert "mmke-entity: annotation files are missing under" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_arguments_a_script_says_what_it_takes(tmp_path: Path) -> None:
    done = bash(TRAIN, folder=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "KE/train_ke.sh takes GPU MODEL TYPE" in done.stderr
