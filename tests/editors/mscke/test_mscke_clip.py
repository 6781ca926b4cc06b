"""MSCKE's CLIP: loaded from a folder, it reads as the library's own model does; what is missing is said in one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from mscke_kit import ASK, editor
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editors.mscke import stand_in
from mmke.editors.mscke.clip import find_clip, load_clip
from mmke.errors import CannotAskError, UserError
from mmke.types import EditCase, ImageRef, Query

CPU = torch.device("cpu")


@pytest.mark.parametrize("trained", [False, True], ids=["frozen", "trained"])
def test_texts_and_pictures_are_the_librarys_projections(
    clip: str, llava: ComposedBackbone, cases: tuple[EditCase, ...], *, trained: bool
) -> None:
    loaded, query = load_clip(clip, CPU, trained=trained), cases[0].edits[0].query
    library: Any = CLIPModel.from_pretrained(clip).eval()
    words = AutoTokenizer.from_pretrained(clip)(["a red cat?"], return_tensors="pt")
    pixels = CLIPImageProcessorPil.from_pretrained(clip)(
        Image.open(query.image.path).convert("RGB"), return_tensors="pt"
    )  # type: ignore[union-attr]
    store = MemoryStore()
    read = loaded.read(llava, query, store)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.texts(["a red cat?"], store), library.get_text_features(**words).pooler_output
        )
        torch.testing.assert_close(loaded.pictures([read]), library.get_image_features(**pixels).pooler_output)  # type: ignore[list-item]
    assert loaded.widths == tuple(loaded.texts(["a"], store).shape[-1:]) * 2


def test_a_long_text_is_cut_and_one_text_reads_the_same_beside_a_longer(clip: str) -> None:
    loaded, store = load_clip(clip, CPU, trained=True), MemoryStore()
    texts = ["cat", "b" * 99]
    with torch.no_grad():
        both = loaded.texts(texts, store)
        torch.testing.assert_close(both, torch.cat([loaded.texts([text], store) for text in texts]))


def test_what_a_frozen_model_reads_is_kept(clip: str, llava: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    loaded, store, query = load_clip(clip, CPU, trained=False), MemoryStore(), cases[0].edits[0].query
    first = loaded.texts(["a"], store), loaded.read(llava, query, store)
    loaded.model.text_projection.weight.data.zero_()
    loaded.model.visual_projection.weight.data.zero_()
    assert torch.equal(loaded.texts(["a"], store), first[0])
    assert loaded.read(llava, query, store) is first[1]


def test_a_picture_that_cannot_be_read_is_named(clip: str, llava: ComposedBackbone) -> None:
    with pytest.raises(CannotAskError, match=r"gone\.png cannot be read"):
        load_clip(clip, CPU, trained=False).read(llava, Query("x", ImageRef(Path("gone.png"), "0")), MemoryStore())


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("model.safetensors", "no weights"),
        ("tokenizer.json", "holds no tokenizer"),
        ("preprocessor_config.json", "does not say how pictures are processed"),
    ],
)
def test_a_missing_file_is_told_before_weights_are_read(clip: str, tmp_path: Path, gone: str, told: str) -> None:
    folder = Path(shutil.copytree(clip, tmp_path / "clip"))
    (folder / gone).unlink()
    with pytest.raises(UserError, match=rf"^mscke.encoder: .*{told}") as caught:
        find_clip(str(folder))
    assert "\n" not in str(caught.value)


def test_a_name_that_was_not_fetched_is_told_with_the_way_out() -> None:
    with pytest.raises(UserError, match=r"no 'no/such-clip' in.*hf download no/such-clip.*all-MiniLM-L6-v2"):
        find_clip("no/such-clip")


def test_another_model_is_told(clip: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clip, tmp_path / "clip"))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match="a model of the type 'bert', no CLIP"):
        find_clip(str(folder))


def test_half_a_clip_is_told(clip: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clip, tmp_path / "clip"))
    kept = {name: each for name, each in load_file(folder / "model.safetensors").items() if "text_model" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack .* tensors of a CLIP, such as 'text_model"):
        load_clip(str(folder), CPU, trained=False)


def test_beside_a_skeleton_it_has_shapes_alone(clip: str) -> None:
    assert load_clip(clip, torch.device("meta"), trained=True).model.device.type == "meta"


def test_to_the_stand_in_everything_is_in_scope(
    llava: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    monkeypatch.setattr(stand_in, "TEXT", small)
    monkeypatch.setattr(stand_in, "VISION", {**small, "patch_size": 56})
    made = editor(llava, "random", train)
    with made.open(llava, MemoryStore()) as session:
        session.apply(cases[0].edits)
        assert {answer.notes["accepted"] for answer in session.answer(cases[1].probes, ASK)} == {1}
