"""What MiniGPT-4 and BLIP2-OPT share: EVA-ViT-g at 364 pixels and the Q-Former, as MMKE-Bench runs them.

Source: Li et al., arXiv:2301.12597, through the library's classes. The picture is squeezed to 364 x 364 and not
cropped. Tower, Q-Former and projection are kept in float32; on a card the tower computes under float16 autocast, as
published. Differs from MMKE-Bench: MiniGPT-4's Q-Former and projection stay in float32 there too; BLIP2's language
model keeps its residual stream in half precision, where the published code promotes it to float32; and with
`--dtype float32` nothing is autocast, where the published fine-tuning kept float16 autocast over float32 weights.
"""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import Blip2QFormerConfig, Blip2VisionConfig
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from mmke.backbones.pictures import processed
from mmke.backbones.vision import Vision, stacked

SIDE = 364
QUERIES = 32
LN_VISION_EPS = 1e-5
"""Of the layer norm behind the tower in the original; the library's class takes the tower's own."""
PROCESSOR = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})


def vision_config() -> Blip2VisionConfig:
    """Return EVA-ViT-g's configuration at 364 pixels."""
    return Blip2VisionConfig(image_size=SIDE)


def qformer_config() -> Blip2QFormerConfig:
    """Return the Q-Former's configuration, without dropout."""
    return Blip2QFormerConfig(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def pixels(picture: Image.Image) -> Tensor:
    """Return a picture as the tower reads it [3 364 364]."""
    return processed(picture, PROCESSOR)


def vision(model: Any, pixels: Callable[[Image.Image], Tensor]) -> Vision:
    """Return the image side of a model with `vision_model`, `query_tokens`, `qformer` and `language_projection`."""
    stream = model.language_model.lm_head.weight.dtype

    def encode(pixels: Tensor) -> Tensor:
        half = pixels.is_cuda and stream != torch.float32
        with torch.autocast("cuda", torch.float16, enabled=half):
            read: Tensor = model.vision_model(pixels[None]).last_hidden_state[0]
        return read.float()

    def project(features: Tensor) -> Tensor:
        queries = model.query_tokens.expand(len(features), -1, -1)
        read = model.qformer(query_embeds=queries, encoder_hidden_states=features).last_hidden_state
        embeddings: Tensor = model.language_projection(read)
        return embeddings

    return Vision(pixels, encode, stacked(project), "vision_model", "qformer")


def tensor_dtype(name: str, half: torch.dtype) -> torch.dtype:
    """Return a tensor's precision."""
    return half if name.startswith("language_model.") else torch.float32
