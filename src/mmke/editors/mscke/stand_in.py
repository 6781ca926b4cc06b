"""A CLIP with random weights in the shape of L/14: for time and memory, which depend on no value.

All texts are about the same to it, and all pictures, so that every probe is in scope and the counterfactual model has
to answer all of them.
"""

from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mmke.editors.serac.stand_in import StandInWords

SPREAD = 1e-3
"""Of what differs between two texts or two pictures, in front of the projections."""
TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
}
WIDTH = 768


def stand_in() -> tuple[Any, Any, Any]:
    """Return the model, its tokenizer and its processing of pictures."""
    config: Any = CLIPConfig(
        text_config={**TEXT, "projection_dim": WIDTH},
        vision_config={**VISION, "projection_dim": WIDTH},
        projection_dim=WIDTH,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = CLIPModel(config)
        for norm in (model.text_model.final_layer_norm, model.vision_model.post_layernorm):
            torch.nn.init.constant_(norm.weight, SPREAD)
            torch.nn.init.normal_(norm.bias)
    return model, StandInWords(config.text_config.vocab_size), CLIPImageProcessorPil()
