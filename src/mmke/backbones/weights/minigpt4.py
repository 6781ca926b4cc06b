"""Find the weights of MiniGPT-4 on Vicuna-7B, as they were published in parts.

In: the user's `--weights`. Out: a `Checkpoint`, with the tensors under the names of `minigpt4.MiniGPT4`.

The folder `vicuna-7b` (the hub's `Vision-CAIR/vicuna-7b`), `eva_vit_g.pth`, `blip2_pretrained_flant5xxl.pth` for the
Q-Former, and MiniGPT-4's own linear layer in `pretrained_minigpt4_7b.pth`, which the authors' file name misspells.

Names: Vision-CAIR/MiniGPT-4, minigpt4/models/mini_gpt4.py.
"""

from pathlib import Path

from mmke.backbones.weights.checkpoint import Checkpoint, Rules, Source, assemble
from mmke.backbones.weights.lavis import BLOCKS, EVA, QFORMER_RULES, URL, eva_rules, with_joined_biases
from mmke.backbones.weights.locations import Locations, check_complete, check_type, locations
from mmke.backbones.weights.tensor_files import weight_files
from mmke.errors import UserError

LANGUAGE = "vicuna-7b"
LANGUAGE_HUB = "Vision-CAIR/vicuna-7b"
TRAINED = "blip2_pretrained_flant5xxl.pth"
LINEAR = ("pretrained_minigpt4_7b.pth", "prerained_minigpt4_7b.pth")

LANGUAGE_RULES: Rules = (
    (r".*\.rotary_emb\.inv_freq", None),
    (r"(?:model\.(?:embed_tokens|layers|norm)\..+|lm_head\.weight)", r"language_model.\g<0>"),
)
TRAINED_RULES: Rules = (*QFORMER_RULES, (r"t5_proj\..+", None))
LINEAR_RULES: Rules = (
    (r"llama_proj\.(.+)", r"language_projection.\1"),
    # Constants of the other parts, which were saved along.
    (r"llama_model\..*\.rotary_emb\.inv_freq", None),
    *QFORMER_RULES,
)


def locate(weights: Path | None, *, blocks: int = BLOCKS) -> Checkpoint:
    """Find MiniGPT-4's weights, under the names of `minigpt4.MiniGPT4`.

    Args:
        weights: the folder that holds the parts; None: `hugging_cache` in the current folder, and the hub's cache for
            Vicuna.
        blocks: how many of the encoder's blocks the model has.

    Raises:
        UserError: there are none, or they are incomplete, broken or another model's.
    """
    where = locations(weights)
    parts = {
        LANGUAGE: where.folder((LANGUAGE,), hub=LANGUAGE_HUB),
        EVA: where.file((EVA,)),
        TRAINED: where.file((TRAINED,)),
        LINEAR[0]: where.file(LINEAR),
    }
    if all(parts[part] is None for part in (LANGUAGE, TRAINED, LINEAR[0])):
        raise UserError(_not_found(where))
    language, eva, trained, linear = check_complete(parts, where, name="minigpt4-7b")
    check_type(language, {"llama"}, name=LANGUAGE)
    sources = [
        Source(weight_files(language), LANGUAGE_RULES),
        Source([eva], eva_rules(blocks), with_joined_biases),
        Source([trained], TRAINED_RULES),
        Source([linear], LINEAR_RULES),
    ]
    return assemble("Vicuna, EVA-ViT-g, BLIP-2's Q-Former and MiniGPT-4's linear layer", language, sources)


def _not_found(where: Locations) -> str:
    root = where.root
    return (
        f"minigpt4-7b has no weights in {where.text()}: download them (mmke fetch minigpt4-7b), or put the hub's "
        f"{LANGUAGE_HUB} at {root / LANGUAGE} with {root / EVA} and {root / TRAINED} (both from {URL}) and "
        f"{root / LINEAR[0]} (MiniGPT-4's checkpoint for Vicuna 7B); if they are elsewhere, --weights DIR names the "
        "folder"
    )
