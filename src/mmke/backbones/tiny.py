"""Four-layer random models of the real library classes, for tests: every editor on every architecture in seconds.

`tiny-llava` is `LlavaForConditionalGeneration`, `tiny-blip2` is `Blip2ForConditionalGeneration` over OPT (learned
positions), `tiny-minigpt4` is composed of `Blip2VisionModel`, `Blip2QFormerModel`, a linear layer and Llama, as
MiniGPT-4 is. Prompts are those of the full-size models in MMKE-Bench. Text is read byte by byte, by a vocabulary made
here; `dtype` is the language model's, the image side stays in float32.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
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
    PreTrainedTokenizerFast,
)

from mmke.backbones import decoder
from mmke.backbones.composed import ComposedBackbone, Vision
from mmke.backbones.prompt import Layout, Prompt

LAYERS = 4
HIDDEN = 32
SIDE = 28
PATCH = 14
PATCHES = (SIDE // PATCH) ** 2
QUERIES = 3
BOS, EOS = 256, 257
VOCABULARY = 260
POSITIONS = 4096
SPREAD = 0.3
"""Of the image side's random weights: with the library's 0.02 one picture would look like another."""
REVISION = "random, seed 0"


class TinyMiniGPT4(nn.Module):
    """The parts of MiniGPT-4, four layers each."""

    def __init__(self) -> None:
        super().__init__()
        self.vision_model = Blip2VisionModel(_blip2_vision())
        self.query_tokens = nn.Parameter(torch.randn(1, QUERIES, HIDDEN))
        self.qformer = Blip2QFormerModel(_qformer())
        self.language_projection = nn.Linear(HIDDEN, HIDDEN)
        self.language_model = LlamaForCausalLM(_llama())


def load_llava(*, name: str, dtype: torch.dtype, device: torch.device) -> ComposedBackbone:
    """A random four-layer LLaVA, for tests."""
    vision = CLIPVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
    )
    config = LlavaConfig(vision_config=vision, text_config=_llama(), image_token_index=VOCABULARY - 1)
    model = _seeded(lambda: LlavaForConditionalGeneration(config))
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    # As published: the last layer but one, without the class token.
    sight = Vision(
        pixels=_pixels,
        encode=lambda pixels: tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:],
        align=projector,
        tower="model.vision_tower",
        alignment="model.multi_modal_projector",
    )
    # The library installs its capturing hooks at the first call that wants hidden states: let that be before any edit.
    with torch.no_grad():
        sight.encode(torch.zeros(1, 3, SIDE, SIDE))
    layout = Layout(PATCHES, before_image=(BOS,), before_text=(BOS,))
    language = decoder.llama_parts(model.model.language_model, model.lm_head)
    return ComposedBackbone(
        name,
        REVISION,
        _placed(model, (model.model.language_model, model.lm_head), dtype=dtype, device=device),
        sight,
        language,
        "model.language_model",
        _prompt(layout),
        # The library hands LLaVA's logits out in float32, whatever the language model's precision.
        logits_dtype=torch.float32,
    )


def load_minigpt4(*, name: str, dtype: torch.dtype, device: torch.device) -> ComposedBackbone:
    """A random four-layer MiniGPT-4, for tests."""
    model = _seeded(TinyMiniGPT4)
    sight = _qformer_vision(model, model.vision_model)
    tokenizer = byte_tokenizer()
    layout = Layout(
        QUERIES,
        before_image=tuple(tokenizer("###Human: <Img>")["input_ids"]),
        after_image=tuple(tokenizer("</Img> ")["input_ids"]),
    )
    parts = decoder.llama_parts(model.language_model.model, model.language_model.lm_head)
    return ComposedBackbone(
        name,
        REVISION,
        _placed(model, (model.language_model,), dtype=dtype, device=device),
        sight,
        parts,
        "language_model.model",
        _prompt(layout),
    )


def load_blip2(*, name: str, dtype: torch.dtype, device: torch.device) -> ComposedBackbone:
    """A random four-layer BLIP2-OPT, for tests."""
    text = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        word_embed_proj_dim=HIDDEN,
        ffn_dim=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        max_position_embeddings=POSITIONS,
        dropout=0.0,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=1,
    )
    config = Blip2Config(
        vision_config=_blip2_vision(),
        qformer_config=_qformer(),
        text_config=text,
        num_query_tokens=QUERIES,
        image_token_index=VOCABULARY - 1,
    )
    model = _seeded(lambda: Blip2ForConditionalGeneration(config))
    parts = decoder.opt_parts(model.language_model.model.decoder, model.language_model.lm_head)
    layout = Layout(QUERIES, after_image=(BOS,), before_text=(BOS,))
    sight = _qformer_vision(model, model.vision_model)
    return ComposedBackbone(
        name,
        REVISION,
        _placed(model, (model.language_model,), dtype=dtype, device=device),
        sight,
        parts,
        "language_model.model.decoder",
        _prompt(layout),
    )


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one id per byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: i for i, character in enumerate(alphabet)} | {"<s>": BOS, "</s>": EOS}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    )


def _seeded(build: Callable[[], Any]) -> Any:
    """Build a module from seed 0, leaving the caller's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build()
        if hasattr(module, "query_tokens"):  # the library leaves them at zero
            nn.init.normal_(module.query_tokens)
    return module


def _placed(model: nn.Module, language: Sequence[nn.Module], *, dtype: torch.dtype, device: torch.device) -> nn.Module:
    for part in language:
        part.to(dtype=dtype)
    return model.requires_grad_(requires_grad=False).eval().to(device=device)


def _prompt(layout: Layout) -> Prompt:
    return Prompt(byte_tokenizer(), layout, frozenset({EOS}))


def _qformer_vision(model: Any, tower: nn.Module) -> Vision:
    def align(features: Tensor) -> Tensor:
        queries = model.query_tokens.expand(len(features), -1, -1)
        hidden = model.qformer(query_embeds=queries, encoder_hidden_states=features).last_hidden_state
        embeddings: Tensor = model.language_projection(hidden)
        return embeddings

    return Vision(
        pixels=_pixels,
        encode=lambda pixels: tower(pixels).last_hidden_state,
        align=align,
        tower="vision_model",
        alignment="qformer",
    )


def _pixels(picture: Image.Image) -> Tensor:
    small = picture.convert("RGB").resize((SIDE, SIDE))
    dtype = torch.get_default_dtype()
    return torch.from_numpy(np.array(small)).to(dtype).permute(2, 0, 1) / 127.5 - 1


def _llama() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )


def _blip2_vision() -> Blip2VisionConfig:
    return Blip2VisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        initializer_range=SPREAD,
    )


def _qformer() -> Blip2QFormerConfig:
    return Blip2QFormerConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        encoder_hidden_size=HIDDEN,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=SPREAD,
    )
