"""`smol-minigpt4`: the image encoder and language model of `smol-llava`, joined by a Q-Former as MiniGPT-4 is.

Out: a loaded backbone. Prompt: `###Human: <Img>`, the image's positions, `</Img> `, the text; a query without an image
is the text alone. The texts before and after the image are tokenised each by itself.
"""

from collections.abc import Sequence

import torch

from mmke.backbones.engine import decoder
from mmke.backbones.engine.cards import Names, lay
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.prompt import Layout, Prompt
from mmke.backbones.smol.language import load_tokenizer, read_language_file
from mmke.backbones.smol.parts import MINIGPT4_FILES, QUERIES, load_smol_minigpt4, revision
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
    """The small MiniGPT-4 that comes with the package: EfficientNet-Lite0, a Q-Former, SmolLM2-135M.

    `dtype` is the language model's (float32 if None); the image side stays in float32.

    Raises:
        UserError: a weight package is missing, or weights were named for a model that brings its own.
    """
    check_none_named(name, weights)
    reader = read_language_file()
    parts = load_smol_minigpt4(dtype or torch.float32, skeleton=skeleton, reader=reader)
    parts = parts.requires_grad_(requires_grad=False)
    if not skeleton:
        lay(parts, NAMES, cards or (device,))
    tokenizer = load_tokenizer(reader)
    before, after = (tuple(tokenizer(text)["input_ids"]) for text in ("###Human: <Img>", "</Img> "))
    return ComposedBackbone(
        name=name,
        revision=revision(MINIGPT4_FILES),
        module=parts,
        vision=Vision(
            pixels=preprocess,
            encode=lambda pixels: parts.vision_tower(pixels[None])[0],
            align=stacked(parts.project),
            tower="vision_tower",
            alignment="qformer",
            projection="language_projection",
        ),
        decoder=decoder.llama_parts(parts.language_model.model, parts.language_model.lm_head),
        decoder_name=NAMES.decoder,
        prompt=Prompt(tokenizer, Layout(QUERIES, before, after), frozenset({tokenizer.eos_token_id})),
    )
