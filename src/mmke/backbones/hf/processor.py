"""A model's processor: tokenizer, picture processing and chat template, as its folder states them.

Differs from the library's `AutoProcessor`: pictures are processed by Pillow whether torchvision is installed or not,
so that they are the same everywhere; the part for videos, which needs torchvision, is stood in for; no code out of the
folder is run.
"""

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from jinja2 import TemplateError
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name

from mmke.backbones.reason import reason
from mmke.backbones.weights.checkpoint import TOKENIZER_FILES
from mmke.backbones.weights.tensor_files import read_json
from mmke.errors import CannotAskError, UserError

CANNOT_READ = (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError, IndexError, TemplateError)
"""What the library raises over files that it cannot make sense of."""
TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
PROCESSOR, PICTURES, VIDEOS = "processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"
STATING = (PROCESSOR, PICTURES, "tokenizer_config.json")
"""Where a folder says of which class its processor is, the first that does."""


NUMBERS = ("_size", "_length", "_len", "_tokens", "_strategy")
"""How the numbers end that a processor may take from one of its parts."""


class NoVideos(dict[str, Any]):
    """Stands where a processor wants its part for videos: no question here has one.

    Its attributes are what the folder states of that part, and None for whatever else is asked for.
    """

    def __getattr__(self, name: str) -> Any:
        """Return what is stated, or None; Python's own names are not there."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name, [] if name == "model_input_names" else None)


def load_processor(folder: Path, config: Any) -> Any:
    """Load a model's processor.

    Raises:
        UserError: the folder has none, or the library cannot read it; the message names the file.
    """
    kind = _kind(folder, config)
    parts = [_part(folder, attribute) for attribute in kind.get_attributes()]
    try:
        facts, rest = kind.get_processor_dict(folder)
        processor = _unchecked(kind).from_args_and_dict(parts, facts, **rest)
    except CANNOT_READ as error:
        why = reason(error)
        if isinstance(error, ImportError):
            raise UserError(f"{folder}: its processor needs a package that is not installed ({why})") from error
        raise UserError(
            f"{folder}: a {kind.__name__} cannot be made of what the folder states ({why}); copy {PROCESSOR}, "
            f"{PICTURES} and the tokenizer's files of one model there"
        ) from error
    if not getattr(getattr(processor, "tokenizer", None), "is_fast", False):
        raise UserError(
            f"{folder}: its tokenizer cannot say where each token lies in the text; it needs a tokenizer.json"
        )
    return processor


def process(processor: Any, text: str, picture: Image.Image | None) -> Mapping[str, Any]:
    """Return what the model reads of a rendered prompt, with its picture, as the library makes it.

    Raises:
        CannotAskError: the processor refuses them.
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
        # With a picture the prompt is the template around a placeholder: it is the picture that is refused.
        what = (
            f"the prompt {text[:80]!r}"
            if picture is None
            else f"a picture of {picture.width} × {picture.height} pixels"
        )
        raise CannotAskError(f"the model's processor refuses {what} ({reason(error)}){unstated(processor)}") from error
    return made


def unstated(processor: Any) -> str:
    """Say, for the end of a message, which numbers of its own a processor was not told; nothing where it has all."""
    own = {*inspect.signature(type(processor).__init__).parameters} - {"chat_template", *processor.get_attributes()}
    lacking = [
        name for name, value in vars(processor).items() if value is None and (name in own or name.endswith(NUMBERS))
    ]
    return f"; {PROCESSOR} states no {' and no '.join(lacking)}: copy the model's own there" if lacking else ""


def placeholder(processor: Any, image_token: int) -> str:
    """Return what stands for a picture in a bare prompt; nothing where the processor adds its positions by itself."""
    try:
        bare = process(processor, "?", Image.new("RGB", (48, 32)))
    except UserError:
        bare = {"input_ids": torch.zeros(1, 0)}
    return "" if (bare["input_ids"] == image_token).any() else str(getattr(processor, "image_token", ""))


def _kind(folder: Path, config: Any) -> Any:
    """Return the class of a folder's processor."""
    files = [folder / name for name in STATING if (folder / name).is_file()]
    for file in files:
        stated = read_json(file).get("processor_class")
        if stated is not None:
            kind = processor_class_from_name(stated)
            if kind is None:
                raise UserError(
                    f"{file} asks for a {stated}, which transformers {transformers.__version__} has not; take a model "
                    "that this version has, without code of its own"
                )
            return kind
    if type(config) not in PROCESSOR_MAPPING:
        raise UserError(
            f"{folder} does not say which processor its {config.model_type!r} model has (processor_class in "
            f"{PROCESSOR}); copy that file there"
        )
    return PROCESSOR_MAPPING[type(config)]


def _part(folder: Path, attribute: str) -> Any:
    if attribute == "tokenizer":
        return read_tokenizer(folder)
    if attribute == "image_processor":
        return read_image_processor(folder)
    if attribute == "video_processor":
        return NoVideos(_stated_of(folder, VIDEOS, attribute) or {})
    raise UserError(
        f"{folder}: its processor has a part that mmke does not know ({attribute}), beside text, pictures and videos; "
        "take another model"
    )


def read_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a folder.

    Raises:
        UserError: it has none, or the library cannot read it.
    """
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise UserError(f"{folder} holds no tokenizer (none of {', '.join(TOKENIZER_FILES)}); copy its files there")
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except CANNOT_READ as error:
        raise UserError(
            f"{folder} holds no tokenizer that can be read ({reason(error)}); copy tokenizer.json and "
            "tokenizer_config.json of this model there"
        ) from error


def read_image_processor(folder: Path) -> Any:
    """Load what processes pictures for the model of a folder, with Pillow.

    Raises:
        UserError: the folder does not state it, or the library cannot read it.
    """
    if _stated_of(folder, PICTURES, "image_processor") is None:
        raise UserError(f"{folder} does not say how pictures are processed: it has no {PICTURES}; copy it there")
    try:
        return AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            folder, backend="pil", trust_remote_code=False
        )
    except CANNOT_READ as error:
        if isinstance(error, ImportError):
            raise UserError(
                f"{folder}: its picture processing needs a package that is not installed ({reason(error)})"
            ) from error
        raise UserError(
            f"{folder}: its picture processing cannot be read ({reason(error)}); copy the model's own {PICTURES} "
            "there, or take a model without code of its own"
        ) from error


def _stated_of(folder: Path, name: str, section: str) -> Mapping[str, Any] | None:
    """Return what a folder states of a part, in a file of its own or in the processor's; None where it does not."""
    if (folder / name).is_file():
        return read_json(folder / name)
    within = read_json(folder / PROCESSOR).get(section) if (folder / PROCESSOR).is_file() else None
    return within if isinstance(within, dict) else None


def _unchecked(kind: Any) -> Any:
    # The library checks each part's class, and what stands in for videos has none of its.
    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": lambda *_: None})
