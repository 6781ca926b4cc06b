"""SERAC's scope classifier as its settings say: which encoder, which texts, and whether pictures are compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mmke.editors.serac.encoder import find_encoder, load_encoder
from mmke.editors.serac.gate import Loaded
from mmke.editors.serac.published import translate
from mmke.editors.serac.scope import PublishedKeys, QuestionKeys, Scope
from mmke.editors.serac.settings import SERACSettings
from mmke.protocols import Backbone


@dataclass(frozen=True)
class TextGate:
    """A text encoder, and where pictures are compared the backbone's own features of them."""

    settings: SERACSettings

    def check(self) -> None:
        """Look for the text encoder."""
        find_encoder(self.settings.encoder, "serac")

    def load(self, backbone: Backbone) -> Loaded:
        """Read the text encoder."""
        values = self.settings
        encoder = load_encoder(find_encoder(values.encoder, "serac"))
        encoder.model.to(backbone.device)
        pictures = (embedding_width(backbone), values.picture_head) if values.picture_head else None
        published = values.scope_key == "question and answer"
        return Loaded(
            PublishedKeys(encoder.tokenizer.sep_token) if published else QuestionKeys(),
            lambda: Scope(
                encoder, trained=values.encoder_trained, pooling=values.pooling, head=values.head, pictures=pictures
            ),
        )

    def translate(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a published checkpoint under the networks' own names."""
        return translate(published)


def embedding_width(backbone: Backbone) -> int:
    """Return how many numbers a position has at the entry of a backbone's language model."""
    language: Any = backbone.module.get_submodule(backbone.site("language"))
    return int(language.get_input_embeddings().weight.shape[1])
