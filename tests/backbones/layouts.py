"""Tiny models in the layouts of the published weights: real library classes, the files' own names.

The tables here are written from the names that each layout has in public (indexes, model code, conversion scripts),
apart from the package's own rules, so that the two check each other.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2QFormerModel,
    Blip2VisionConfig,
    Blip2VisionModel,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    OPTConfig,
)

from mmke.backbones.tiny import byte_tokenizer
from mmke.backbones.weights.loading import build_skeleton

HIDDEN = 32
VOCABULARY = 300
LAYERS = 2
PATCH = 14

Tensors = dict[str, Tensor]


def llava(*, hidden: int = HIDDEN, seed: int = 0, vocabulary: int = VOCABULARY) -> Any:
    """A tiny LLaVA with random weights."""
    vision = CLIPVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        image_size=28,
        patch_size=PATCH,
    )
    config = LlavaConfig(vision_config=vision, text_config=llama_config(hidden, vocabulary), image_token_index=299)
    return seeded(lambda: LlavaForConditionalGeneration(config), seed)


def blip2(*, side: int = 28, seed: int = 0, vocabulary: int = VOCABULARY) -> Any:
    """A tiny BLIP-2 over OPT with random weights, for pictures of `side` pixels."""
    text = OPTConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        word_embed_proj_dim=HIDDEN,
        ffn_dim=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        max_position_embeddings=64,
        dropout=0.0,
    )
    config = Blip2Config(
        vision_config=blip2_vision(side),
        qformer_config=qformer_config(),
        text_config=text,
        num_query_tokens=3,
        image_token_index=vocabulary - 1,
    )
    return seeded(lambda: Blip2ForConditionalGeneration(config), seed)


class MiniGPT4(nn.Module):
    """The parts of MiniGPT-4, under the names that its backbone has."""

    def __init__(self, side: int, vocabulary: int) -> None:
        super().__init__()
        self.vision_model = Blip2VisionModel(blip2_vision(side))
        self.query_tokens = nn.Parameter(torch.zeros(1, 3, HIDDEN))
        self.qformer = Blip2QFormerModel(qformer_config())
        self.language_projection = nn.Linear(HIDDEN, HIDDEN)
        self.language_model = LlamaForCausalLM(llama_config(HIDDEN, vocabulary))

    def forward(self, pixels: Tensor, ids: Tensor) -> Tensor:
        """Return the logits behind a picture and tokens."""
        features = self.vision_model(pixels).last_hidden_state
        queries = self.query_tokens.expand(len(features), -1, -1)
        read = self.qformer(query_embeds=queries, encoder_hidden_states=features).last_hidden_state
        state = torch.cat([self.language_projection(read), self.language_model.model.embed_tokens(ids)], dim=1)
        logits: Tensor = self.language_model(inputs_embeds=state).logits
        return logits


def minigpt4(*, side: int = 28, seed: int = 0, vocabulary: int = VOCABULARY) -> Any:
    """A tiny MiniGPT-4 with random weights, for pictures of `side` pixels."""
    return seeded(lambda: MiniGPT4(side, vocabulary), seed)


def llama_config(hidden: int, vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        max_position_embeddings=64,
    )


def blip2_vision(side: int) -> Blip2VisionConfig:
    return Blip2VisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        image_size=side,
        patch_size=PATCH,
    )


def qformer_config() -> Blip2QFormerConfig:
    return Blip2QFormerConfig(
        vocab_size=100,
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        encoder_hidden_size=HIDDEN,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def seeded(build: Callable[[], Any], seed: int) -> Any:
    """Build a module and draw every tensor of it, also those that the library leaves at zero or one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.2)
        # EVA's keys have no bias, and the library's one table for queries, keys and values has room for one.
        for name, parameter in module.named_parameters():
            if name.endswith("qkv.bias"):
                parameter.data[HIDDEN : 2 * HIDDEN] = 0
    return module.eval().requires_grad_(requires_grad=False)


def renamed(tensors: Mapping[str, Tensor], table: Mapping[str, str]) -> Tensors:
    """Return tensors under the names that a table of patterns gives; each must match one of them."""
    found = {}
    for name, tensor in tensors.items():
        pattern, target = next((p, t) for p, t in table.items() if re.fullmatch(p, name))
        found[re.fullmatch(pattern, name).expand(target)] = tensor  # type: ignore[union-attr]
    return found


def part(module: nn.Module, prefix: str) -> Tensors:
    """Return the tensors below a prefix, with their full names."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items() if name.startswith(prefix)}


def stored_names(folder: Path) -> set[str]:
    """Return the names in a folder's one safetensors file."""
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return set(file.keys())


def model_folder(folder: Path, config: Mapping[str, Any]) -> Path:
    """Make a model folder with its configuration and a tokenizer, as yet without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    byte_tokenizer().save_pretrained(folder)
    return folder


def write_shards(folder: Path, tensors: Tensors, *, kind: str = "bin", shards: int = 2) -> None:
    """Write tensors as the library does: in numbered files, with an index."""
    names = sorted(tensors)
    suffix, stem = ("bin", "pytorch_model") if kind == "bin" else ("safetensors", "model")
    index = {}
    for shard in range(shards):
        file = f"{stem}-{shard + 1:05d}-of-{shards:05d}.{suffix}"
        own = {name: tensors[name].clone() for name in names[shard::shards]}
        torch.save(own, folder / file) if kind == "bin" else save_file(own, folder / file)
        index.update(dict.fromkeys(own, file))
    body = {"metadata": {"total_size": 0}, "weight_map": index}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(body))


def filled(module: Any, checkpoint: Any) -> Any:
    """Fill a module of the same configuration, laid out without weights, from a checkpoint."""
    empty = build_skeleton(
        lambda: type(module)(module.config) if hasattr(module, "config") else MiniGPT4(28, VOCABULARY)
    )
    checkpoint.fill(empty, dtype=lambda _: torch.float32, device=lambda _: torch.device("cpu"))
    return empty.eval()


def differing(one: nn.Module, other: nn.Module) -> list[str]:
    """Return the names of tensors and tables in which two modules differ."""
    left, right = ({**dict(m.named_buffers()), **m.state_dict()} for m in (one, other))
    assert left.keys() == right.keys()
    return [name for name, tensor in left.items() if not torch.equal(tensor, right[name])]
