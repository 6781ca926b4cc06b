"""`hf:NAME_OR_PATH`: any image-text-to-text model of the library.

Nothing here knows a model by its name. Edit sites are found by role (`sites`), the image side is divided before its
alignment by running the model's own code (`vision`), the prompt is its own chat template (`prompt`), and what was taken
apart is compared with the model itself before it is used (`check`). No code out of a model's folder is run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mmke.backbones.engine.cards import Names, lay
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.hf.check import asked, check, check_prompt, own_logits, small_picture
from mmke.backbones.hf.decoder import Seen, take_apart, watch
from mmke.backbones.hf.folder import check_files, find_folder, revision
from mmke.backbones.hf.processor import CANNOT_READ
from mmke.backbones.hf.prompt import Template
from mmke.backbones.hf.reading import (
    check_weights,
    lay_out_model,
    read_config,
    read_template,
    read_weights,
    stop_ids,
)
from mmke.backbones.hf.sites import Sites, find_sites
from mmke.backbones.hf.vision import divide
from mmke.backbones.pictures import read_picture
from mmke.backbones.reason import reason
from mmke.backbones.weights.loading import (
    RANDOM,
    RANDOM_REVISION,
    LoadRequest,
    check_memory,
    check_numbers,
    fill_at_random,
    set_precision,
    warn_of_zeros,
)
from mmke.backbones.weights.memory import is_elsewhere
from mmke.backbones.weights.source import SourceFolder, of_library
from mmke.errors import CannotAskError, UserError
from mmke.types import WeightSource

HOST = torch.device("cpu")
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
    *,
    name: str,
    dtype: torch.dtype | None,
    device: torch.device,
    weights: WeightSource = None,
    skeleton: bool = False,
    cards: Sequence[torch.device] = (),
) -> ComposedBackbone:
    """Any image-text-to-text model of the library, by its folder or its name on the hub.

    Raises:
        UserError: it is not there, is no such model, lacks a part, or cannot be taken apart without changing it.
    """
    folder = find_folder(name, None if weights == RANDOM else weights)
    check_files(folder)
    config = read_config(folder)
    template = read_template(folder, config)
    model = lay_out_model(folder, config)
    own = precision(config, dtype, device)
    request = LoadRequest(name, weights, lambda _: own, device, skeleton, cards)
    set_precision(model, request.dtype)
    sites, stops = find_sites(model), stop_ids(folder, model, template)
    check_prompt(model, template, folder)
    if weights != RANDOM:
        check_weights(folder)
    names = Names(sites.language, _head(model))
    place = request.places(model, names)
    check_memory(request, model, place)
    if cards and weights != RANDOM:
        # It is read into the machine's memory first: no card has room for all of it.
        check_memory(replace(request, device=HOST), model)
    known = Known(name, RANDOM_REVISION if weights == RANDOM else revision(folder), sites, template, stops)
    if skeleton:
        return compose(model, known)
    if weights == RANDOM:
        fill_at_random(model, request, place)
    else:
        model = read_weights(folder, config, own, HOST if cards else device)
        check_numbers(name, model)
        warn_of_zeros(name, model)
    lay(model, names, request.laid_over)
    return _checked(model.requires_grad_(requires_grad=False).eval(), known)


def source(*, name: str, weights: Path | None, module: Any) -> SourceFolder:
    """Return the model's folder, which an edited model is a changed copy of.

    Raises:
        UserError: it is not there, or has no weights.
    """
    return of_library(find_folder(name, weights), dict(module.named_parameters()))


def precision(config: Any, dtype: torch.dtype | None, device: torch.device) -> torch.dtype:
    """Return the precision of the whole model: on a GPU, where the user leaves it open, that of its weights' files.

    Half precision where the GPU has no bfloat16, or the configuration does not say; another machine's GPU has it.
    """
    if dtype is not None:
        return dtype
    if device.type != "cuda":
        return torch.float32
    own = getattr(config, "dtype", None) or getattr(config.get_text_config(), "dtype", None)
    if own == torch.bfloat16 and (is_elsewhere(device) or torch.cuda.is_bf16_supported(including_emulation=False)):
        return torch.bfloat16
    return torch.float32 if own == torch.float32 else torch.float16


def _head(model: Any) -> str:
    head = model.get_output_embeddings()
    names: list[str] = [name for name, part in model.named_modules() if part is head]
    return names[0]


def compose(model: Any, known: Known, seen: Seen | None = None) -> ComposedBackbone:
    """Put a model together as a backbone; a skeleton was not seen reading."""
    sites, template = known.sites, known.template
    rotary = next((part.get_rope_index for part in model.modules() if hasattr(part, "get_rope_index")), None)
    placed = replace(template, rotary=rotary, window=window(model.config.get_text_config(), known.name))
    return ComposedBackbone(
        name=known.name,
        revision=known.revision,
        module=model,
        vision=divide(model, sites, template),
        decoder=take_apart(model, sites, seen),
        decoder_name=sites.language,
        prompt=placed.prompt(known.stop_ids),
    )


def window(text: Any, name: str) -> int | None:
    """Return how many positions back the layers see that do not see all; None where all do.

    Raises:
        UserError: there are layers of another kind.
    """
    kinds = set(getattr(text, "layer_types", None) or [FULL, SLIDING])
    if kinds - {FULL, SLIDING}:
        raise UserError(
            f"{name}: its layers are of the kinds {', '.join(sorted(kinds))}; mmke can divide {FULL} and {SLIDING}"
        )
    seen: int | None = getattr(text, "sliding_window", None) if SLIDING in kinds else None
    return seen


def _checked(model: Any, known: Known) -> ComposedBackbone:
    with small_picture() as image:
        with _told(
            f"{known.name}: a {type(model).__name__} cannot read what its processor makes of a picture and a question",
            "; its configuration and its processor's files have to be of one model",
        ):
            vision = divide(model, known.sites, known.template)
            with torch.no_grad():
                vision.encode(vision.pixels(read_picture(image)).to(model.device))
            prompts = asked(model)
            own = own_logits(model, known.template, image, prompts)
        with _told(f"{known.name}: a {type(model).__name__} cannot be taken apart in the ways that mmke knows"):
            # Of the last and shortest alone: what is seen of every layer is kept until it has been looked at.
            seen = watch(model, known.sites, lambda: own_logits(model, known.template, image, prompts[-1:]))
            backbone = compose(model, known, seen)
            check(backbone, own, image)
    return backbone


@contextmanager
def _told(what: str, way_out: str = "") -> Iterator[None]:
    """Tell in one line what a model's own code, or ours around it, could not do with it."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except CannotAskError as error:
        raise UserError(f"{what}: {reason(error)}") from error
    except (*CANNOT_READ, RuntimeError, NotImplementedError, AssertionError) as error:
        raise UserError(f"{what} ({type(error).__name__}: {reason(error)}){way_out}") from error
