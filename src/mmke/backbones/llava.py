"""`llava-1.5-7b`: CLIP-L/14-336, a two-layer projector and Vicuna-7B v1.5, on the library's own class.

In: the name, device and precision that a run asks for. Out: a loaded backbone. Source: Liu et al., arXiv:2310.03744.
As MMKE-Bench (arXiv:2502.19870) runs it:
* prompt: beginning of sequence, the picture's 576 positions, the text; no chat template;
* picture: resized, centre crop, no padding;
* precision on a GPU: language model and projector in half precision; the vision tower in float32, but its input is
  rounded to half precision first. With `--dtype float32` everything is in float32, as published for fine-tuning.
Differs from there: a prompt is never cut. There, with a checkpoint that states `tokenizer_model_max_length`, the end of
a longer prompt with a picture was lost.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mmke.backbones import llama_tokenizer
from mmke.backbones.engine import decoder
from mmke.backbones.engine.cards import Names
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.pictures import processed
from mmke.backbones.prompt import Layout, Prompt
from mmke.backbones.vision import Vision, stacked
from mmke.backbones.weights.llava import CONVERTED_HUB, locate
from mmke.backbones.weights.loading import LoadRequest, build_skeleton, half_on_gpu, load_weights
from mmke.backbones.weights.source import SourceFolder, of_folder
from mmke.types import WeightSource

SIDE = 336
PATCHES = 24**2
VOCABULARY = 32000
NAMES = Names("model.language_model", "lm_head")
MOST_PIXELS = 10**8
"""The most pixels of a resized picture, before the centre crop."""
PROCESSOR = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


def load(
    *,
    name: str,
    dtype: torch.dtype | None,
    device: torch.device,
    weights: WeightSource = None,
    skeleton: bool = False,
    cards: Sequence[torch.device] = (),
) -> ComposedBackbone:
    """LLaVA-1.5-7B; needs its weights (mmke fetch llava-1.5-7b).

    Raises:
        UserError: no weights, wrong ones, or too little memory on the GPU.
    """
    half = half_on_gpu(dtype, device)
    request = LoadRequest(name, weights, lambda tensor: tensor_dtype(tensor, half), device, skeleton, cards)
    model = build_skeleton(lambda: LlavaForConditionalGeneration(config()))
    loaded = load_weights(request, model, locate, read=llama_tokenizer.read, vocabulary=VOCABULARY, names=NAMES)
    return compose(loaded.module, name=name, revision=loaded.revision, prompt=prompt(loaded.tokenizer), pixels=pixels)


def source(*, name: str, weights: Path | None, module: Any) -> SourceFolder:
    """Return the folder with the model's files, which an edited model is a changed copy of.

    Raises:
        UserError: there are none, or they lie in the original layout.
    """
    del module
    return of_folder(locate(weights), name, CONVERTED_HUB)


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
    """Return the precision of a tensor, by its name; `half` is that of the language model."""
    return torch.float32 if name.startswith("model.vision_tower.") else half


def prompt(tokenizer: Any, *, image_tokens: int = PATCHES) -> Prompt:
    """Return the prompt: beginning of sequence, the picture, the text."""
    begin = (tokenizer.bos_token_id,)
    return Prompt(
        tokenizer,
        Layout(image_tokens, before_image=begin, before_text=begin),
        frozenset({tokenizer.eos_token_id}),
    )


def pixels(picture: Image.Image) -> Tensor:
    """Return a picture as the vision tower reads it [3 336 336]: shortest edge to 336, bicubic, then centre crop.

    Raises:
        ValueError: it is so narrow that the resized picture would not fit into memory.
    """
    short, long = sorted(picture.size)
    if SIDE * SIDE * long > MOST_PIXELS * short:
        raise ValueError(f"it would be enlarged to {SIDE} x {SIDE * long // short:,} pixels; make it less narrow")
    return processed(picture, PROCESSOR)


def compose(model: Any, *, name: str, revision: str, prompt: Prompt, pixels: Any) -> ComposedBackbone:
    """Make a backbone of a `LlavaForConditionalGeneration` of any size."""
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    hidden_dtype = model.lm_head.weight.dtype
    embedding = tower.embeddings.patch_embedding.weight

    def encode(pixels: Tensor) -> Tensor:
        # As published: input and output are rounded to the language model's precision; the features are those of the
        # last layer but one, without the class token.
        rounded = pixels[None].to(hidden_dtype).to(embedding.dtype)
        features: Tensor = tower(rounded, output_hidden_states=True).hidden_states[-2][0, 1:].to(hidden_dtype)
        return features

    if not embedding.is_meta:
        # The first call that asks for hidden states makes the library install hooks. It has to come before any edit,
        # since a run checks that an edit leaves no hook behind.
        with torch.no_grad():
            side = tower.config.image_size
            encode(torch.zeros(3, side, side, device=embedding.device))
    return ComposedBackbone(
        name=name,
        revision=revision,
        module=model,
        vision=Vision(pixels, encode, stacked(projector), "model.vision_tower", "model.multi_modal_projector"),
        decoder=decoder.llama_parts(model.model.language_model, model.lm_head),
        decoder_name=NAMES.decoder,
        prompt=prompt,
        # The library returns LLaVA's logits in float32, in whatever precision the language model is.
        logits_dtype=torch.float32,
    )
