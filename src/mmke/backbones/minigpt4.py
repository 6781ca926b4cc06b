"""`minigpt4-7b`: EVA-ViT-g, the Q-Former of BLIP2-FlanT5-XXL, one linear layer and Vicuna-7B, from the library's parts.

In: the name, device and precision that a run asks for. Out: a loaded backbone. Source: Zhu et al., arXiv:2304.10592.
Prompt as MMKE-Bench (arXiv:2502.19870) runs it: `###Human: <Img>`, the picture's 32 positions, `</Img> `, the text. The
texts before and after the picture are tokenised each by itself, without a beginning-of-sequence token and without an
end of the turn. A query without a picture is the text alone. The published code of one editor (KE) does put a
beginning-of-sequence token before a query with a picture: `Ask.begin` asks for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import Blip2QFormerModel, Blip2VisionModel, LlamaConfig, LlamaForCausalLM

from mmke.backbones import llama_tokenizer, qformer
from mmke.backbones.engine import decoder
from mmke.backbones.engine.cards import Names
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.prompt import Layout, Prompt
from mmke.backbones.weights.loading import LoadRequest, build_skeleton, half_on_gpu, load_weights
from mmke.backbones.weights.minigpt4 import LANGUAGE, locate
from mmke.backbones.weights.source import SourceFolder, files_of
from mmke.types import WeightSource

VOCABULARY = 32000
NAMES = Names("language_model.model", "language_model.lm_head")


class MiniGPT4(nn.Module):
    """The parts of MiniGPT-4, under the names of the library's BLIP-2."""

    def __init__(self, vision: Any, queries: Any, text: Any, *, query_tokens: int) -> None:
        """Build it from the configurations of its vision tower, Q-Former and language model."""
        super().__init__()
        self.vision_model = Blip2VisionModel(vision)
        self.query_tokens = nn.Parameter(torch.zeros(1, query_tokens, queries.hidden_size))
        self.qformer = Blip2QFormerModel(queries)
        self.language_projection = nn.Linear(queries.hidden_size, text.hidden_size)
        self.language_model = LlamaForCausalLM(text)


def load(
    *,
    name: str,
    dtype: torch.dtype | None,
    device: torch.device,
    weights: WeightSource = None,
    skeleton: bool = False,
    cards: Sequence[torch.device] = (),
) -> ComposedBackbone:
    """MiniGPT-4 on Vicuna-7B; needs its weights (mmke fetch minigpt4-7b).

    Raises:
        UserError: no weights, wrong ones, or too little memory on the GPU.
    """
    half = half_on_gpu(dtype, device)
    request = LoadRequest(name, weights, lambda tensor: qformer.tensor_dtype(tensor, half), device, skeleton, cards)
    parts = qformer.vision_config(), qformer.qformer_config(), text_config()
    model = build_skeleton(lambda: MiniGPT4(*parts, query_tokens=qformer.QUERIES))
    model.vision_model.post_layernorm.eps = qformer.LN_VISION_EPS
    loaded = load_weights(request, model, locate, read=llama_tokenizer.read, vocabulary=VOCABULARY, names=NAMES)
    return compose(
        loaded.module, name=name, revision=loaded.revision, prompt=prompt(loaded.tokenizer), pixels=qformer.pixels
    )


def source(*, name: str, weights: Path | None, module: Any) -> SourceFolder:
    """Return the model's parts as they were published, which an edited model is a changed copy of.

    The library has no class of MiniGPT-4: the copy is loaded by its published code, and by mmke with `--weights`.

    Raises:
        UserError: a part is not there.
    """
    del module
    found = locate(weights)
    parts = {file.name: file for file in found.files if file.parent != found.tokenizer}
    files = files_of(found.tokenizer, f"{LANGUAGE}/") | parts
    return SourceFolder(files, {key: (each,) for key, each in found.tensors.items()}, name, by_library=False)


def text_config() -> LlamaConfig:
    """Return Vicuna-7B's configuration (v0 and v1.1)."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        max_position_embeddings=2048,
        rms_norm_eps=1e-6,
    )


def prompt(tokenizer: Any, *, image_tokens: int = qformer.QUERIES) -> Prompt:
    """Return the prompt: the picture between `###Human: <Img>` and `</Img> `, then the text."""
    before, after = (
        tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in ("###Human: <Img>", "</Img> ")
    )
    layout, stops = Layout(image_tokens, before, after), frozenset({tokenizer.eos_token_id})
    return Prompt(tokenizer, layout, stops, begin=(tokenizer.bos_token_id,))


def compose(model: Any, *, name: str, revision: str, prompt: Prompt, pixels: Any) -> ComposedBackbone:
    """Make a backbone of a `MiniGPT4` of any size."""
    return ComposedBackbone(
        name=name,
        revision=revision,
        module=model,
        vision=qformer.vision(model, pixels),
        decoder=decoder.llama_parts(model.language_model.model, model.language_model.lm_head),
        decoder_name=NAMES.decoder,
        prompt=prompt,
        published_autocast=True,
    )
