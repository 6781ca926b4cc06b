"""Any model of the library by its folder: what is found, what is missing, and what is refused."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hf_hub import Hub, load

from mmke import registry
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.hf import model as hf
from mmke.backbones.hf.check import ASKED, check
from mmke.backbones.hf.folder import revision
from mmke.backbones.hf.prompt import Template
from mmke.backbones.hf.rendering import Rendering
from mmke.errors import UserError
from mmke.protocols import INPUTS, Cut
from mmke.types import Ask, ImageRef, Query

ALL = Ask(positions="all")
OFFERED = ["llava-onevision", "qwen2.5-vl", "internvl", "idefics3", "llava", "bare-llava", "glm4v"]


@pytest.fixture
def copied(hub: Hub, tmp_path: Path) -> Path:
    """A model's folder that a test may spoil."""
    return Path(shutil.copytree(hub.folder("internvl"), tmp_path / "internvl"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_skeleton_states_its_precision(hub: Hub, dtype: torch.dtype) -> None:
    assert hub.load("internvl", dtype=dtype, skeleton=True).dtype == dtype


@pytest.mark.parametrize("name", OFFERED)
def test_a_skeleton_names_what_the_model_has(hub: Hub, name: str) -> None:
    skeleton, whole = hub.load(name, skeleton=True), hub.load(name)
    assert skeleton.revision == whole.revision
    assert skeleton.dtype == whole.dtype
    for site in [("vision",), ("alignment",), ("language",), ("language", -1, "mlp_in"), ("language", 0, "mlp_out")]:
        assert skeleton.site(*site) == whole.site(*site)
        whole.module.get_submodule(whole.site(*site))
    assert all(parameter.is_meta for parameter in skeleton.module.parameters())
    sizes = ({n: p.shape for n, p in each.module.named_parameters()} for each in (skeleton, whole))
    assert next(sizes) == next(sizes)  # what is tied in the one is tied in the other


@pytest.mark.parametrize(
    ("name", "how"), [("gemma3", "both ways within a picture"), ("qwen3-vl", "features at several layers")]
)
def test_a_model_that_mixes_positions_otherwise_is_refused(hub: Hub, name: str, how: str) -> None:
    with pytest.raises(UserError, match="mixes positions in a way that mmke does not know"):
        hub.load(name)


def test_logits_that_are_no_numbers_are_too_far_away(hub: Hub, picture: ImageRef) -> None:
    backbone = hub.load("internvl")
    batch = backbone.encode([Query(q, picture if p else None) for q, _, p in ASKED], [a for _, a, _ in ASKED], ALL)
    ours = backbone.tail(backbone.trunk(batch, Cut("layer", 0), store=MemoryStore()), {})
    own = list(ours.split([len(each.rows) for each in batch.encoded]))
    check(backbone, own, picture)
    own[1] = own[1] * torch.inf
    with pytest.raises(UserError, match="strays from itself by nan"):
        check(backbone, own, picture)


@pytest.mark.parametrize(
    ("stored", "bfloat16", "taken"),
    [
        (torch.float32, True, torch.float32),
        (torch.bfloat16, True, torch.bfloat16),
        (torch.bfloat16, False, torch.float16),
        (None, True, torch.float16),
    ],
)
def test_on_a_card_a_model_has_the_precision_of_its_files(
    stored: torch.dtype | None, taken: torch.dtype, monkeypatch: pytest.MonkeyPatch, *, bfloat16: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bfloat16)
    text = SimpleNamespace(dtype=stored)
    config = SimpleNamespace(dtype=None, get_text_config=lambda: text)
    assert hf.precision(config, None, torch.device("cuda", 0)) == taken
    assert hf.precision(config, None, torch.device("cpu")) == torch.float32
    assert hf.precision(config, torch.float16, torch.device("cpu")) == torch.float16


def test_layers_of_an_unknown_form_are_cut_before_the_layer(hub: Hub, picture: ImageRef) -> None:
    backbone = hub.load("glm4v")
    batch = backbone.encode([Query("What is it?", picture)], ["A gradient."], Ask())
    trunk = backbone.trunk(batch, Cut("mlp", -1), store=MemoryStore())
    whole = backbone.tail(backbone.trunk(batch, INPUTS, store=MemoryStore()), {})
    assert trunk.cut == Cut("layer", -1)
    assert torch.equal(backbone.tail(trunk, {}), whole)


def test_half_precision_is_the_whole_models(hub: Hub, picture: ImageRef) -> None:
    backbone = hub.load("qwen2.5-vl", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in backbone.module.parameters()} == {torch.bfloat16}
    batch = backbone.encode([Query("What is it?", picture)], ["A gradient."], Ask())
    assert backbone.tail(backbone.trunk(batch, INPUTS, store=MemoryStore()), {}).dtype == torch.bfloat16


def test_a_folder_of_models_is_looked_through(hub: Hub) -> None:
    folder = hub.folder("internvl")
    for weights in (folder, folder.parent):
        found = hf.load(
            name="hf:somebody/internvl", dtype=None, device=torch.device("cpu"), weights=weights, skeleton=True
        )
        assert found.name == "hf:somebody/internvl"
        assert found.revision == hub.load("internvl").revision


def test_the_current_folders_cache_is_looked_through(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(hub.folder("internvl"), tmp_path / "hugging_cache" / "somebody" / "internvl")
    monkeypatch.chdir(tmp_path)
    assert hf.load(name="hf:somebody/internvl", dtype=None, device=torch.device("cpu")).layers == 4


@pytest.mark.parametrize("skeleton", [True, False])
def test_weights_at_random_need_no_files_of_weights_and_are_no_others(copied: Path, *, skeleton: bool) -> None:
    (copied / "model.safetensors").unlink()
    backbone = load(copied, weights="random", skeleton=skeleton)
    assert backbone.layers == 4
    assert backbone.revision == "random, seed 0"


@pytest.mark.parametrize("skeleton", [True, False])
def test_what_a_model_ties_is_tied_before_weights_are_read(copied: Path, *, skeleton: bool) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = True
    (copied / "config.json").write_text(json.dumps(config))
    model = load(copied, weights="random", skeleton=skeleton).module
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_model_that_is_nowhere_is_to_be_fetched() -> None:
    with pytest.raises(UserError, match=r"hugging_cache.*mmke fetch hf:nobody/nothing"):
        hf.load(name="hf:nobody/nothing", dtype=None, device=torch.device("cpu"), skeleton=True)


def test_a_name_without_a_model_is_a_mistake() -> None:
    with pytest.raises(UserError, match="names no model"):
        registry.factory("backbones", "hf:")(name="hf:", dtype=None, device=torch.device("cpu"))


def test_another_kind_of_model_is_refused(copied: Path) -> None:
    (copied / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match="'bert', which is no image-text-to-text model"):
        load(copied, skeleton=True)


def test_code_in_a_folder_is_not_run(copied: Path) -> None:
    config = {"model_type": "homemade", "auto_map": {"AutoConfig": "evil.Config"}}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(UserError, match="cannot read this model"):
        load(copied, skeleton=True)


def test_quantised_weights_are_refused(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="quantised"):
        load(copied, skeleton=True)


@pytest.mark.parametrize("file", ["tokenizer.json", "preprocessor_config.json"])
def test_a_missing_processor_is_told_before_weights_are_read(copied: Path, file: str) -> None:
    (copied / file).unlink()
    with pytest.raises(UserError, match=r"holds no tokenizer|it has no preprocessor_config.json; copy it there"):
        load(copied, skeleton=True)


def test_missing_weights_are_told_before_any_are_read(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights"):
        load(copied, skeleton=True)
    index = {"weight_map": {"lm_head.weight": "one.safetensors", "model.x": "two.safetensors"}}
    (copied / "model.safetensors.index.json").write_text(json.dumps(index))
    (copied / "one.safetensors").touch()
    with pytest.raises(UserError, match=r"incomplete: 1 of the 2 files .* the first 'two\.safetensors'"):
        load(copied, skeleton=True)


def test_a_checkpoint_without_a_tensor_is_told(copied: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copied / "model.safetensors")
    lost = next(name for name in tensors if "projector" in name)
    tensors.pop(lost)
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 tensors of this model, among them .*projector"):
        load(copied)


def test_a_broken_file_of_weights_is_told(copied: Path) -> None:
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="is cut off or no safetensors file"):
        load(copied, skeleton=True)


def test_other_weights_are_another_revision(copied: Path) -> None:
    before = revision(copied)
    (copied / "README.md").write_text("A note.")
    assert revision(copied) == before
    file = copied / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    assert revision(copied) != before


def test_layers_of_another_kind_are_told() -> None:
    with pytest.raises(UserError, match="of the kinds full_attention, linear_attention"):
        hf.window(SimpleNamespace(layer_types=["linear_attention", "full_attention"]), "hf:x")


def test_a_prompt_beyond_the_window_is_told(hub: Hub) -> None:
    text = SimpleNamespace(layer_types=["full_attention", "sliding_attention"], sliding_window=300)
    rendering = Rendering(hub.load("internvl").prompt.tokenizer, None)
    template = Template(rendering, 0, window=hf.window(text, "hf:x"))
    assert template.position_ids((1,) * 44, None) is None
    with pytest.raises(UserError, match="45 positions is too long: some layers of this model see 300"):
        template.position_ids((1,) * 45, None)
