"""What is read of a model's folder: configuration, processor, and weights, of which first only the headers.

No code out of the folder is run. What is missing, broken or of another model is told, as much of it as the headers tell
before any weights are read.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.utils import logging as library

from mmke.backbones.hf.processor import CANNOT_READ, load_processor, placeholder
from mmke.backbones.hf.prompt import Template
from mmke.backbones.hf.rendering import choose_rendering, find_template
from mmke.backbones.reason import reason
from mmke.backbones.weights.loading import build_skeleton
from mmke.backbones.weights.locations import CONFIG
from mmke.backbones.weights.tensor_files import WEIGHTS, open_file, weight_files
from mmke.errors import UserError

GENERATION = "generation_config.json"
EIGHT_BITS = (torch.uint8, torch.int8, torch.float8_e4m3fn, torch.float8_e5m2)

log = logging.getLogger(__name__)


def read_config(folder: Path) -> Any:
    """Read a model's configuration.

    Raises:
        UserError: it is none of an image-text-to-text model that this library has, or of a quantised one.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (*CANNOT_READ, StrictDataclassError) as error:
        # The first line of these errors names the field, what causes them says what is wrong with it.
        why = reason(error.__cause__ or error if isinstance(error, StrictDataclassError) else error)
        raise UserError(
            f"{folder}: transformers {transformers.__version__} cannot read this model ({why}); copy its {CONFIG} "
            "anew, or take a model that this version has, without code of its own"
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
    _choose_attention(config)
    named = getattr(config, "transformers_weights", None)
    if named is not None:
        raise UserError(
            f"{folder / CONFIG} names a file of weights of its own (transformers_weights: {named!r}); remove that line "
            f"and call the file {WEIGHTS[1]}"
        )
    return config


def _choose_attention(config: Any) -> None:
    """Leave it to the library how attention is computed where a configuration asks for a package or code of the hub."""
    for part in (config, *(getattr(config, name, None) for name in config.sub_configs)):
        asked = None if part is None else part._attn_implementation  # noqa: SLF001 - it has no other name
        if asked not in (None, "eager", "sdpa"):
            log.info("%s asks for the attention of %s; it is computed by torch", config.model_type, asked)
            part._attn_implementation = None  # noqa: SLF001


def lay_out_model(folder: Path, config: Any) -> Any:
    """Build a configuration's model without weights.

    Raises:
        UserError: the library cannot.
    """
    try:
        return build_skeleton(lambda: AutoModelForImageTextToText.from_config(config, trust_remote_code=False))  # type: ignore[no-untyped-call]
    except ImportError as error:
        raise UserError(
            f"{folder}: a {config.model_type!r} model needs a package that is not installed ({reason(error)})"
        ) from error
    except (*CANNOT_READ, RuntimeError) as error:
        raise UserError(
            f"{folder / CONFIG} describes a {config.model_type!r} model that transformers {transformers.__version__} "
            f"cannot build ({type(error).__name__}: {reason(error)}); copy it anew"
        ) from error


def read_template(folder: Path, config: Any) -> Template:
    """Read a model's processor and chat template.

    Raises:
        UserError: they are missing or cannot be read, or the model reads pictures in another way.
    """
    image_token = next(
        (getattr(config, key) for key in ("image_token_id", "image_token_index") if hasattr(config, key)), None
    )
    if image_token is None:
        raise UserError(
            f"{folder}: the configuration of a {config.model_type!r} model names no token that stands at a picture's "
            "positions (image_token_id), and mmke edits models that read a picture as positions of the text; take "
            "another model"
        )
    processor = load_processor(folder, config)
    stands = placeholder(processor, image_token)
    return Template(choose_rendering(processor, find_template(processor, folder), stands, folder), image_token)


def stop_ids(folder: Path, model: Any, template: Template) -> frozenset[int]:
    """Return the ids that end what the model writes.

    Raises:
        UserError: what the folder says of it cannot be read.
    """
    own = getattr(model.config.get_text_config(), "eos_token_id", None)
    stated: list[Any] = [template.processor.tokenizer.eos_token_id, own]
    if (folder / GENERATION).is_file():
        try:
            stated.append(GenerationConfig.from_pretrained(folder).eos_token_id)
        except CANNOT_READ as error:
            raise UserError(f"{folder / GENERATION} cannot be read ({reason(error)}); copy it anew") from error
    ids = {each for entry in stated if entry is not None for each in (entry if isinstance(entry, list) else [entry])}
    return frozenset(ids)


def check_weights(folder: Path) -> None:
    """Look whether all files of weights are there and whole, by what stands at their beginning.

    Raises:
        UserError: some are missing, cut off, or quantised.
    """
    for file in weight_files(folder):
        for stored in open_file(file).tensors.values():
            if stored.dtype in EIGHT_BITS:
                raise UserError(
                    f"{file} holds quantised weights, which cannot be edited ({stored.name} is {stored.dtype}); take "
                    "the model that is not quantised"
                )


def read_weights(folder: Path, config: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """Read a model with its weights, from the files that `check_weights` looked at.

    Raises:
        UserError: they cannot be read, or are of another model than the configuration.
    """
    try:
        with _quiet():
            read: Any = AutoModelForImageTextToText.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                device_map={"": device},
                trust_remote_code=False,
                use_safetensors=weight_files(folder)[0].suffix == ".safetensors",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are told below, by name
            )
    except torch.OutOfMemoryError:
        raise
    except (*CANNOT_READ, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise UserError(
            f"{folder}: its weights cannot be read ({type(error).__name__}: {reason(error)}); copy them anew"
        ) from error
    model, info = read
    _check_taken(folder, info)
    return model


def _check_taken(folder: Path, info: Any) -> None:
    """Raise when the files' tensors are not those that the configuration's model takes."""
    missing, unknown = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    beside = f", and has {len(unknown)} that it does not know, such as {unknown[0]}" if unknown else ""
    if missing:
        raise UserError(
            f"{folder} lacks {len(missing)} tensors of this model, among them {missing[0]}{beside}; "
            f"its {CONFIG} and its weights may be of two models: copy both anew"
        )
    for name, stored, own in sorted(info["mismatched_keys"]):
        raise UserError(
            f"{folder}: {name} is {list(stored)} in its weights and {list(own)} by its {CONFIG}{beside}; they are of "
            "two models: copy both anew"
        )
    if unknown:
        log.info(
            "%s: in the files and not taken by this model: %d tensors, such as %s", folder, len(unknown), unknown[0]
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from drawing bars, and from its own long report of what is told in one line."""
    shown, verbosity = library.is_progress_bar_enabled(), library.get_verbosity()
    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    library.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        library.set_verbosity(verbosity)
        if shown:
            library.enable_progress_bar()  # type: ignore[no-untyped-call]
