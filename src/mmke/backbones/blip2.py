"""`blip2-opt-2.7b`: EVA-ViT-g, the Q-Former and OPT-2.7B, on the library's own class.

In: the name, device and precision that a run asks for. Out: a loaded backbone. Source: Li et al., arXiv:2301.12597.
Prompt as MMKE-Bench (arXiv:2502.19870) runs it: the picture's 32 positions, `</s>`, the text; a query without a picture
begins with `</s>`. OPT has learned position embeddings, 2,048 of them: a longer prompt is an error.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Blip2Config, Blip2ForConditionalGeneration, OPTConfig

from mmke.backbones import qformer
from mmke.backbones.engine import decoder
from mmke.backbones.engine.cards import Names
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.prompt import Layout, Prompt
from mmke.backbones.weights.blip2 import CONVERTED_HUB, locate
from mmke.backbones.weights.loading import LoadRequest, build_skeleton, half_on_gpu, load_weights, read_tokenizer
from mmke.backbones.weights.source import SourceFolder, of_folder
from mmke.types import WeightSource

VOCABULARY = 50272
NAMES = Names("language_model.model.decoder", "language_model.lm_head")
BEGIN = 2
"""The id of `</s>`, with which OPT begins every text; not every stored tokenizer names it as `bos_token`."""


def load(
    *,
    name: str,
    dtype: torch.dtype | None,
    device: torch.device,
    weights: WeightSource = None,
    skeleton: bool = False,
    cards: Sequence[torch.device] = (),
) -> ComposedBackbone:
    """BLIP2-OPT-2.7B; needs its weights (mmke fetch blip2-opt-2.7b).

    Raises:
        UserError: no weights, wrong ones, or too little memory on the GPU.
    """
    half = half_on_gpu(dtype, device)
    request = LoadRequest(name, weights, lambda tensor: qformer.tensor_dtype(tensor, half), device, skeleton, cards)
    model = build_skeleton(lambda: Blip2ForConditionalGeneration(config()))
    model.vision_model.post_layernorm.eps = qformer.LN_VISION_EPS
    loaded = load_weights(request, model, locate, read=read_tokenizer, vocabulary=VOCABULARY, names=NAMES)
    return compose(
        loaded.module, name=name, revision=loaded.revision, prompt=prompt(loaded.tokenizer), pixels=qformer.pixels
    )


def source(*, name: str, weights: Path | None, module: Any) -> SourceFolder:
    """Return the folder with the model's files, which an edited model is a changed copy of.

    Raises:
        UserError: there are none, or they lie in the published parts.
    """
    del module
    return of_folder(locate(weights), name, CONVERTED_HUB)


def config() -> Blip2Config:
    """Return the published configuration at 364 pixels."""
    text = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=2560,
        word_embed_proj_dim=2560,
        ffn_dim=10240,
        num_hidden_layers=32,
        num_attention_heads=32,
        max_position_embeddings=2048,
        dropout=0.0,
        attention_dropout=0.0,
    )
    return Blip2Config(
        vision_config=qformer.vision_config(),
        qformer_config=qformer.qformer_config(),
        text_config=text,
        num_query_tokens=qformer.QUERIES,
        image_token_index=VOCABULARY - 1,
    )


def prompt(tokenizer: Any, *, image_tokens: int = qformer.QUERIES, begin: int = BEGIN) -> Prompt:
    """Return the prompt: the picture, `</s>`, the text."""
    return Prompt(
        tokenizer,
        Layout(image_tokens, after_image=(begin,), before_text=(begin,)),
        frozenset({tokenizer.eos_token_id}),
    )


def compose(model: Any, *, name: str, revision: str, prompt: Prompt, pixels: Any) -> ComposedBackbone:
    """Make a backbone of a `Blip2ForConditionalGeneration` with OPT, of any size."""
    return ComposedBackbone(
        name=name,
        revision=revision,
        module=model,
        vision=qformer.vision(model, pixels),
        decoder=decoder.opt_parts(model.language_model.model.decoder, model.language_model.lm_head),
        decoder_name=NAMES.decoder,
        prompt=prompt,
        published_autocast=True,
    )
