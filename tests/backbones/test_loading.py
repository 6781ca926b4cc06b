"""Models at random, as skeletons, and GPUs that are too small for them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import OPTConfig, OPTForCausalLM

from mmke.backbones.engine.cards import Names
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.weights import memory
from mmke.backbones.weights.loading import (
    RANDOM,
    Loaded,
    LoadRequest,
    build_skeleton,
    check_memory,
    check_numbers,
    check_vocabulary,
    half_on_gpu,
    load_weights,
    read_tokenizer,
    warn_of_zeros,
)
from mmke.backbones.weights.stand_in import StandInTokenizer
from mmke.errors import UserError
from mmke.running.loading import load
from mmke.running.request import Request
from mmke.types import ImageRef

GIB = 1 << 30
NAMES = Names("model.decoder", "lm_head")
CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
SITES = {
    "llava-1.5-7b": ("model.language_model.layers.31.mlp.down_proj", "model.multi_modal_projector"),
    "minigpt4-7b": ("language_model.model.layers.31.mlp.down_proj", "qformer"),
    "blip2-opt-2.7b": ("language_model.model.decoder.layers.31.fc2", "qformer"),
}
POSITIONS = {"llava-1.5-7b": 4096, "minigpt4-7b": 2048, "blip2-opt-2.7b": 2048}
PATCHES = {"llava-1.5-7b": 576, "minigpt4-7b": 32, "blip2-opt-2.7b": 32}


def half_layers(name: str) -> torch.dtype:
    return torch.float16 if ".layers." in name else torch.float32


def request(*, skeleton: bool = False, device: torch.device = CPU) -> LoadRequest:
    return LoadRequest("a model", RANDOM, half_layers, device, skeleton)


def loaded(*, skeleton: bool = False) -> Loaded:
    """A small model whose head is tied to its embeddings, laid out without weights."""
    config = OPTConfig(
        vocab_size=60, hidden_size=16, word_embed_proj_dim=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2
    )
    model = build_skeleton(lambda: OPTForCausalLM(config))
    return load_weights(request(skeleton=skeleton), model, never, read=never, vocabulary=60, names=NAMES)


def never(_: object) -> Any:
    pytest.fail("random weights look for no file")


def test_random_weights_have_the_same_values_each_time() -> None:
    one, other = (loaded().module.state_dict() for _ in range(2))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_random_weights_leave_the_callers_generator_alone() -> None:
    before = torch.random.get_rng_state()
    loaded()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_random_weights_give_a_model_that_computes() -> None:
    model = loaded().module.float()
    logits = model(torch.arange(9)[None]).logits
    assert logits.isfinite().all()
    assert logits.std() > 0


def test_tied_tensors_stay_tied() -> None:
    model = loaded().module
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight


def test_nothing_is_trained_and_nothing_drops_out() -> None:
    model = loaded().module
    assert not any(tensor.requires_grad for tensor in model.parameters())
    assert not any(module.training for module in model.modules())


def test_every_tensor_gets_its_values_and_its_precision() -> None:
    model = loaded().module
    assert all(tensor.dtype == half_layers(name) for name, tensor in model.named_parameters())
    layer = model.model.decoder.layers[0]
    assert layer.fc1.weight.float().std() == pytest.approx(0.02, rel=0.2)
    assert not layer.fc1.bias.any()
    assert layer.final_layer_norm.weight.eq(1).all()


def test_a_skeleton_has_no_values() -> None:
    made = loaded(skeleton=True)
    assert all(tensor.is_meta for tensor in made.module.parameters())
    assert isinstance(made.tokenizer, StandInTokenizer)


@pytest.fixture(scope="module", params=SITES)
def skeleton(request: pytest.FixtureRequest) -> ComposedBackbone:
    made = load(Request(request.param, None, (), weights=RANDOM), skeleton=True)
    assert isinstance(made, ComposedBackbone)
    return made


@pytest.mark.parametrize("name", [*SITES, "smol-llava", "smol-minigpt4"])
def test_a_skeleton_states_the_precision_of_the_whole(name: str) -> None:
    weights = RANDOM if name in SITES else None
    assert load(Request(name, None, (), weights=weights, dtype="float16"), skeleton=True).dtype == torch.float16


def test_a_full_size_skeleton_takes_no_memory(skeleton: ComposedBackbone) -> None:
    held = sum(tensor.nbytes for tensor in skeleton.module.state_dict().values() if not tensor.is_meta)
    assert all(tensor.is_meta for tensor in skeleton.module.parameters())
    assert held < 1 << 20
    assert sum(tensor.numel() for tensor in skeleton.module.parameters()) > 3e9


def test_a_full_size_skeleton_has_its_sites(skeleton: ComposedBackbone) -> None:
    found = skeleton.site("language", -1, "mlp_out"), skeleton.site("alignment")
    assert found == SITES[skeleton.name]
    assert skeleton.module.get_parameter(f"{found[0]}.weight").ndim == 2
    with pytest.raises(UserError, match="has 32 decoder layers, so no layer 32"):
        skeleton.site("language", 32)


def test_a_full_size_skeleton_has_its_positions_and_prompt(skeleton: ComposedBackbone) -> None:
    assert skeleton.max_positions == POSITIONS[skeleton.name]
    assert skeleton.learned_positions == (skeleton.name == "blip2-opt-2.7b")
    assert isinstance(skeleton.prompt.tokenizer, StandInTokenizer)
    assert skeleton.prompt.tokenizer.vocabulary == skeleton.decoder.config.vocab_size
    assert skeleton.prompt.slots(ImageRef(Path("never-opened.png"), "0")) == PATCHES[skeleton.name]
    assert skeleton.revision == "random, seed 0"


def gpu(
    monkeypatch: pytest.MonkeyPatch, *, free: float, allowed: float = 1.0, reserved: float = 0, used: float = 0
) -> None:
    """A GPU of 16 GiB."""
    figures: dict[str, Callable[..., object]] = {
        "mem_get_info": lambda _: (int(free * GIB), 16 * GIB),
        "get_per_process_memory_fraction": lambda _: allowed,
        "memory_reserved": lambda _: int(reserved * GIB),
        "memory_allocated": lambda _: int(used * GIB),
    }
    for name, figure in figures.items():
        monkeypatch.setattr(torch.cuda, name, figure)


@pytest.fixture
def large() -> nn.Module:
    """Two GiB of weights in half precision, which take five to work with."""
    layers = nn.ModuleList([nn.Linear(1 << 15, 1 << 15, bias=False, device="meta")])
    return nn.ModuleDict({"decoder": nn.ModuleDict({"layers": layers})})


def test_a_card_with_too_little_memory_is_refused_with_both_figures(
    monkeypatch: pytest.MonkeyPatch, large: nn.Module
) -> None:
    gpu(monkeypatch, free=4)
    told = "a model takes 2.0 GiB of weights and about 3 GiB to work, and cuda:0 has 4.0 GiB free; end what else runs"
    with pytest.raises(UserError, match=re.escape(told)):
        check_memory(request(device=GPU), large)


def test_each_tensor_counts_in_its_own_precision(monkeypatch: pytest.MonkeyPatch, large: nn.Module) -> None:
    gpu(monkeypatch, free=6)
    check_memory(request(device=GPU), large)
    large.get_submodule("decoder").add_module("head", nn.Linear(1 << 14, 1 << 14, bias=False, device="meta"))
    gpu(monkeypatch, free=5.5)
    with pytest.raises(UserError, match=re.escape("takes 3.0 GiB")):
        check_memory(request(device=GPU), large)


@pytest.mark.parametrize(
    "figures",
    [
        {"free": 5.1},
        {"free": 4, "reserved": 2, "used": 0.5},  # what the process holds and does not use is its own
        {"free": 9, "allowed": 0.5},
    ],
)
def test_a_card_with_enough_is_taken(
    monkeypatch: pytest.MonkeyPatch, large: nn.Module, figures: dict[str, float]
) -> None:
    gpu(monkeypatch, **figures)
    check_memory(request(device=GPU), large)


def test_a_limit_of_the_process_is_a_smaller_card(monkeypatch: pytest.MonkeyPatch, large: nn.Module) -> None:
    gpu(monkeypatch, free=15, allowed=0.25)
    with pytest.raises(UserError, match=re.escape("cuda:0 has 4.0 GiB free")):
        check_memory(request(device=GPU), large)


def test_blank_matrices_are_told_as_a_download_that_never_ended_leaves_them(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    with torch.no_grad(), caplog.at_level("WARNING", logger="mmke"):
        for tensor in model[1].parameters():
            tensor.zero_()
        model[0].weight[:3] = 0
        warn_of_zeros("a model", model)
        assert not caplog.messages
        model[0].weight[3] = 0
        warn_of_zeros("a model", model)
    assert caplog.messages[0].startswith("a model: 1 of its matrices hold nothing but zeros, the first 0.weight;")


@pytest.mark.parametrize("words", [259, 255, 196])
def test_a_model_may_have_rows_to_spare(words: int) -> None:
    check_vocabulary(range(words), Path("there"), 259)


@pytest.mark.parametrize("words", [260, 194, 0])
def test_another_models_tokenizer_is_told_by_its_size(words: int) -> None:
    with pytest.raises(UserError, match=f"there: its tokenizer has {words} words and the model 259, so that it is"):
        check_vocabulary(range(words), Path("there"), 259)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What a machine tells of its memory: one GiB is free and half a GiB of swap."""
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 9999999 kB\nMemAvailable:    1048576 kB\nSwapFree: 524288 kB\nHugePages_Total: 0\n")
    monkeypatch.setattr(memory, "MEMINFO", told)
    return told


@pytest.mark.usefixtures("machine")
def test_a_machine_with_too_little_memory_is_told_with_what_would_help(large: nn.Module) -> None:
    wanted = request(skeleton=False)
    told = "a model takes 2.0 GiB of weights, and this machine has 1.5 GiB of memory free; end what else runs there"
    with pytest.raises(UserError, match=re.escape(told)):
        check_memory(wanted, large)
    check_memory(request(skeleton=True), large)  # a look at a model needs none
    check_memory(wanted, nn.Linear(1 << 14, 3 << 13, bias=False, device="meta"))


@pytest.mark.parametrize("content", [None, "MemTotal: 9999999 kB\n"])
def test_a_machine_that_does_not_tell_is_tried(machine: Path, large: nn.Module, content: str | None) -> None:
    machine.unlink() if content is None else machine.write_text(content)
    check_memory(request(skeleton=False), large)


@pytest.mark.parametrize(
    ("dtype", "device", "taken"),
    [
        (None, GPU, torch.float16),
        (None, CPU, torch.float32),
        (torch.float32, GPU, torch.float32),
        (torch.bfloat16, CPU, torch.bfloat16),
    ],
)
def test_half_precision_is_a_cards_alone_unless_it_is_asked_for(
    dtype: torch.dtype | None, device: torch.device, taken: torch.dtype
) -> None:
    assert half_on_gpu(dtype, device) == taken


@pytest.mark.parametrize("content", [None, "{}", "not json"])
def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path} holds no tokenizer that can be read")):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_told_by_its_name(value: float) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    check_numbers("some-model", module)
    module[1].weight.data[2, 1] = value
    with pytest.raises(UserError, match=r"some-model: 1.weight holds what is no number; .*: copy them anew$"):
        check_numbers("some-model", module)
