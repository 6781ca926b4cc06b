"""`tiny-llava`, `tiny-minigpt4`, `tiny-blip2`: four-layer random models for tests.

Out: backbones of the library's own classes, composed by the same functions as the full-size models, with the same
prompts and precisions. Each byte of a text is a token, and pictures are resized to 28 x 28 pixels.
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
    Blip2VisionConfig,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    OPTConfig,
    PreTrainedTokenizerFast,
)

from mmke.backbones import blip2, llava, minigpt4, qformer
from mmke.backbones.engine.cards import Names, lay
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.minigpt4 import MiniGPT4
from mmke.backbones.weights.loading import RANDOM, RANDOM_REVISION, check_none_named, set_precision
from mmke.backbones.weights.memory import is_elsewhere
from mmke.types import WeightSource

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
"""Standard deviation of the image side's random weights: with the library's 0.02 all pictures give like features."""


def load_llava(
    *,
    name: str,
    dtype: torch.dtype | None,
    device: torch.device,
    weights: WeightSource = None,
    cards: Sequence[torch.device] = (),
    **_: object,
) -> ComposedBackbone:
    """A random four-layer LLaVA, for tests."""
    _check_own(name, weights)
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
    placed = _placed(model, llava.tensor_dtype, dtype, llava.NAMES, cards or (device,))
    prompt = llava.prompt(byte_tokenizer(), image_tokens=PATCHES)
    return llava.compose(placed, name=name, revision=RANDOM_REVISION, prompt=prompt, pixels=_pixels)


def load_minigpt4(
    *,
    name: str,
    dtype: torch.dtype | None,
    device: torch.device,
    weights: WeightSource = None,
    cards: Sequence[torch.device] = (),
    **_: object,
) -> ComposedBackbone:
    """A random four-layer MiniGPT-4, for tests."""
    _check_own(name, weights)
    model = _seeded(lambda: MiniGPT4(_blip2_vision(), _qformer(), _llama(), query_tokens=QUERIES))
    placed = _placed(model, qformer.tensor_dtype, dtype, minigpt4.NAMES, cards or (device,))
    prompt = minigpt4.prompt(byte_tokenizer(), image_tokens=QUERIES)
    return minigpt4.compose(placed, name=name, revision=RANDOM_REVISION, prompt=prompt, pixels=_pixels)


def load_blip2(
    *,
    name: str,
    dtype: torch.dtype | None,
    device: torch.device,
    weights: WeightSource = None,
    cards: Sequence[torch.device] = (),
    **_: object,
) -> ComposedBackbone:
    """A random four-layer BLIP2-OPT, for tests."""
    _check_own(name, weights)
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
    placed = _placed(model, qformer.tensor_dtype, dtype, blip2.NAMES, cards or (device,))
    prompt = blip2.prompt(byte_tokenizer(), image_tokens=QUERIES, begin=BOS)
    return blip2.compose(placed, name=name, revision=RANDOM_REVISION, prompt=prompt, pixels=_pixels)


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


def _check_own(name: str, weights: WeightSource) -> None:
    """Refuse `--weights`, except "random", since these models have random weights only."""
    check_none_named(name, None if weights == RANDOM else weights)


def _seeded(build: Callable[[], Any]) -> Any:
    """Build a module with random weights of seed 0; the state of the caller's generator does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build()
        if hasattr(module, "query_tokens"):  # the library initialises them to zero
            nn.init.normal_(module.query_tokens)
    return module


def _placed(
    model: Any,
    precision: Callable[[str, torch.dtype], torch.dtype],
    dtype: torch.dtype | None,
    names: Names,
    cards: Sequence[torch.device],
) -> Any:
    """Convert a module to its precisions, without gradients and in evaluation mode, and move it to its devices."""
    set_precision(model, lambda name: precision(name, dtype or torch.float32))
    model.requires_grad_(requires_grad=False).eval()
    # These have no skeletons: their weights are made in a moment.
    lay(model, names, [torch.device("meta")] if is_elsewhere(cards[0]) else cards)
    return model


def _pixels(picture: Image.Image) -> Tensor:
    """Return a picture as the encoder reads it [3 28 28], with values in [-1, 1]."""
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
