"""A language model of its own for SERAC's counterfactual, which reads pictures through a backbone.

As published the picture stands where the backbone's prompt has it and the text begins with the beginning of sequence.
Where the replacement is as wide as the backbone's language model it takes the picture's embeddings as they are;
where it is not, it takes what the alignment hands on (BLIP2: the Q-Former) through a projection of its own.
Its tokens are the backbone's: the mixture compares vocabularies position by position.

Deviation: layers that are not trained may be held in half precision or in int8 (see `int8`); published: fp32.
"""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from mmke.backbones.engine import decoder as decoding
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.decoder import Decoder
from mmke.backbones.hf.decoder import take_apart, watch
from mmke.backbones.hf.folder import find_folder
from mmke.backbones.hf.folder import revision as files_revision
from mmke.backbones.hf.sites import Sites
from mmke.backbones.prompt import Frame
from mmke.backbones.reason import reason
from mmke.backbones.weights.loading import (
    RANDOM,
    RANDOM_REVISION,
    LoadRequest,
    fill_at_random,
    half_on_gpu,
    set_precision,
)
from mmke.backbones.weights.tensor_files import weight_files
from mmke.editors.serac import projection
from mmke.editors.serac.int8 import hold_in_int8
from mmke.editors.serac.settings import CounterfactualSettings
from mmke.errors import UserError
from mmke.protocols import Backbone
from mmke.types import ImageRef

OWN = "own"
"""In place of a replacement: the backbone's own language model."""

LANGUAGE = "language"


class BorrowedTable(nn.Module):
    """Token embeddings of another model, handed on in a given precision; they are no part of this module."""

    def __init__(self, table: nn.Module, dtype: torch.dtype) -> None:
        """Borrow a table."""
        super().__init__()
        self.table = (table,)
        self.dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings."""
        embedded: Tensor = self.table[0](ids)
        return embedded.to(self.dtype)


def find(name: str, editor: str) -> Path | None:
    """Return the folder of a replacement, or None where none has to be found; messages name the editor.

    Raises:
        UserError: it is not there.
    """
    if name in (OWN, RANDOM):
        return None
    try:
        return find_folder(f"hf:{name}", None)
    except UserError as error:
        raise UserError(
            f"{editor}: there is no counterfactual model {name!r} in this folder, in hugging_cache or in the hub's "
            f"cache; fetch it where there is a network (hf download {name}), or take the backbone's own language "
            f"model: --set {editor}.counterfactual=own"
        ) from error


def load(backbone: Backbone, values: CounterfactualSettings, *, editor: str, seed: int) -> ComposedBackbone:
    """Load a replacement and put it together with a backbone's image side.

    Raises:
        UserError: it is not there, is no causal language model, or does not fit the backbone.
    """
    if not isinstance(backbone, ComposedBackbone):
        raise UserError(
            f"{editor}: {backbone.name} is not made of parts, so that no other language model can read through it; "
            f"take its own: --set {editor}.counterfactual=own"
        )
    dtype = torch.float32 if values.held == "float32" else half_on_gpu(None, backbone.device)
    folder = find(values.counterfactual, editor)
    if folder is None:
        model, revision = _laid_out(backbone), RANDOM_REVISION
    else:
        try:
            model = _read(folder, dtype, backbone.device)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{editor}: {folder} holds no causal language model that can be read ({reason(error)}); copy it anew"
            ) from error
        revision = files_revision(folder)
    if backbone.device.type != "meta":
        _place(model, dtype, backbone.device, values, at_random=folder is None)
    told = f"{values.counterfactual} {revision} {values.held}"
    return compose(backbone, model, revision=told, embeddings=values.embeddings, seed=seed)


def _place(
    model: Any, dtype: torch.dtype, device: torch.device, values: CounterfactualSettings, *, at_random: bool
) -> None:
    """Bring a model to a device, layer by layer where they are held in int8: it is never there as a whole before."""

    def bring(part: Any) -> None:
        if at_random:
            request = LoadRequest("the counterfactual model", RANDOM, lambda _: dtype, device, skeleton=False)
            set_precision(part, request.dtype)
            fill_at_random(part, request)
        part.to(device)

    if values.held == "int8" and values.layers:
        lists = [list(part) for part in model.get_decoder().modules() if isinstance(part, nn.ModuleList)]
        hold_in_int8(max(lists, key=len), values.layers, bring, device)
    bring(model)


def compose(
    backbone: ComposedBackbone, model: Any, *, revision: str, embeddings: Literal["own", "base"], seed: int
) -> ComposedBackbone:
    """Let a causal language model of the library read through a backbone.

    Raises:
        UserError: their vocabularies are of different sizes, or it shall use embeddings of another width.
    """
    model.requires_grad_(requires_grad=False).eval()
    decoder, where = _apart(model)
    ids, known = (len(d.head.get_parameter("weight")) for d in (backbone.decoder, decoder))
    width = model.get_input_embeddings().weight.shape[1]
    base_width = int(backbone.decoder.config.hidden_size)
    if ids != known or (embeddings == "base" and width != base_width):
        raise UserError(
            f"the counterfactual model has {known} tokens and a width of {width}, {backbone.name} {ids} and "
            f"{base_width}; the vocabulary has to be the same, and for embeddings = 'base' the width too"
        )
    module = nn.Module()
    module.add_module(LANGUAGE, model)
    align = backbone.vision.align
    if width != base_width:
        own = projection.fresh(backbone, width, seed)
        module.add_module(projection.PROJECTION, own)
        align = projection.through(backbone, own)
    if embeddings == "base":
        decoder = replace(decoder, embed=BorrowedTable(backbone.decoder.embed, model.dtype))
    return ComposedBackbone(
        name=f"{backbone.name} read by {revision}",
        revision=f"{backbone.revision} {revision} {embeddings}",
        module=module,
        vision=replace(backbone.vision, align=align),
        decoder=decoder,
        decoder_name=f"{LANGUAGE}.{where}",
        prompt=replace(
            backbone.prompt, frame=_with_begin(backbone.prompt.frame, backbone.prompt.tokenizer), position_ids=None
        ),
        logits_dtype=backbone.logits_dtype,
        vision_of=backbone,
    )


def _read(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    """Return a causal language model; beside a skeleton its shapes alone. No code out of the folder is run."""
    own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if device.type != "meta":
        safe = weight_files(folder)[0].suffix == ".safetensors"
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=safe, **own)
    config = AutoConfig.from_pretrained(folder, **own)
    with init_empty_weights():
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]


def _laid_out(backbone: ComposedBackbone) -> Any:
    """Return a model of the shape of the backbone's own language model, without weights: for time and memory."""
    with init_empty_weights():
        model: Any = AutoModelForCausalLM.from_config(deepcopy(backbone.decoder.config))  # type: ignore[no-untyped-call]
    model.tie_weights()
    return model


def _apart(model: Any) -> tuple[Decoder, str]:
    """Return a causal language model in parts, and where in it its decoder is."""
    language = model.get_decoder()
    where = next(name for name, part in model.named_modules() if part is language)
    sites = Sites(owner="", tower="", alignment="", language=where, slots={})
    if model.device.type == "meta":
        return take_apart(model, sites, None), where
    ids = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    with torch.no_grad():
        seen = watch(model, sites, lambda: model(input_ids=ids))
    decoding.fuse_norms(language)
    return take_apart(model, sites, seen), where


def _with_begin(frame: Frame, tokenizer: Any) -> Frame:
    begin = tokenizer.bos_token_id

    def framed(image: ImageRef | None) -> tuple[int, ...]:
        own = frame(image)
        return own if begin is None or begin in own else (*own, begin)

    return framed
