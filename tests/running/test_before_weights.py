"""What is settled before any weights are read, on a skeleton; and devices and precisions by their names."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmke import registry
from mmke.backbones.prompt import Prompt
from mmke.cli import main
from mmke.editing.settings import resolve
from mmke.errors import UserError
from mmke.running.devices import check_dtype, dtype_name, resolve_device, resolve_dtype
from mmke.running.loading import load, load_backbone
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import check_sites, run
from mmke.types import PROTOCOLS

QUICK: Mapping[str, Mapping[str, Any]] = {"ft-llm": {"steps": 2}}
GPU = torch.device("cuda:0")


@pytest.fixture
def request_(small_data: Path, tmp_path: Path) -> Request:
    return Request(
        "tiny-llava", ("ft-llm",), ("mmke-user",), limit=1, changes=QUICK, data=small_data, out=tmp_path / "results"
    )


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Each loading of a backbone from now on: whether it was a skeleton."""
    seen: list[bool] = []
    factory = registry.factory

    def watched(noun: str, name: str) -> Any:
        make = factory(noun, name)

        def load(**given: Any) -> Any:
            seen.append(given["skeleton"])
            return make(**given)

        return load if noun == "backbones" else make

    monkeypatch.setattr(registry, "factory", watched)
    return seen


def test_a_folder_of_other_settings_is_told_before_weights_are_read(request_: Request, loaded: list[bool]) -> None:
    run(plan(request_))
    loaded.clear()
    with pytest.raises(UserError, match=r"settings\.steps: the folder has 2, this run 3"):
        run(plan(replace(request_, changes={"ft-llm": {"steps": 3}})))
    assert loaded == [True]


def test_a_folder_of_another_prompt_is_told_before_weights_are_read(
    request_: Request, loaded: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(plan(request_))
    loaded.clear()
    monkeypatch.setattr(Prompt, "revision", "another")
    with pytest.raises(UserError, match=r'prompt_revision: the folder has "[0-9a-f]{16}", this run "another"'):
        run(plan(request_))
    assert loaded == [True]


def test_a_site_that_is_not_there_is_told_before_weights_are_read(request_: Request, loaded: list[bool]) -> None:
    missing = {"ft-llm": {"steps": 2, "sites": ["language.9.mlp_out"]}}
    with pytest.raises(UserError, match="tiny-llava has 4 decoder layers, so no layer 9"):
        run(plan(replace(request_, changes=missing)))
    assert loaded == [True]


def test_a_run_looks_at_the_skeleton_and_then_reads_weights_once(request_: Request, loaded: list[bool]) -> None:
    run(plan(request_))
    assert loaded == [True, False]


def test_dry_reads_no_weights(request_: Request, loaded: list[bool], capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--backbone", "tiny-llava", "--benchmark", "mmke-user", "--editor", "ft-llm", "--dry"]
    assert main(["run", *given, "--data", str(request_.data), "--out", str(request_.out)]) == 0
    assert loaded == [True]
    assert "nothing was run" in capsys.readouterr().out


@pytest.mark.parametrize("backbone", ["llava-1.5-7b", "minigpt4-7b", "blip2-opt-2.7b"])
def test_every_editor_finds_its_sites_on_a_full_size_skeleton(request_: Request, backbone: str) -> None:
    full = replace(request_, backbone=backbone, editors=None, changes={}, weights="random")
    check_sites(plan(full))
    missing = {"ft-llm": {"sites": ["language.32.mlp_out"]}}
    with pytest.raises(UserError, match="so no layer 32"):
        check_sites(plan(replace(full, editors=("ft-llm",), changes=missing)))


@pytest.mark.parametrize("backbone", ["llava-1.5-7b", "minigpt4-7b", "blip2-opt-2.7b"])
@pytest.mark.parametrize("editor", ["serac", "mend", "ke", pytest.param("mscke", marks=pytest.mark.slow)])
def test_every_trained_editor_finds_its_sites_on_a_full_size_skeleton(editor: str, backbone: str) -> None:
    remembers = editor in ("serac", "mscke")
    beside = {"encoder": "all-MiniLM-L6-v2", "counterfactual": "own"} if remembers else {}
    skeleton = load(Request(backbone, None, (), weights="random"), skeleton=True)
    make = registry.factory("editors", editor)
    for switches in PROTOCOLS.values():
        make(resolve(editor, backbone, beside, protocol=switches.protocol), switches, train=(), seed=0).check(skeleton)
    missing = {"layers": 33} if remembers else {"sites": ["language.32.mlp_out"]}
    lost = make(resolve(editor, backbone, beside | missing), switches, train=(), seed=0)
    with pytest.raises(UserError, match=r"has 32 decoder layers, so no layer"):
        lost.check(skeleton)


def test_editors_that_are_not_trained_are_left_out_and_need_nothing(
    request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="mmke"):
        planned = plan(replace(request_, backbone="llava-1.5-7b", editors=None, changes={}))
    untrained = [
        "none",
        "ft-llm",
        "ft-alignment",
        "ike",
        "ike-random",
        "lora",
        "ultraedit",
        "grace",
        "m-ore",
        "wise",
        "gated-note",
    ]
    assert [cell.editor.name for cell in planned.cells] == untrained
    left_out = [message.partition(":")[0] for message in caplog.messages if "left out" in message]
    assert sorted(left_out) == ["ke", "mend", "mscke", "serac"]


def test_an_open_dtype_stays_open_and_a_name_becomes_one() -> None:
    assert resolve_dtype(None) is None
    assert resolve_dtype("float16") is torch.float16
    assert dtype_name(torch.bfloat16) == "bfloat16"
    with pytest.raises(UserError, match="unknown dtype 'half'; give float32, float16, bfloat16"):
        resolve_dtype("half")


@pytest.mark.parametrize(("dtype", "taken"), [(None, torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_backbone_takes_the_precision_that_was_asked_for_or_its_own(dtype: str | None, taken: torch.dtype) -> None:
    assert load_backbone("tiny-llava", dtype=dtype).dtype == taken


def test_a_run_writes_down_the_precision_that_an_open_dtype_became(request_: Request) -> None:
    run(plan(request_))
    (manifest,) = request_.out.rglob("ft-llm/run.json")
    assert '"dtype": "float32"' in manifest.read_text()


@pytest.mark.parametrize(
    ("gpus", "built_for", "told"),
    [
        (0, None, "this PyTorch is built without CUDA; install one that has it, or take --device cpu"),
        (0, "12.8", "this PyTorch sees no GPU (nvidia-smi, CUDA_VISIBLE_DEVICES); take --device cpu"),
        (2, "12.8", "this PyTorch sees cuda:0 to cuda:1; take one of these"),
    ],
)
def test_a_gpu_that_is_not_there_is_told_with_what_would_help(
    gpus: int, built_for: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    with pytest.raises(UserError) as caught:
        resolve_device("cuda:7")
    assert str(caught.value) == f"device 'cuda:7' is not there: {told}"


@pytest.mark.parametrize("backbone", ["tiny-llava", "tiny-minigpt4", "tiny-blip2"])
def test_weights_for_a_model_that_has_its_own_are_a_mistake(request_: Request, backbone: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"--weights .*: {backbone} comes with its weights; leave it out"):
        check_sites(plan(replace(request_, backbone=backbone, weights=tmp_path)))


def old_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an old GPU")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


def test_bfloat16_is_refused_on_a_gpu_that_only_emulates_it(
    request_: Request, monkeypatch: pytest.MonkeyPatch, loaded: list[bool]
) -> None:
    old_gpu(monkeypatch, (7, 5))
    told = r"an old GPU \(compute capability 7\.5\) does not compute in bfloat16; take --dtype float16"
    with pytest.raises(UserError, match=told):
        plan(replace(request_, device="cuda", dtype="bfloat16"))
    with pytest.raises(UserError, match=told):
        load_backbone("tiny-llava", device="cuda", dtype="bfloat16")
    assert loaded == []


@pytest.mark.parametrize(
    ("dtype", "device", "capability"),
    [
        (torch.bfloat16, GPU, (8, 0)),
        (torch.float16, GPU, (7, 5)),
        (torch.bfloat16, torch.device("cpu"), (0, 0)),
        (None, GPU, (7, 5)),
    ],
)
def test_other_precisions_are_taken(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype | None, device: torch.device, capability: tuple[int, int]
) -> None:
    old_gpu(monkeypatch, capability)
    check_dtype(dtype, device)
