"""`smol-minigpt4`: the image encoder and language model of `smol-llava`, joined by a Q-Former as MiniGPT-4 is.

Prompt: `###Human: <Img>`, the image's positions, `</Img> `, the bare text; a query without an image is the bare text.
The two halves of the wrapper are tokenised by themselves.
"""

import torch

from mmke.backbones import decoder
from mmke.backbones.composed import ComposedBackbone, Vision, stacked
from mmke.backbones.prompt import Layout, Prompt
from mmke.backbones.smol.language import load_tokenizer
from mmke.backbones.smol.llava import revision
from mmke.backbones.smol.parts import QUERIES, load_smol_minigpt4
from mmke.backbones.smol.vision import preprocess


def load(
    *, name: str, dtype: torch.dtype | None, device: torch.device, weights: object = None, skeleton: bool = False
) -> ComposedBackbone:
    """Load the model; `dtype` is the language model's (float32 if None), the image side stays in float32.

    Raises:
        UserError: a weight package is missing.
    """
    parts = load_smol_minigpt4(dtype or torch.float32, skeleton=skeleton).requires_grad_(requires_grad=False)
    if not skeleton:
        parts = parts.to(device)
    tokenizer = load_tokenizer()

    before, after = (tuple(tokenizer(half)["input_ids"]) for half in ("###Human: <Img>", "</Img> "))
    return ComposedBackbone(
        name=name,
        revision=revision("smol-llava", "smol-minigpt4"),
        module=parts,
        vision=Vision(
            pixels=preprocess,
            encode=lambda pixels: parts.vision_tower(pixels[None])[0],
            align=stacked(parts.read),
            tower="vision_tower",
            alignment="qformer",
        ),
        decoder=decoder.llama_parts(parts.language_model.model, parts.language_model.lm_head),
        decoder_name="language_model.model",
        prompt=Prompt(tokenizer, Layout(QUERIES, before, after), frozenset({tokenizer.eos_token_id})),
    )
