"""Find the weights of BLIP2-OPT-2.7B, in the layouts that its users have.

In: the user's `--weights`. Out: a `Checkpoint`, with the tensors under the names of the library's class.

* the hub's converted folder, `Salesforce/blip2-opt-2.7b`;
* the published parts: the folder `opt-2.7b` (the hub's `facebook/opt-2.7b`), `eva_vit_g.pth` and
  `blip2_pretrained_opt2.7b.pth`.
"""

from pathlib import Path

from mmke.backbones.weights.checkpoint import Checkpoint, Rules, Source, assemble
from mmke.backbones.weights.lavis import BLOCKS, EVA, QFORMER_RULES, URL, eva_rules, with_joined_biases
from mmke.backbones.weights.locations import Locations, check_complete, check_type, locations
from mmke.backbones.weights.tensor_files import weight_files
from mmke.errors import UserError

CONVERTED = "blip2-opt-2.7b"
CONVERTED_HUB = "Salesforce/blip2-opt-2.7b"
LANGUAGE = "opt-2.7b"
LANGUAGE_HUB = "facebook/opt-2.7b"
TRAINED = "blip2_pretrained_opt2.7b.pth"

CONVERTED_RULES: Rules = (
    (r"(?:query_tokens|(?:vision_model|qformer|language_projection|language_model)\..+)", r"\g<0>"),
)
TRAINED_RULES: Rules = (*QFORMER_RULES, (r"opt_proj\.(.+)", r"language_projection.\1"))
LANGUAGE_RULES: Rules = (
    # Saved from the bare model or from the one with a head.
    (r"(?:model\.)?decoder\.(.+)", r"language_model.model.decoder.\1"),
    (r"lm_head\.weight", r"language_model.lm_head.weight"),
)


def locate(weights: Path | None, *, blocks: int = BLOCKS) -> Checkpoint:
    """Find BLIP2-OPT-2.7B's weights, under the names of `Blip2ForConditionalGeneration`.

    Args:
        weights: the converted folder, or one that holds it or the parts; None: `hugging_cache` in the current folder,
            then the hub's cache.
        blocks: how many of the encoder's blocks the model has.

    Raises:
        UserError: there are none, or they are incomplete, broken or another model's.
    """
    where = locations(weights)
    converted = where.root if where.is_model else where.folder((CONVERTED,), hub=CONVERTED_HUB)
    if converted is not None:
        check_type(converted, {"blip-2"}, name=CONVERTED)
        return assemble("BLIP-2 as the hub converted it", converted, [Source(weight_files(converted), CONVERTED_RULES)])
    parts = {
        LANGUAGE: where.folder((LANGUAGE,), hub=LANGUAGE_HUB),
        EVA: where.file((EVA,)),
        TRAINED: where.file((TRAINED,)),
    }
    if parts[LANGUAGE] is None and parts[TRAINED] is None:
        raise UserError(_not_found(where))
    language, eva, trained = check_complete(parts, where, name=CONVERTED)
    check_type(language, {"opt"}, name=LANGUAGE)
    sources = [
        Source(weight_files(language), LANGUAGE_RULES),
        Source([eva], eva_rules(blocks), with_joined_biases),
        Source([trained], TRAINED_RULES),
    ]
    return assemble("OPT, EVA-ViT-g and BLIP-2's own part, as published", language, sources)


def _not_found(where: Locations) -> str:
    root = where.root
    return (
        f"blip2-opt-2.7b has no weights in {where.text()}: download them (mmke fetch blip2-opt-2.7b), or put the hub's "
        f"{CONVERTED_HUB} at {root / CONVERTED}, or {LANGUAGE_HUB} at {root / LANGUAGE} with {root / EVA} and "
        f"{root / TRAINED} (both from {URL}); if they are elsewhere, --weights DIR names the folder"
    )
