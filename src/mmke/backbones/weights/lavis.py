"""The image side of BLIP-2 as LAVIS published it: one file with EVA-ViT-g, one with the Q-Former and the rest.

Out: rules that give their tensors the names of the library's BLIP-2. `eva_vit_g.pth` is the whole encoder of 40 blocks;
BLIP-2 leaves out the last one, and takes the layer norm after the encoder from its own file.
`blip2_pretrained_*.pth` holds what was trained: query tokens, Q-Former without the half that reads text, the
layer norm after the encoder, and the projection to the language model.

Names: salesforce/LAVIS, lavis/models/eva_vit.py and lavis/models/blip2_models/; the library's own conversion of them is
transformers, models/blip_2/convert_blip_2_original_to_pytorch.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mmke.backbones.weights.checkpoint import Rules
from mmke.backbones.weights.tensor_files import StoredTensor

EVA = "eva_vit_g.pth"
URL = "https://storage.googleapis.com/sfr-vision-language-research/LAVIS/models/BLIP2/"
BLOCKS = 39

QFORMER_RULES: Rules = (
    (r"query_tokens", r"query_tokens"),
    (r"ln_vision\.(.+)", r"vision_model.post_layernorm.\1"),
    (r"Qformer\.bert\.embeddings\.LayerNorm\.(.+)", r"qformer.layernorm.\1"),
    # What reads text, and the numbers of its positions.
    (r"Qformer\.bert\.embeddings\.(?:position_ids|(?:word|position)_embeddings\.weight)", None),
    (r"Qformer\.bert\.encoder\.layer\.\d+\.(?:intermediate|output)\..+", None),
    (r"Qformer\.cls\..+", None),
    (r"Qformer\.bert\.(encoder\.layer\.\d+\.(?:cross)?attention)\.self\.(.+)", r"qformer.\1.attention.\2"),
    (r"Qformer\.bert\.(encoder\..+)", r"qformer.\1"),
)


def eva_rules(blocks: int) -> Rules:
    """Return the rules for the encoder's file, of which the first `blocks` blocks are taken."""
    layer = r"vision_model.encoder.layers.\1"
    return (
        (r"cls_token", r"vision_model.embeddings.class_embedding"),
        (r"pos_embed", r"vision_model.embeddings.position_embedding"),
        (r"patch_embed\.proj\.(.+)", r"vision_model.embeddings.patch_embedding.\1"),
        (rf"blocks\.{blocks}\..+", None),
        (r"blocks\.(\d+)\.norm([12])\.(.+)", rf"{layer}.layer_norm\2.\3"),
        (r"blocks\.(\d+)\.attn\.qkv\.(.+)", rf"{layer}.self_attn.qkv.\2"),
        (r"blocks\.(\d+)\.attn\.proj\.(.+)", rf"{layer}.self_attn.projection.\2"),
        (r"blocks\.(\d+)\.mlp\.(fc[12]\..+)", rf"{layer}.mlp.\2"),
        # What follows the last block in the encoder's own use.
        (r"(?:norm|fc_norm|head)\..+", None),
    )


def with_joined_biases(tensors: Mapping[str, StoredTensor]) -> Mapping[str, StoredTensor]:
    """Join each attention's query and value biases into `qkv.bias`, as the library has them; the key bias is zero."""
    found = dict(tensors)
    for name, queries in tensors.items():
        values = tensors.get(name.removesuffix("q_bias") + "v_bias")
        if name.endswith(".attn.q_bias") and values is not None and values.shape == queries.shape:
            joined = name.removesuffix("q_bias") + "qkv.bias"
            del found[name], found[values.name]
            shape = (3 * queries.shape[0], *queries.shape[1:])
            found[joined] = replace(queries, name=joined, shape=shape, read=partial(_read_joined, queries, values))
    return found


def _read_joined(queries: StoredTensor, values: StoredTensor) -> Tensor:
    query_bias = queries.read()
    return torch.cat([query_bias, torch.zeros_like(query_bias), values.read()])
