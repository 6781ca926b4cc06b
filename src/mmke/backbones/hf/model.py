"""`hf:NAME_OR_PATH`: any image-text-to-text model of the library.

Nothing here knows a model by its name. Edit sites are found by role (`sites`), the image side is divided before its
alignment by running the model's own code (`vision`), the prompt is its own chat template (`prompt`), and what was taken
apart is compared with the model itself before it is used (`check`). No code out of a model's folder is run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.utils import logging

from mmke.backbones.checkpoints.tensor_files import open_file, weight_files
from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.hf.check import asked, check, own_logits, small_picture
from mmke.backbones.hf.decoder import Seen, take_apart, watch
from mmke.backbones.hf.folder import find_folder, revision
from mmke.backbones.hf.processor import CANNOT_READ, load_processor, placeholder
from mmke.backbones.hf.prompt import QUESTION, Template
from mmke.backbones.hf.sites import Sites, find_sites
from mmke.backbones.hf.vision import divide
from mmke.backbones.loading import (
    RANDOM,
    RANDOM_REVISION,
    Order,
    WeightSource,
    check_memory,
    fill_at_random,
    lay_out,
    set_precision,
)
from mmke.backbones.reason import reason
from mmke.types import UserError

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class Known:
    """What is known of a model before its weights are read."""

    name: str
    revision: str
    sites: Sites
    template: Template
    stop_ids: frozenset[int]


def load(
    *, name: str, dtype: torch.dtype | None, device: torch.device, weights: WeightSource = None, skeleton: bool = False
) -> ComposedBackbone:
    """Any image-text-to-text model of the library, by its folder or its name on the hub.

    Raises:
        UserError: it is not there, is no such model, lacks a part, or cannot be taken apart without changing it.
    """
    folder = find_folder(name, None if weights == RANDOM else weights)
    config = read_config(folder)
    template = read_template(folder, config)
    model = lay_out(lambda: AutoModelForImageTextToText.from_config(config))  # type: ignore[no-untyped-call]
    own = precision(config, dtype, device)
    order = Order(name, weights, lambda _: own, device, skeleton)
    set_precision(model, order.dtype)
    sites, stops = find_sites(model), stop_ids(folder, model, template)
    known = Known(name, _check_weights(folder, weights), sites, template, stops)
    check_memory(order, model)
    if skeleton:
        return compose(model, known)
    if weights == RANDOM:
        fill_at_random(model, order)
    else:
        model = _read(folder, own, device)
    return _checked(model.requires_grad_(requires_grad=False).eval(), known)


def read_config(folder: Path) -> Any:
    """Read a model's configuration.

    Raises:
        UserError: it is none of an image-text-to-text model that this library has, or of a quantised one.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except CANNOT_READ as error:
        raise UserError(
            f"{folder}: transformers {transformers.__version__} cannot read this model ({reason(error)})"
        ) from error
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise UserError(
            f"{folder} holds a model of the type {config.model_type!r}, which is no image-text-to-text model of "
            f"transformers {transformers.__version__}"
        )
    if getattr(config, "quantization_config", None) is not None:
        raise UserError(
            f"{folder} holds quantised weights, which cannot be edited; take the model that is not quantised"
        )
    return config


def read_template(folder: Path, config: Any) -> Template:
    """Read a model's processor and chat template.

    Raises:
        UserError: they are missing or cannot be read.
    """
    image_token = next(
        (getattr(config, key) for key in ("image_token_id", "image_token_index") if hasattr(config, key)), None
    )
    if image_token is None:
        raise UserError(f"{folder}: config.json names no token that stands at a picture's positions (image_token_id)")
    processor = load_processor(folder, config)
    return Template(processor, image_token, "" if processor.chat_template else placeholder(processor, image_token))


def precision(config: Any, dtype: torch.dtype | None, device: torch.device) -> torch.dtype:
    """Return the precision of the whole model: on a card, where the user leaves it open, that of its weights' files.

    Half where the card has no bfloat16, or the configuration does not say.
    """
    if dtype is not None:
        return dtype
    if device.type != "cuda":
        return torch.float32
    own = getattr(config, "dtype", None) or getattr(config.get_text_config(), "dtype", None)
    if own == torch.bfloat16 and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32 if own == torch.float32 else torch.float16


def compose(model: Any, known: Known, seen: Seen | None = None) -> ComposedBackbone:
    """Put a model together as a backbone; a skeleton was not seen reading."""
    sites, template = known.sites, known.template
    rotary = next((part.get_rope_index for part in model.modules() if hasattr(part, "get_rope_index")), None)
    placed = replace(template, rotary=rotary, window=window(model.config.get_text_config()))
    return ComposedBackbone(
        name=known.name,
        revision=known.revision,
        module=model,
        vision=divide(model, sites, template.processor, lambda: template.render(QUESTION, pictured=True)),
        decoder=take_apart(model, sites, seen),
        decoder_name=sites.language,
        prompt=placed.prompt(known.stop_ids),
    )


def window(text: Any) -> int | None:
    """Return how many positions back the layers see that do not see all; None where all do.

    Raises:
        UserError: there are layers of another kind.
    """
    kinds = set(getattr(text, "layer_types", None) or [FULL, SLIDING])
    if kinds - {FULL, SLIDING}:
        raise UserError(
            f"the model's layers are of the kinds {', '.join(sorted(kinds))}; mmke can divide {FULL} and {SLIDING}"
        )
    seen: int | None = getattr(text, "sliding_window", None) if SLIDING in kinds else None
    return seen


def stop_ids(folder: Path, model: Any, template: Template) -> frozenset[int]:
    """Return the ids that end what the model writes."""
    stated: list[Any] = [template.processor.tokenizer.eos_token_id, model.config.get_text_config().eos_token_id]
    if (folder / "generation_config.json").is_file():
        stated.append(GenerationConfig.from_pretrained(folder).eos_token_id)
    ids = {each for entry in stated if entry is not None for each in (entry if isinstance(entry, list) else [entry])}
    return frozenset(ids)


def _check_weights(folder: Path, weights: WeightSource) -> str:
    """Look whether all files of weights are there and whole, by what stands at their beginning; return the revision."""
    if weights == RANDOM:
        return RANDOM_REVISION
    for file in weight_files(folder):
        open_file(file)
    return revision(folder)


def _read(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    try:
        with _without_bars():
            read: Any = AutoModelForImageTextToText.from_pretrained(
                folder, dtype=dtype, device_map={"": device}, trust_remote_code=False, output_loading_info=True
            )
    except (*CANNOT_READ, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise UserError(f"{folder}: its weights cannot be read ({reason(error)}); copy them anew") from error
    model, info = read
    lacking = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if lacking:
        raise UserError(f"{folder} lacks {len(lacking)} tensors of this model, among them {lacking[0]}; copy it anew")
    return model


@contextmanager
def _without_bars() -> Iterator[None]:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _checked(model: Any, known: Known) -> ComposedBackbone:
    with small_picture() as image:
        try:
            prompts = asked(model)
            own = own_logits(model, known.template, image, prompts)
            # Of the last and shortest alone: what is seen of every layer is kept until it has been looked at.
            seen = watch(model, known.sites, lambda: own_logits(model, known.template, image, prompts[-1:]))
            backbone = compose(model, known, seen)
            check(backbone, own, image)
        except (*CANNOT_READ, RuntimeError, NotImplementedError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{known.name}: a {type(model).__name__} cannot be taken apart in the ways that mmke knows "
                f"({type(error).__name__}: {reason(error)})"
            ) from error
    return backbone
