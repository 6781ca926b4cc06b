"""A model's processor: tokenizer, picture processing and chat template, as its folder states them.

Differs from the library's `AutoProcessor`: pictures are processed by Pillow whether torchvision is installed or not,
so that they are the same everywhere, and a video processor, which needs torchvision, is stood in for by nothing.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name

from mmke.backbones.reason import reason
from mmke.errors import UserError

CANNOT_READ = (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError, IndexError)
"""What the library raises over files that it cannot make sense of."""
TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


def load_processor(folder: Path, config: Any) -> Any:
    """Load a model's processor.

    Raises:
        UserError: the folder has none, or the library cannot read it.
    """
    try:
        kind = _kind(folder, config)
        parts = [_part(folder, attribute) for attribute in kind.get_attributes()]
        facts, rest = kind.get_processor_dict(folder)
        processor = _without_video(kind).from_args_and_dict(parts, facts, **rest)
    except CANNOT_READ as error:
        why = reason(error)
        if isinstance(error, ImportError):
            raise UserError(f"{folder}: its processor needs a package that is not installed ({why})") from error
        raise UserError(
            f"{folder} holds no processor that can be read ({why}); copy its tokenizer and preprocessor files there"
        ) from error
    if not getattr(getattr(processor, "tokenizer", None), "is_fast", False):
        raise UserError(
            f"{folder}: its tokenizer cannot say where each token lies in the text; it needs a tokenizer.json"
        )
    return processor


def process(processor: Any, text: str, picture: Image.Image | None) -> Mapping[str, Any]:
    """Return what the model reads of a rendered prompt, with its picture, as the library makes it.

    Raises:
        UserError: the processor refuses them.
    """
    begin = processor.tokenizer.bos_token
    # A template may write the beginning of sequence itself; the library looks at the text to tell.
    again = begin is not None and text.startswith(begin)
    options: dict[str, Any] = {"add_special_tokens": False} if again else {}
    if picture is not None:
        options["images"] = [picture.convert("RGB")]
    try:
        with warnings.catch_warnings():  # that some processors give about their own code
            warnings.simplefilter("ignore", DeprecationWarning)
            made: Mapping[str, Any] = processor(text=[text], return_tensors="pt", **options)
    except CANNOT_READ as error:
        raise UserError(
            f"the model's processor refuses the prompt {text[:80]!r} ({reason(error)}); its tokenizer, processor and "
            "chat template have to be of one model"
        ) from error
    return made


def placeholder(processor: Any, image_token: int) -> str:
    """Return what stands for a picture in a bare prompt; nothing where the processor adds its positions by itself."""
    try:
        bare = process(processor, "?", Image.new("RGB", (48, 32)))
    except UserError:
        bare = {"input_ids": torch.zeros(1, 0)}
    return "" if (bare["input_ids"] == image_token).any() else str(getattr(processor, "image_token", ""))


def _kind(folder: Path, config: Any) -> Any:
    stated = transformers.ProcessorMixin.get_processor_dict(folder)[0].get("processor_class")
    if stated is not None:
        kind = processor_class_from_name(stated)
        if kind is None:
            raise ValueError(f"this library has no {stated}")
        return kind
    if type(config) not in PROCESSOR_MAPPING:
        raise ValueError(f"the library knows no processor for models of the type {config.model_type}")
    return PROCESSOR_MAPPING[type(config)]


def _part(folder: Path, attribute: str) -> Any:
    if attribute == "tokenizer":
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if attribute == "image_processor":
        return AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)  # type: ignore[no-untyped-call]
    if attribute == "video_processor":
        return None
    raise ValueError(f"its processor has a part for another kind of input: {attribute}")


def _without_video(kind: Any) -> Any:
    # The library checks each part's class, and has none for videos without torchvision.
    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": lambda *_: None})
