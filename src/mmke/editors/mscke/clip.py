"""A CLIP model that reads texts and pictures: found on this disk, loaded, and read with.

In: a folder or a name on the hub, which has to be fetched before. Out: CLIP's projections of texts and of pictures.
Nothing is downloaded here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.taping import same
from mmke.backbones.hf.folder import find_folder
from mmke.backbones.hf.processor import read_image_processor, read_tokenizer
from mmke.backbones.pictures import processed, read_picture, refused
from mmke.backbones.reason import reason
from mmke.backbones.weights.loading import RANDOM
from mmke.backbones.weights.locations import CONFIG
from mmke.backbones.weights.tensor_files import read_json, weight_files
from mmke.editing.sentence_encoder import PACKAGED
from mmke.editors.mscke.stand_in import stand_in
from mmke.errors import UserError
from mmke.protocols import Backbone, Store
from mmke.types import ImageRef, Query


@dataclass(frozen=True, eq=False)
class Clip:
    """A CLIP model with its tokenizer and its processing of pictures; `folder` identifies it."""

    folder: Path
    model: Any
    tokenizer: Any
    processor: Any
    all_trained: bool

    @property
    def widths(self) -> tuple[int, int]:
        """Return the width of the projections."""
        width = int(self.model.config.projection_dim)
        return width, width

    @property
    def trained(self) -> nn.Module | None:
        """Return the model where it is trained."""
        model: nn.Module = self.model
        return model if self.all_trained else None

    def texts(self, texts: Sequence[str], store: Store) -> Float[Tensor, "n width"]:
        """Return the projections of texts; those of a model that is not trained are kept in `store`."""
        if self.all_trained:
            return self._texts(texts)
        # One text at a time: its bits must not depend on what else was in the store.
        with torch.no_grad():
            return torch.cat([store.get(self._key(text), partial(self._texts, [text])) for text in texts])

    def read(self, backbone: Backbone, query: Query, store: Store) -> Tensor | None:
        """Return a picture's pixels where the model is trained, else its projection."""
        del backbone
        image = query.image
        if image is None:
            return None
        if self.all_trained:
            return store.get(self._key("pixels", image.key), partial(self._pixels, image))
        with torch.no_grad():
            return store.get(self._key("picture", image.key), lambda: self._pictures(self._pixels(image)[None])[0])

    def pictures(self, read: Sequence[Tensor]) -> Float[Tensor, "n width"]:
        """Return the projections of pictures from what was read of them."""
        stacked = torch.stack(list(read))
        return self._pictures(stacked) if self.all_trained else stacked

    def _key(self, *what: str) -> tuple[object, ...]:
        return "mscke", self.folder, self._device, *what

    @property
    def _device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    def _texts(self, texts: Sequence[str]) -> Tensor:
        longest = self.model.config.text_config.max_position_embeddings
        how: dict[str, Any] = {"return_tensors": "pt", "padding": True, "truncation": True, "max_length": longest}
        read = same(lambda: self.tokenizer(list(texts), **how).to(self._device))
        return _projected(
            self.model.get_text_features(input_ids=read["input_ids"], attention_mask=read["attention_mask"])
        )

    def _pixels(self, image: ImageRef) -> Tensor:
        picture = read_picture(image)
        with refused(image, "CLIP"):
            return sent(processed(picture, self.processor), self._device)

    def _pictures(self, pixels: Tensor) -> Tensor:
        return _projected(self.model.get_image_features(pixel_values=pixels))


def _projected(found: Any) -> Tensor:
    projected: Tensor = found.pooler_output
    return projected


def find_clip(name: str) -> Path:
    """Return the folder of a CLIP model: a folder, or a name on the hub that was fetched; "random" stands for itself.

    Raises:
        UserError: it is in none of these places, is another model, or a file is missing; the message says which.
    """
    if name == RANDOM:
        return Path(RANDOM)
    try:
        folder = find_folder(f"hf:{name}", None)
    except UserError as error:
        raise UserError(
            f"mscke.encoder: there is no {name!r} in this folder, in hugging_cache or in the hub's cache; fetch it "
            f"where there is a network (hf download {name}), or take a text encoder that a package carries, beside "
            f"which the backbone reads the pictures: --set mscke.encoder={next(iter(PACKAGED))}"
        ) from error
    kind = read_json(folder / CONFIG).get("model_type")
    if kind != "clip":
        raise UserError(
            f"mscke.encoder: {folder} holds a model of the type {kind!r}, no CLIP; take one such as "
            "openai/clip-vit-large-patch14"
        )
    try:
        weight_files(folder)
        read_tokenizer(folder)
        read_image_processor(folder)
    except UserError as error:
        raise UserError(f"mscke.encoder: {error}") from error
    return folder


def load_clip(name: str, device: torch.device, *, trained: bool) -> Clip:
    """Load a CLIP model, in float32 and evaluation mode; on the meta device its shapes alone.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    folder = find_clip(name)
    if folder == Path(RANDOM):
        model, tokenizer, processor = stand_in()
    else:
        model = _laid_out(folder) if device.type == "meta" else _read(folder)
        tokenizer, processor = read_tokenizer(folder), read_image_processor(folder)
    model = model.to(device).eval().requires_grad_(trained)
    return Clip(folder, model, tokenizer, processor, trained)


def _laid_out(folder: Path) -> Any:
    with init_empty_weights():
        return CLIPModel(CLIPConfig.from_pretrained(folder, local_files_only=True))


def _read(folder: Path) -> Any:
    safe, load = weight_files(folder)[0].suffix == ".safetensors", CLIPModel.from_pretrained
    own: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": safe, "local_files_only": True}
    try:
        read: Any = load(folder, output_loading_info=True, **own)
        model, found = read
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"mscke.encoder: {folder} holds no CLIP that can be read ({reason(error)}); copy it anew"
        ) from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise UserError(
            f"mscke.encoder: the weights in {folder} lack {len(missing)} tensors of a CLIP, such as {missing[0]!r}; "
            "take a whole one, which reads texts and pictures"
        )
    return model
