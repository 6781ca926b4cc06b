"""What reads the texts and pictures that the scope classifier compares.

In: texts, and queries with pictures. Out: a vector of each. Either a text encoder that a package carries reads the
texts, and the backbone the pictures; or a CLIP model reads both (`clip`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmke.editors.serac.encoder import Encoder
from mmke.editors.serac.scope import picture
from mmke.protocols import Backbone, Store
from mmke.types import Query


@runtime_checkable
class Encoders(Protocol):
    """Reads texts and pictures.

    Attributes:
        widths: of a text's vector, and of a picture's.
        trained: the module whose weights are trained; None: there is none.
    """

    @property
    def widths(self) -> tuple[int, int]: ...
    @property
    def trained(self) -> nn.Module | None: ...

    def texts(self, texts: Sequence[str], store: Store) -> Float[Tensor, "n width"]:
        """Return a vector of each text, with gradient where the encoder is trained."""
        ...

    def read(self, backbone: Backbone, query: Query, store: Store) -> Tensor | None:
        """Return what no training changes of a query's picture: its vector, or its pixels; None where there is none.

        Raises:
            CannotAskError: the picture cannot be read.
        """
        ...

    def pictures(self, read: Sequence[Tensor]) -> Float[Tensor, "n width"]:
        """Return a vector of each picture from what was read of it."""
        ...


@dataclass(frozen=True, eq=False)
class FromBackbone:
    """A text encoder that is left as it is, and the backbone's own picture features.

    Attributes:
        encoder: of texts; a vector is the mean of its last states.
        width: of a position at the entry of the language model, over which a picture's vector is the mean.
    """

    encoder: Encoder
    width: int
    trained: None = None

    @property
    def widths(self) -> tuple[int, int]:
        """Return the widths of a text's vector, and of a picture's."""
        return int(self.encoder.model.config.hidden_size), self.width

    def texts(self, texts: Sequence[str], store: Store) -> Float[Tensor, "n width"]:
        """Return the mean state of each text."""
        return self.encoder.kept(texts, store, pooling="mean")

    def read(self, backbone: Backbone, query: Query, store: Store) -> Tensor | None:
        """Return the mean of what the backbone makes of a picture."""
        return picture(backbone, query, store)

    def pictures(self, read: Sequence[Tensor]) -> Float[Tensor, "n width"]:
        """Return the vectors themselves."""
        return torch.stack(list(read))
