"""The image side of BLIP-2 as LAVIS published it, from tiny models, under the names of its own model code."""

from pathlib import Path
from typing import Any

import torch
from layouts import LAYERS, Tensors, part, renamed

EVA_NAMES = {
    r"vision_model\.embeddings\.class_embedding": r"cls_token",
    r"vision_model\.embeddings\.position_embedding": r"pos_embed",
    r"vision_model\.embeddings\.patch_embedding\.(.+)": r"patch_embed.proj.\1",
    r"vision_model\.encoder\.layers\.(\d+)\.layer_norm(\d)\.(.+)": r"blocks.\1.norm\2.\3",
    r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.projection\.(.+)": r"blocks.\1.attn.proj.\2",
    r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.qkv\.(.+)": r"blocks.\1.attn.qkv.\2",
    r"vision_model\.encoder\.layers\.(\d+)\.mlp\.(.+)": r"blocks.\1.mlp.\2",
}
TRAINED_NAMES = {
    r"query_tokens": r"query_tokens",
    r"vision_model\.post_layernorm\.(.+)": r"ln_vision.\1",
    r"qformer\.layernorm\.(.+)": r"Qformer.bert.embeddings.LayerNorm.\1",
    r"qformer\.encoder\.layer\.(\d+)\.(attention|crossattention)\.attention\.(.+)": (
        r"Qformer.bert.encoder.layer.\1.\2.self.\3"
    ),
    r"qformer\.(encoder\..+)": r"Qformer.bert.\1",
}


def write_eva(root: Path, model: Any) -> None:
    """Write `eva_vit_g.pth`: one block more than the model has, halves of the bias apart, half precision."""
    own = part(model, "vision_model.")
    trained = {"vision_model.post_layernorm.weight", "vision_model.post_layernorm.bias"}
    tensors = renamed({name: own[name] for name in own.keys() - trained}, EVA_NAMES)
    for i in range(LAYERS):
        joined = tensors.pop(f"blocks.{i}.attn.qkv.bias")
        tensors[f"blocks.{i}.attn.q_bias"], _, tensors[f"blocks.{i}.attn.v_bias"] = joined.clone().chunk(3)
    last = {name: tensor for name, tensor in tensors.items() if name.startswith("blocks.0.")}
    tensors |= {name.replace("blocks.0.", f"blocks.{LAYERS}."): tensor for name, tensor in last.items()}
    tensors |= {f"{name}.{kind}": torch.ones(4) for name in ("norm", "head") for kind in ("weight", "bias")}
    torch.save({name: tensor.half() for name, tensor in tensors.items()}, root / "eva_vit_g.pth")


def write_trained(file: Path, model: Any, projection: Tensors, *, text: bool = False) -> None:
    """Write BLIP-2's own part as LAVIS saves it, with what its training loop keeps beside it."""
    names = {name for name in model.state_dict() if name.startswith(("query_tokens", "qformer.", "vision_model.post"))}
    tensors = renamed({name: model.state_dict()[name].clone() for name in names}, TRAINED_NAMES)
    tensors["Qformer.bert.embeddings.position_ids"] = torch.arange(512)[None]
    if text:
        tensors |= {
            "Qformer.bert.embeddings.word_embeddings.weight": torch.ones(9, 4),
            "Qformer.bert.embeddings.position_embeddings.weight": torch.ones(9, 4),
            "Qformer.bert.encoder.layer.0.intermediate.dense.weight": torch.ones(4, 4),
            "Qformer.bert.encoder.layer.0.output.LayerNorm.bias": torch.ones(4),
            "Qformer.cls.predictions.bias": torch.ones(9),
        }
    torch.save({"model": tensors | projection}, file)


def halved(model: Any) -> Any:
    """Round the encoder's tensors to half precision, which its published file has."""
    for name, parameter in model.named_parameters():
        if name.startswith("vision_model.") and "post_layernorm" not in name:
            parameter.data = parameter.data.half().float()
    return model
