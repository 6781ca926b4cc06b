"""`llava-1.5-7b`: CLIP-L/14-336, a two-layer projector and Vicuna-7B v1.5, on the library's own class.

Source: Liu et al., arXiv:2310.03744. Prompt, picture and precision as MMKE-Bench (arXiv:2502.19870) runs it: beginning
of sequence, the picture's 576 positions, the bare text; no template; centre crop and no padding; the language model
and the projector in half precision on a card, the tower in float32 behind a picture that was rounded to half (with
`--dtype float32` all of it in float32, as published for fine-tuning). Differs from there: a prompt is never cut, where
a checkpoint with `tokenizer_model_max_length` lost what lay beyond it behind a picture.
"""

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mmke.backbones import llama_tokenizer
from mmke.backbones.engine import decoder
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.pictures import processed
from mmke.backbones.prompt import Layout, Prompt
from mmke.backbones.vision import Vision, stacked
from mmke.backbones.weights.llava import locate
from mmke.backbones.weights.loading import LoadRequest, half_on_gpu, lay_out, load_weights
from mmke.types import WeightSource

SIDE = 336
PATCHES = 24**2
VOCABULARY = 32000
MOST_PIXELS = 10**8
"""Of a picture before its middle is cut out."""
PROCESSOR = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


def load(
    *, name: str, dtype: torch.dtype | None, device: torch.device, weights: WeightSource = None, skeleton: bool = False
) -> ComposedBackbone:
    """LLaVA-1.5-7B; needs its weights (mmke fetch llava-1.5-7b).

    Raises:
        UserError: no weights, wrong ones, or too little memory on the card.
    """
    half = half_on_gpu(dtype, device)
    request = LoadRequest(name, weights, lambda tensor: tensor_dtype(tensor, half), device, skeleton)
    model = lay_out(lambda: LlavaForConditionalGeneration(config()))
    loaded = load_weights(request, model, locate, read=llama_tokenizer.read, vocabulary=VOCABULARY)
    return compose(loaded.module, name=name, revision=loaded.revision, prompt=prompt(loaded.tokenizer), pixels=pixels)


def config() -> LlavaConfig:
    """Return the published configuration."""
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=SIDE,
        patch_size=14,
        projection_dim=768,
    )
    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
    )
    return LlavaConfig(vision_config=vision, text_config=text, image_token_index=VOCABULARY - 1)


def tensor_dtype(name: str, half: torch.dtype) -> torch.dtype:
    """Return a tensor's precision."""
    return torch.float32 if name.startswith("model.vision_tower.") else half


def prompt(tokenizer: Any, *, image_tokens: int = PATCHES) -> Prompt:
    """Return the prompt: beginning of sequence, the picture, the bare text."""
    begin = (tokenizer.bos_token_id,)
    return Prompt(
        tokenizer,
        Layout(image_tokens, before_image=begin, before_text=begin),
        frozenset({tokenizer.eos_token_id}),
    )


def pixels(picture: Image.Image) -> Tensor:
    """Return a picture as the tower reads it [3 336 336]: shortest edge to 336, bicubic, and the middle cut out.

    Raises:
        ValueError: a line of pixels, which would be enlarged beyond all memory before the middle is cut out.
    """
    short, long = sorted(picture.size)
    if SIDE * SIDE * long > MOST_PIXELS * short:
        raise ValueError(f"it would be enlarged to {SIDE} x {SIDE * long // short:,} pixels; make it less narrow")
    return processed(picture, PROCESSOR)


def compose(model: Any, *, name: str, revision: str, prompt: Prompt, pixels: Any) -> ComposedBackbone:
    """Put a `LlavaForConditionalGeneration` of any size together."""
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    stream = model.lm_head.weight.dtype
    embedding = tower.embeddings.patch_embedding.weight

    def encode(pixels: Tensor) -> Tensor:
        # As published: rounded to the stream's precision before the tower and behind it; the last layer but one,
        # without the class token.
        read = tower(pixels[None].to(stream).to(embedding.dtype), output_hidden_states=True).hidden_states[-2][0, 1:]
        features: Tensor = read.to(stream)
        return features

    if not embedding.is_meta:
        # The library installs capturing hooks at the first call that wants hidden states: let that be before any edit.
        with torch.no_grad():
            side = tower.config.image_size
            encode(torch.zeros(3, side, side, device=embedding.device))
    return ComposedBackbone(
        name=name,
        revision=revision,
        module=model,
        vision=Vision(pixels, encode, stacked(projector), "model.vision_tower", "model.multi_modal_projector"),
        decoder=decoder.llama_parts(model.model.language_model, model.lm_head),
        decoder_name="model.language_model",
        prompt=prompt,
        # The library hands LLaVA's logits out in float32, whatever the language model's precision.
        logits_dtype=torch.float32,
    )
