"""Find the weights of LLaVA-1.5-7B, in the layouts that its users have.

In: the user's `--weights`. Out: a `Checkpoint`, with the tensors under the names of the library's class.

* the hub's converted folder, `llava-hf/llava-1.5-7b-hf`, under the library's names of before 2025 or of today;
* the original folder, `liuhaotian/llava-v1.5-7b`, which leaves out its image encoder, with the folder of that beside
  it, `openai/clip-vit-large-patch14-336`.

Names in the original: haotian-liu/LLaVA, llava/model/llava_arch.py; the library's own conversion of them is
transformers, models/llava/convert_llava_weights_to_hf.py.
"""

from pathlib import Path

from mmke.backbones.weights.checkpoint import Checkpoint, Rules, Source, assemble
from mmke.backbones.weights.locations import Locations, check_type, locations
from mmke.backbones.weights.tensor_files import open_file, read_json, weight_files
from mmke.errors import UserError

CONVERTED = "llava-1.5-7b-hf"
CONVERTED_HUB = "llava-hf/llava-1.5-7b-hf"
ORIGINAL = "llava-v1.5-7b"
ORIGINAL_HUB = "liuhaotian/llava-v1.5-7b"
TOWER = "clip-vit-large-patch14-336"
TOWER_HUB = "openai/clip-vit-large-patch14-336"
TOWER_WITHIN = "model.vision_tower."
"""How the encoder's tensors are called in an original folder that was saved with it."""

_ROTARY = r".*\.rotary_emb\.inv_freq"
CONVERTED_RULES: Rules = (
    (_ROTARY, None),
    (r"(?:model\.)?vision_tower\.(?:vision_model\.)?embeddings\.position_ids", None),
    (r"(?:model\.)?vision_tower\.(?:vision_model\.)?(.+)", r"model.vision_tower.\1"),
    (r"(?:model\.)?multi_modal_projector\.(.+)", r"model.multi_modal_projector.\1"),
    (r"(?:language_model\.)?lm_head\.(.+)", r"lm_head.\1"),
    (r"(?:language_model\.model|model\.language_model)\.(.+)", r"model.language_model.\1"),
)
ORIGINAL_RULES: Rules = (
    (_ROTARY, None),
    (r"model\.vision_tower\.vision_tower\.vision_model\.embeddings\.position_ids", None),
    (r"model\.vision_tower\.vision_tower\.vision_model\.(.+)", r"model.vision_tower.\1"),
    (r"model\.mm_projector\.0\.(.+)", r"model.multi_modal_projector.linear_1.\1"),
    (r"model\.mm_projector\.2\.(.+)", r"model.multi_modal_projector.linear_2.\1"),
    (r"model\.((?:embed_tokens|layers|norm)\..+)", r"model.language_model.\1"),
    (r"lm_head\.weight", r"lm_head.weight"),
)
TOWER_RULES: Rules = (
    (r"vision_model\.embeddings\.position_ids", None),
    (r"vision_model\.(.+)", r"model.vision_tower.\1"),
    # The half of CLIP that reads text.
    (r"(?:text_model|text_projection|visual_projection)\..+|logit_scale", None),
)


def locate(weights: Path | None) -> Checkpoint:
    """Find LLaVA-1.5-7B's weights, under the names of `LlavaForConditionalGeneration`.

    Args:
        weights: a model's folder, or one that holds it (and the encoder's); None: `hugging_cache` in the current
            folder, then the hub's cache.

    Raises:
        UserError: there are none, or they are incomplete, broken or another model's.
    """
    where = locations(weights)
    folder = where.root if where.is_model else where.folder((CONVERTED, ORIGINAL), hub=CONVERTED_HUB)
    if folder is None:
        folder = where.folder((), hub=ORIGINAL_HUB)
    if folder is None:
        raise UserError(_not_found(where))
    check_type(folder, {"llava", "llava_llama"}, name="LLaVA-1.5")
    files = weight_files(folder)
    if "text_config" in read_json(folder / "config.json"):
        return assemble("LLaVA as the hub converted it", folder, [Source(files, CONVERTED_RULES)])
    if any(name.startswith(TOWER_WITHIN) for file in files for name in open_file(file).tensors):
        return assemble("original LLaVA folder, image encoder within", folder, [Source(files, ORIGINAL_RULES)])
    tower = Source(weight_files(_tower(where, folder)), TOWER_RULES)
    layout = "original LLaVA folder with its CLIP image encoder"
    return assemble(layout, folder, [tower, Source(files, ORIGINAL_RULES)])


def _tower(where: Locations, folder: Path) -> Path:
    beside = folder.absolute().parent / TOWER
    found = beside if beside.is_dir() else where.folder((TOWER,), hub=TOWER_HUB)
    if found is None:
        raise UserError(
            f"{folder} is LLaVA without its image encoder, and there is no {TOWER} beside it or in {where.text()}; put "
            f"the hub's {TOWER_HUB} at {beside}"
        )
    return found


def _not_found(where: Locations) -> str:
    return (
        f"llava-1.5-7b has no weights in {where.text()}: download them (mmke fetch llava-1.5-7b), or put the hub's "
        f"{CONVERTED_HUB} at {where.root / CONVERTED}, or {ORIGINAL_HUB} at {where.root / ORIGINAL} and {TOWER_HUB} at "
        f"{where.root / TOWER}; if they are elsewhere, --weights DIR names the folder"
    )
