"""MSCKE: SERAC with a scope classifier that compares texts and pictures together.

Source: Zeng et al., arXiv:2411.12790. Edits are remembered. A query's text and picture together decide whether one of
them concerns it (`scope`); then SERAC's counterfactual model answers, and else the unedited model. Sessions, the
counterfactual model and training are SERAC's own.

Deviations from the published code:
- Text and picture are concatenated. The published attention of one over the other runs over the batch, so that with
  several edits each key depends on all others; with one edit it is concatenation.
- A query's vectors come from the query. By one of its settings the published code takes them from the edit.
- A missing picture leaves the texts to decide (see `scope`); published is a tensor of zeros.
- CLIP is left as it is, with two trained layers behind each of its vectors, unless a setting says that all of it is
  trained, as published.
- The counterfactual model is the backbone's own language model with trained tensors in its last layers, as SERAC's
  under `strict`; published are OPT-125m and Vicuna.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mmke.editing.sentence_encoder import PACKAGED
from mmke.editing.settings import build
from mmke.editors.mscke.clip import find_clip, load_clip
from mmke.editors.mscke.encoders import Encoders, FromBackbone
from mmke.editors.mscke.scope import JointScope, OneKey
from mmke.editors.mscke.settings import MSCKESettings
from mmke.editors.serac.edit import Serac
from mmke.editors.serac.encoder import find_encoder, load_encoder
from mmke.editors.serac.gate import Loaded
from mmke.editors.serac.text_gate import embedding_width
from mmke.editors.serac.training import unrelated
from mmke.errors import UserError
from mmke.protocols import Backbone
from mmke.types import EditCase, Switches

NAME = "mscke"


@dataclass(frozen=True)
class JointGate:
    """Makes the scope classifier of the settings."""

    settings: MSCKESettings

    def check(self) -> None:
        """Look for the encoder.

        Raises:
            UserError: it is not there, or not whole.
        """
        if self.settings.encoder not in PACKAGED:
            find_clip(self.settings.encoder)

    def load(self, backbone: Backbone) -> Loaded:
        """Read the encoder, and bring it to the backbone's device."""
        encoders, values = self._encoders(backbone), self.settings
        keys = OneKey(values.key == "question and answer")
        return Loaded(keys, lambda: JointScope(encoders, head=values.head))

    def _encoders(self, backbone: Backbone) -> Encoders:
        values = self.settings
        if values.encoder not in PACKAGED:
            return load_clip(values.encoder, backbone.device, trained=values.encoder_trained)
        encoder = load_encoder(find_encoder(values.encoder, NAME))
        encoder.model.to(backbone.device)
        return FromBackbone(encoder, embedding_width(backbone))

    def translate(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Refuse: the published networks are others."""
        raise UserError(f"{NAME}: published checkpoints of it cannot be read; train it: mmke train {NAME}")


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> Serac:
    """MSCKE: as SERAC, with a scope classifier that compares texts and pictures together."""
    values = build(MSCKESettings, settings, editor=NAME)
    return Serac(values, switches, unrelated(train), seed, JointGate(values), name=NAME)
