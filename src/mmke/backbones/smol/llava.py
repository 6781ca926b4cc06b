"""`smol-llava`: EfficientNet-Lite0, a projector and SmolLM2-135M-Instruct, put together as LLaVA is.

Out: a loaded backbone. Prompt: the image's positions, then the text; no chat template, and no beginning-of-sequence
token, which this language model does not use.
"""

from collections.abc import Sequence

import torch

from mmke.backbones.engine import decoder
from mmke.backbones.engine.cards import Names, lay
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.prompt import Layout, Prompt
from mmke.backbones.smol.language import load_tokenizer, read_language_file
from mmke.backbones.smol.parts import IMAGE_TOKENS, LLAVA_FILES, load_smol_llava, revision
from mmke.backbones.smol.vision import preprocess
from mmke.backbones.vision import Vision, stacked
from mmke.backbones.weights.loading import check_none_named
from mmke.types import WeightSource

NAMES = Names("language_model.model", "language_model.lm_head")


def load(
    *,
    name: str,
    dtype: torch.dtype | None,
    device: torch.device,
    weights: WeightSource = None,
    skeleton: bool = False,
    cards: Sequence[torch.device] = (),
) -> ComposedBackbone:
    """The small LLaVA that comes with the package: EfficientNet-Lite0, a projector, SmolLM2-135M.

    `dtype` is the language model's (float32 if None); the image side stays in float32.

    Raises:
        UserError: a weight package is missing, or weights were named for a model that brings its own.
    """
    check_none_named(name, weights)
    reader = read_language_file()
    parts = load_smol_llava(dtype or torch.float32, skeleton=skeleton, reader=reader)
    parts = parts.requires_grad_(requires_grad=False)
    if not skeleton:
        lay(parts, NAMES, cards or (device,))
    tokenizer = load_tokenizer(reader)
    return ComposedBackbone(
        name=name,
        revision=revision(LLAVA_FILES),
        module=parts,
        vision=Vision(
            pixels=preprocess,
            encode=lambda pixels: parts.vision_tower(pixels[None])[0],
            align=stacked(parts.multi_modal_projector),
            tower="vision_tower",
            alignment="multi_modal_projector",
        ),
        decoder=decoder.llama_parts(parts.language_model.model, parts.language_model.lm_head),
        decoder_name=NAMES.decoder,
        prompt=Prompt(tokenizer, Layout(IMAGE_TOKENS), frozenset({tokenizer.eos_token_id})),
        logits_dtype=torch.float32,
    )
