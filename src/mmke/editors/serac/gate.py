"""What an editor with a counterfactual model asks of its scope classifier.

In: a loaded backbone. Out: a network that says how near a query is to each remembered edit, and which texts it
compares.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from mmke.editors.serac.remembered import EditKeys
from mmke.editors.serac.scope import Keys, Nearness, Shown
from mmke.protocols import Backbone, Store
from mmke.types import Query


@runtime_checkable
class ScopeNetwork(Protocol):
    """A scope classifier; it is a module, and its parameters are what is trained of it."""

    @property
    def compares_pictures(self) -> bool:
        """Tell whether it looks at pictures too."""
        ...

    def pictures(self, backbone: Backbone, queries: Sequence[Query], store: Store) -> list[Tensor | None]:
        """Return what it reads of the picture of each query; None where there is none, or it looks at none."""
        ...

    def nearest(self, probes: Sequence[str], edits: Sequence[Sequence[str]], store: Store, shown: Shown) -> Nearness:
        """Return the nearest edit of each probe, with gradient; given are their texts and what is read of pictures."""
        ...

    def keys(self, edits: Sequence[Sequence[str]], pictures: Sequence[Tensor | None], store: Store) -> EditKeys:
        """Return what queries are compared with, for edits of some texts and perhaps a picture each."""
        ...

    def near(self, probes: Sequence[str], pictures: Sequence[Tensor | None], keys: EditKeys, store: Store) -> Nearness:
        """Return the nearest edit of each probe, as `nearest` does, from the keys of the edits."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield what is trained."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move it to a device."""
        ...


class Loaded(NamedTuple):
    """A classifier whose encoders were read: which texts it compares, and how a fresh network of it is made."""

    keys: Keys
    fresh: Callable[[], ScopeNetwork]


@runtime_checkable
class Gate(Protocol):
    """Makes a scope classifier."""

    def check(self) -> None:
        """Look for the encoders that it reads with.

        Raises:
            UserError: one is not there.
        """
        ...

    def load(self, backbone: Backbone) -> Loaded:
        """Read the encoders, and bring them to the backbone's device.

        Raises:
            UserError: one is not there, or cannot be read.
        """
        ...

    def translate(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a published checkpoint, of the counterfactual model too, under the networks' names.

        Raises:
            UserError: it is none of this editor's.
        """
        ...
