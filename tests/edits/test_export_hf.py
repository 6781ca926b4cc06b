"""An edit as an ordinary folder or adapter: the library's own `generate` answers as the session, also in batches."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

import hf_more_folders
import mmke
from grid import first_quick
from hf_more_folders import save_llava
from mmke import cli
from mmke.backbones.hf.processor import load_processor
from mmke.edits.export.folder import NOTE
from mmke.testing.folders import FOLDERS
from mmke.testing.records import draw_picture
from mmke.types import ASKED, Ask

SAVED: dict[str, Callable[[Path], None]] = {"llava": save_llava, **FOLDERS}
FURTHER: dict[str, Callable[[Path], None]] = {"blip2": hf_more_folders.save_blip2}
STEPS = 4
FITTED: dict[str, Any] = {"steps": 5, "learning_rate": 1e-2}
WRITTEN: dict[str, Any] = {"steps": 5, "rank": 16, "step": 1.0}
QUESTIONS = ("Which flag?", "Which flag is this one, and where is it flown?", "Who?")
WRITING = Ask(decode="generate", max_new=STEPS)
peft_reads = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def edited(folder: Path, out: Path, picture: Path, editor: str = "ft-llm", **settings: Any) -> list[mmke.types.Answer]:
    """Edit the model of a folder, save the edit, and return what the session answers to the questions."""
    backbone = mmke.load_backbone(f"hf:{folder}")
    made = mmke.load_editor(editor, backbone=backbone.name, **settings)
    image = mmke.picture(picture)
    with made.open(backbone, mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query(QUESTIONS[0], image), "the flag of Peru")])
        session.save(out)
        probes = [mmke.Probe(ASKED, mmke.Query(text, image), "") for text in QUESTIONS]
        answers = session.answer(probes, WRITING)
    assert sum(len(answer.token_ids) for answer in answers) >= STEPS
    return answers


def library(model: Any, folder: Path, picture: Path, texts: Sequence[str]) -> list[list[int]]:
    """Return what the library's own decoding writes to questions about a picture, all in one left-padded batch."""
    processor = load_processor(folder, model.config)
    processor.tokenizer.padding_side = "left"
    processor.tokenizer.pad_token = processor.tokenizer.pad_token or "</s>"
    template = (folder / "chat_template.jinja").read_text()
    content = [[{"type": "image"}, {"type": "text", "text": text}] for text in texts]
    prompts = [
        processor.tokenizer.apply_chat_template(
            [{"role": "user", "content": each}], chat_template=template, tokenize=False, add_generation_prompt=True
        )
        for each in content
    ]
    pictures = [[Image.open(picture).convert("RGB")] for _ in texts]
    inputs = processor(text=prompts, images=pictures, padding=True, return_tensors="pt")
    with torch.no_grad():
        written = model.generate(**inputs, max_new_tokens=STEPS, do_sample=False, pad_token_id=0)
    return [row.tolist() for row in written[:, inputs["input_ids"].shape[1] :]]


def begins(ids: Sequence[int], written: Sequence[int]) -> bool:
    """Tell whether an answer is what the library wrote, up to where the answer ended."""
    return list(ids) == list(written)[: len(ids)]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    draw_picture(tmp_path / "flag.png", "red")
    return tmp_path / "flag.png"


@pytest.mark.slow
@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize(("editor", "settings"), [("ft-llm", FITTED), ("ft-alignment", FITTED), ("m-ore", WRITTEN)])
def test_the_exported_model_writes_as_the_session_also_in_a_padded_batch(
    name: str, editor: str, settings: dict[str, Any], tmp_path: Path, picture: Path
) -> None:
    (tmp_path / "base").mkdir()
    SAVED[name](tmp_path / "base")
    answers = edited(tmp_path / "base", tmp_path / "edit", picture, editor, **settings)
    assert cli.main(["export", str(tmp_path / "edit"), "--to", str(tmp_path / "out")]) == 0
    models = {
        place: AutoModelForImageTextToText.from_pretrained(tmp_path / place, dtype=torch.float32)
        for place in ("base", "out")
    }
    together = library(models["out"], tmp_path / "out", picture, QUESTIONS)
    assert all(begins(answer.token_ids, ids) for answer, ids in zip(answers, together, strict=True))
    for text, ids in zip(QUESTIONS, together, strict=True):
        assert library(models["out"], tmp_path / "out", picture, [text]) == [ids]
    assert library(models["base"], tmp_path / "base", picture, QUESTIONS) != together


@pytest.mark.parametrize("name", first_quick(["llava", *FOLDERS, *FURTHER]))
def test_only_the_edited_tensors_of_the_folder_are_others(name: str, tmp_path: Path, picture: Path) -> None:
    (tmp_path / "base").mkdir()
    {**SAVED, **FURTHER}[name](tmp_path / "base")
    edited(tmp_path / "base", tmp_path / "edit", picture, steps=1)
    assert cli.main(["export", str(tmp_path / "edit"), "--to", str(tmp_path / "out"), "--no-check"]) == 0
    before, after = (load_file(tmp_path / each / "model.safetensors") for each in ("base", "out"))
    assert list(before) == list(after)
    changed = [each for each in before if not torch.equal(before[each], after[each])]
    assert len(changed) == 2
    assert all("mlp" in each or ".fc" in each for each in changed)
    files = {file.name for file in (tmp_path / "base").iterdir()}
    assert {file.name for file in (tmp_path / "out").iterdir()} == files | {NOTE}
    for file in files - {"model.safetensors"}:
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "base" / file).read_bytes()


@pytest.mark.slow
def test_names_of_another_version_and_half_precision_are_kept(tmp_path: Path, picture: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    save_llava(base)
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float16)
    old = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert old.keys() != load_file(base / "model.safetensors").keys()
    save_file(old, base / "model.safetensors", metadata={"format": "pt"})
    answers = edited(base, tmp_path / "edit", picture, steps=5, learning_rate=1e-2)
    assert cli.main(["export", str(tmp_path / "edit"), "--to", str(tmp_path / "out")]) == 0
    with safe_open(tmp_path / "out" / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(old)
        assert file.metadata() == {"format": "pt"}
        assert all(file.get_slice(name).get_dtype() == "F16" for name in old)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out", dtype=torch.float32)
    written = library(model, tmp_path / "out", picture, QUESTIONS)
    assert all(begins(answer.token_ids, ids) for answer, ids in zip(answers, written, strict=True))


@peft_reads
@pytest.mark.slow
@pytest.mark.parametrize(
    ("editor", "settings", "words"),
    [("lora", FITTED, []), ("m-ore", WRITTEN, []), ("ft-llm", FITTED, ["--rank", "32"])],
)
def test_an_adapter_answers_as_the_session(
    editor: str,
    settings: dict[str, Any],
    words: list[str],
    tmp_path: Path,
    picture: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    save_llava(base)
    answers = edited(base, tmp_path / "edit", picture, editor, **settings)
    assert cli.main(["export", str(tmp_path / "edit"), "--to", str(tmp_path / "out"), "--adapter", *words]) == 0
    told = capsys.readouterr().out
    assert ("exact" in told) == (editor != "ft-llm")  # all 32 directions of a matrix leave out what is rounded
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    unedited = library(model, base, picture, QUESTIONS)
    adapted = PeftModel.from_pretrained(model, tmp_path / "out")
    written = library(adapted, base, picture, QUESTIONS)
    assert all(begins(answer.token_ids, ids) for answer, ids in zip(answers, written, strict=True))
    with adapted.disable_adapter():
        assert library(adapted, base, picture, QUESTIONS) == unedited
    assert written != unedited


@pytest.mark.slow
def test_a_smaller_rank_says_what_it_leaves_out(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    save_llava(base)
    edited(base, tmp_path / "edit", picture, steps=5)
    capsys.readouterr()
    assert cli.main(["export", str(tmp_path / "edit"), "--to", str(tmp_path / "none"), "--adapter"]) == 2
    assert "--rank R makes the nearest adapter" in capsys.readouterr().err
    assert cli.main(["export", str(tmp_path / "edit"), "--to", str(tmp_path / "out"), "--adapter", "--rank", "2"]) == 0
    assert "rank 2, leaves out" in capsys.readouterr().out
    tensors = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert all(2 in tensor.shape for tensor in tensors.values())


@pytest.mark.slow
def test_an_editor_that_leaves_the_weights_is_refused_with_its_reason(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    save_llava(base)
    train = mmke.open_benchmark("mini-user").load("train", hop=0, switches=mmke.STRICT).cases
    edited(base, tmp_path / "edit", picture, "ike-random", train=train)
    for more in ([], ["--adapter"]):
        capsys.readouterr()
        assert cli.main(["export", str(tmp_path / "edit"), "--to", str(tmp_path / "out"), *more]) == 2
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert "cannot become a model of its own: ike-random edits the prompt and leaves the module as it is" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_layer_norm_between_the_factors_is_refused_and_the_way_out_is_said(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    save_llava(base)
    edited(base, tmp_path / "edit", picture, "m-ore", normalise=True, **WRITTEN)
    for more in ([], ["--adapter"]):
        capsys.readouterr()
        assert cli.main(["export", str(tmp_path / "edit"), "--to", str(tmp_path / "out"), *more]) == 2
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert "cannot become a model of its own: m-ore.normalise = true puts a LayerNorm" in told
        assert "make the edit with m-ore.normalise=false" in told


@pytest.mark.slow
def test_a_model_without_a_folder_of_its_own_is_refused(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    editor = mmke.load_editor("ft-llm", backbone="tiny-llava", steps=1)
    with editor.open(mmke.load_backbone("tiny-llava"), mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query("Which?", mmke.picture(picture)), "Peru")])
        session.save(tmp_path / "edit")
    assert cli.main(["export", str(tmp_path / "edit"), "--to", str(tmp_path / "out")]) == 2
    assert "tiny-llava has no folder of weights that other programs load" in capsys.readouterr().err
