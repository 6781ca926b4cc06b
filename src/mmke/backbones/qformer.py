"""What MiniGPT-4 and BLIP2-OPT share: EVA-ViT-g at 364 pixels and the Q-Former, as MMKE-Bench runs them.

In: a model of the library's classes. Out: its image side. Source: Li et al., arXiv:2301.12597. The picture is resized
to 364 x 364 without cropping. Vision tower, Q-Former and projection have float32 weights; on a GPU the tower computes
under float16 autocast, as published. Differs from MMKE-Bench: there BLIP2's residual stream in the language model is
promoted to float32, here it stays in half precision; and there fine-tuning kept float16 autocast over float32 weights,
here `--dtype float32` computes everything in float32.
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
"""Epsilon of the layer norm after the tower, in the original; the library's class takes that of the tower."""
PROCESSOR = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})


def vision_config() -> Blip2VisionConfig:
    """Return EVA-ViT-g's configuration at 364 pixels."""
    return Blip2VisionConfig(image_size=SIDE)


def qformer_config() -> Blip2QFormerConfig:
    """Return the Q-Former's configuration, without dropout."""
    return Blip2QFormerConfig(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def pixels(picture: Image.Image) -> Tensor:
    """Return a picture as the vision tower reads it [3 364 364]."""
    return processed(picture, PROCESSOR)


def vision(model: Any, pixels: Callable[[Image.Image], Tensor]) -> Vision:
    """Return the image side of a model with `vision_model`, `query_tokens`, `qformer` and `language_projection`."""
    hidden_dtype = model.language_model.lm_head.weight.dtype

    def encode(pixels: Tensor) -> Tensor:
        half = pixels.is_cuda and hidden_dtype != torch.float32
        with torch.autocast("cuda", torch.float16, enabled=half):
            features: Tensor = model.vision_model(pixels[None]).last_hidden_state[0]
        return features.float()

    def project(features: Tensor) -> Tensor:
        queries = model.query_tokens.expand(len(features), -1, -1)
        hidden = model.qformer(query_embeds=queries, encoder_hidden_states=features).last_hidden_state
        embeddings: Tensor = model.language_projection(hidden)
        return embeddings

    return Vision(pixels, encode, stacked(project), "vision_model", "qformer", "language_projection")


def tensor_dtype(name: str, half: torch.dtype) -> torch.dtype:
    """Return the precision of a tensor, by its name; `half` is that of the language model."""
    return half if name.startswith("language_model.") else torch.float32
