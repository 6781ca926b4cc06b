"""The command line: what it prints, its exit codes, and that a mistake costs one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from grid import first_quick
from mmke import registry
from mmke.backbones.engine.store import MemoryStore, store_for
from mmke.cli import main, options, parse
from mmke.cli.run import checkpoints
from mmke.editing.settings import read_changes
from mmke.editing.trained import TrainedFor, write_network
from mmke.errors import UserError
from mmke.running.devices import DTYPES
from mmke.training.train import TrainRequest
from mmke.types import PROTOCOLS

RUN = ["run", "--backbone", "tiny-llava", "--editor", "ft-llm", "--set", "ft-llm.steps=2"]


@pytest.fixture
def results(small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    out = tmp_path / "results"
    assert main([*RUN, "--benchmark", "mmke-entity", "--data", str(small_data), "--out", str(out), "--limit", "2"]) == 0
    return out


def test_a_run_says_what_it_uses_and_prints_the_table(
    results: Path, capsys: pytest.CaptureFixture[str], small_data: Path
) -> None:
    main([*RUN, "--benchmark", "mmke-entity", "--data", str(small_data), "--out", str(results), "--limit", "2"])
    printed = capsys.readouterr().out
    assert "mmke-entity: 2 of 4 records, 0 dropped" in printed
    assert "tiny-llava on mmke-entity, hop 1, protocol strict" in printed
    assert "T-Loc" in printed
    assert "--limit 0" in printed


def test_what_is_kept_on_disk_can_be_limited(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    def limited(device: torch.device, *, on_disk: int | None, share: int) -> MemoryStore:
        asked.append(on_disk)
        return store_for(device, on_disk=on_disk, share=share)

    monkeypatch.setattr("mmke.running.execution.store_for", limited)
    given = ["run", "--backbone", "tiny-llava", "--editor", "none", "--benchmark", "mmke-entity", "--limit", "1"]
    for more in ([], ["--keep", "0.5"], ["--keep", "0"]):
        assert main([*given, "--data", str(small_data), "--out", str(tmp_path / "-".join(["r", *more])), *more]) == 0
    assert asked == [None, 1 << 29, 0]


def test_the_json_table_has_the_promised_keys(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["table", str(results), "--format", "json"]) == 0
    cells = json.loads(capsys.readouterr().out)
    assert [cell["editor"] for cell in cells] == ["none", "ft-llm"]
    keys = [
        "backbone",
        "editor",
        "benchmark",
        "hop",
        "protocol",
        "n",
        "dropped",
        "seconds_per_edit",
        "peak_memory_bytes",
        "metrics",
        "seed",
        "average",
    ]
    assert all(list(cell) == keys for cell in cells)
    assert list(cells[1]["metrics"]["i_rel"]) == ["value", "se", "gain", "gain_se", "n", "n_unscored", "n_partial"]


@pytest.mark.parametrize("form", ["text", "csv", "latex", "markdown"])
def test_every_form_names_editors_and_figures(form: str, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["table", str(results), "--format", form]) == 0
    printed = capsys.readouterr().out
    assert "ft-llm" in printed
    assert "none" in printed


def test_ls_lists_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls"]) == 0
    printed = capsys.readouterr().out
    for noun in registry.BUILT_IN:
        assert all(name in printed for name in registry.names(noun))
        assert main(["ls", noun]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--backbone", "smol-lava"], "unknown backbone 'smol-lava'; did you mean 'smol-llava'?"),
        (["run", "--set", "ft-llm"], "--set 'ft-llm' is not of the form EDITOR.KEY=VALUE"),
        (["run", "--set", "ftllm.steps=3"], "unknown editor 'ftllm'; did you mean 'ft-llm'?"),
        (["run", "--set", "ft-llm.stepps=3"], "unknown key 'stepps' (did you mean 'steps'?)"),
        (["run", "--settings", "/nowhere/x.toml"], "--settings /nowhere/x.toml: "),
        (["run", "--benchmark", "mmke-entity", "--data", "/nowhere"], "annotation files are missing"),
        (
            ["run", "--data", "/nowhere"],
            "--data /nowhere: the mini benchmarks bring their own data; name what it holds",
        ),
        (
            ["bench", "--data", "/nowhere"],
            "--data /nowhere: the mini benchmarks bring their own data; name what it holds",
        ),
        (["run", "--benchmark", "/nowhere/own.json"], "no benchmark file '/nowhere/own.json'"),
        (["run", "--editor", "mend2"], "unknown editor 'mend2'"),
        (["run", "--editor", "FT-LLM"], "unknown editor 'FT-LLM'; did you mean 'ft-llm'?"),
        (["run", "--edtor", "ft-llm"], "unknown option --edtor; did you mean '--editor'? (mmke run --help)"),
        (["train", "mend", "--benchmrk=x"], "unknown option --benchmrk; did you mean '--benchmark'?"),
        (["rnu"], "No such command 'rnu'. Did you mean 'run'?"),
        (["check", "mini-entity", "--hop", "9"], "--hop 9: give a number from 0 to 4"),
        (["run", "--limit", "-1"], "--limit -1: give a number from 0 up"),
        (["run", "--threads", "0"], "--threads 0: give a number from 1 up"),
        (["run", "--keep", "-0.5"], "--keep -0.5: give a number of GiB from 0 up"),
        (["run", "--keep", "inf"], "--keep inf: give a number of GiB from 0 up"),
        (["run", "--protocol", "papr"], "'--protocol': 'papr' is not one of 'strict', 'paper'"),
        (["run", "--weights", "NOWHERE"], "--weights NOWHERE: there is no such folder (looked for /"),
        (["run", "--device", "gpu"], "--device gpu: give cpu, cuda or cuda:1"),
        (["check", "mini-entit"], "unknown benchmark 'mini-entit'; did you mean 'mini-entity'?"),
        (["table", "/nowhere"], "/nowhere"),
        (["fetch", "mke"], "nothing to fetch is called 'mke'; did you mean 'mmke'?"),
    ],
)
def test_a_mistake_costs_one_clear_message_and_exit_code_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_offers_the_protocols_and_precisions_that_there_are() -> None:
    assert set(get_args(options.ProtocolName)) == set(PROTOCOLS)
    assert set(get_args(options.DtypeName)) == set(DTYPES)


def test_a_home_folder_is_found_behind_every_path_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    given = ["--data=~/x", "--out=~/x", "--settings=~/x", "--benchmark=~/x.json", "--backbone=hf:~/x"]
    (tmp_path / "w").mkdir()
    found = parse(["run", *given, "--weights=~/w"])
    named = {"data": "x", "out": "x", "settings": "x", "weights": "w"}
    assert {option: found[option] for option in named} == {option: tmp_path / name for option, name in named.items()}
    assert (found["benchmark"], found["backbone"]) == ([f"{tmp_path}/x.json"], f"hf:{tmp_path}/x")
    assert parse(["import", "mend", "~/c.pt", "--backbone=tiny-llava", "--benchmark=x"])["file"] == tmp_path / "c.pt"
    assert checkpoints(["mend=~/c"]) == {"mend": tmp_path / "c"}


def test_nobodys_home_folder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "~nobody-of-this-name/x"]) == 2
    assert "~nobody-of-this-name/x: there is no such user" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["ls", "check", "run", "table", "plot", "score", "fetch", "train", "import", "bench"]
)
def test_help_names_every_option_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"Usage: mmke {command}" in printed
    assert command != "run" or all(f"--{option} " in printed for option in parse(["run"]))


def test_a_shell_is_told_how_a_name_goes_on() -> None:
    asked = {"_MMKE_COMPLETE": "complete_bash", "COMP_WORDS": "mmke run --backbone smol-m", "COMP_CWORD": "3"}
    program = [sys.executable, "-m", "mmke.cli"]
    done = subprocess.run(program, env={**os.environ, **asked}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["smol-minigpt4"]


def test_dry_resolves_everything_and_runs_nothing(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    code = main([*RUN, "--benchmark", "mmke-user", "--data", str(small_data), "--out", str(out), "--dry"])
    assert code == 0
    assert "nothing was run" in capsys.readouterr().out
    assert not out.exists()


def test_settings_come_from_a_file_and_the_command_line(small_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[ft-llm]\nsteps = 1\nlearning_rate = 0.5\n")
    out = tmp_path / "results"
    main([*RUN, "--settings", str(file), "--benchmark", "mmke-user", "--data", str(small_data), "--out", str(out)])
    (manifest,) = out.rglob("ft-llm/run.json")
    settings = json.loads(manifest.read_text())["settings"]
    assert (settings["steps"], settings["learning_rate"]) == (2, 0.5)


def test_a_settings_file_with_an_unknown_table_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[ft-lm]\nsteps = 1\n")
    assert main(["run", "--settings", str(file)]) == 2
    assert f"--settings {file}: unknown editor 'ft-lm'; did you mean 'ft-llm'?" in capsys.readouterr().err


def test_a_settings_file_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbf[ft-llm]\r\nsteps = 1\r\n")
    assert read_changes([], file) == {"ft-llm": {"steps": 1}}


FEW = {
    "mend": ["rank=4"],
    "serac": ["rank=4", "negatives=2"],
    "ke": ["lstm=4", "condition=8", "conditioner=4", "warm_up=1"],
    "mscke": ["rank=4", "head=8"],
}


@pytest.mark.parametrize("editor", first_quick(FEW))
def test_a_trained_editor_is_missed_trained_found_and_named(
    editor: str, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = ["--backbone", "tiny-llava", "--benchmark", "mmke-user", "--data", str(small_data)]
    tested = ["run", "--editor", editor, *where, "--protocol", "paper", "--limit", "1"]
    assert main(tested) == 2
    told = capsys.readouterr().err
    assert f"{editor} has to be trained for tiny-llava and mmke-user under paper first: mmke train {editor} " in told
    assert f"--benchmark mmke-user --data {small_data} --protocol paper" in told
    assert f"or name a checkpoint: --checkpoint {editor}=PATH" in told
    few = ["steps=4", "validate_every=2", "validation_records=1", *FEW[editor]]
    # Under paper validation needs no held-out record.
    assert (
        main(["train", editor, *where, "--protocol", "paper", *(word for each in few for word in ("--set", each))]) == 0
    )
    best = Path("checkpoints/tiny-llava/mmke-user", editor, "best.safetensors")
    assert f"best: {best}" in capsys.readouterr().out
    assert main(tested) == 0
    assert main(["run", "--editor", editor, *where, "--limit", "1", "--dry"]) == 2
    assert f"under strict first; {best} was trained under paper" in capsys.readouterr().err
    best.rename("mine.safetensors")
    assert main([*tested, "--checkpoint", f"{editor}=mine.safetensors", "--out", "again"]) == 0
    rows = [Path(out, f"tiny-llava/mmke-user/hop1/paper/seed0/{editor}/rows.jsonl") for out in ("results", "again")]
    assert rows[0].read_bytes() == rows[1].read_bytes()


@pytest.mark.parametrize(("editor", "other"), [("mend", "serac"), ("serac", "ke"), ("ke", "mend")])
def test_a_checkpoint_of_another_editor_is_told(
    editor: str, other: str, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = TrainedFor(other, "tiny-llava", "x", ("mmke-user",), "strict", {}, 0, 1, {})
    file = tmp_path / "one.safetensors"
    write_network(file, {"x": torch.zeros(1)}, facts)
    where = ["--backbone", "tiny-llava", "--benchmark", "mmke-user", "--data", str(small_data), "--out", str(tmp_path)]
    assert main(["run", "--editor", editor, *where, "--checkpoint", f"{editor}={file}"]) == 2
    assert f"is a checkpoint of the editor {other!r}, and this run uses {editor!r}" in capsys.readouterr().err


@pytest.mark.parametrize(("named", "source"), [("random", "random"), ("folder", Path("folder")), (None, None)])
def test_training_takes_random_weights_too(
    named: str | None,
    source: object,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    asked: list[TrainRequest] = []

    def listen(request: TrainRequest) -> None:
        asked.append(request)
        raise UserError("heard")

    monkeypatch.setattr("mmke.training.train.plan", listen)
    assert main(["train", "mend", *(["--weights", named] if named else [])]) == 2
    assert "heard" in capsys.readouterr().err
    assert asked[0].weights == source
