"""What editors have in common whose networks make of an edit a change of matrices: MEND and KE."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmke.backbones.engine.answering import answer, by_ask
from mmke.backbones.engine.substitution import written
from mmke.editing import sites
from mmke.editing.filling import fill
from mmke.editing.trained import laid_out
from mmke.protocols import Backbone, Cut, EditSession, Store, Weights
from mmke.types import Answer, Ask, Asks, Edit, Probe


class MatrixEditor:
    """An editor with networks that change the matrices which its setting `sites` names.

    Attributes:
        name: see `protocols.Editor`.
        settings: with `sites`, the edited matrices by role.
        network: see `protocols.TrainableEditor`.
    """

    name: str
    settings: Any
    network: nn.Module | None

    def edited(self, backbone: Backbone, edit: Edit, *, store: Store, before: Weights) -> Weights:
        """Return the matrices after an edit, made at what the edits before have made of them."""
        raise NotImplementedError

    def lay_out(self, backbone: Backbone) -> None:
        """Lay out fresh networks for a backbone."""
        raise NotImplementedError

    def asking(self, ask: Ask) -> Ask:
        """Return how the edited model is asked."""
        return ask

    def cut(self, backbone: Backbone) -> Cut:
        """Return the cut below the lowest edited matrix."""
        return sites.cut_below(backbone, self.settings.sites)

    def check(self, backbone: Backbone) -> None:
        """Resolve every edited matrix."""
        self.matrices(backbone)

    def matrices(self, backbone: Backbone) -> dict[str, Tensor]:
        """Return the matrices that are edited, unedited, by parameter name."""
        return {name: backbone.module.get_parameter(name) for name in sites.parameters(backbone, self.settings.sites)}

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session; the module is never written, so leaving has nothing to undo."""
        laid_out(self.network, self.name)
        yield MatrixSession(self, backbone, store)

    def load_state_dict(self, backbone: Backbone, tensors: Mapping[str, Tensor]) -> None:
        """Lay out the networks and fill them."""
        self.lay_out(backbone)
        fill(laid_out(self.network, self.name), tensors, editor=self.name, backbone=backbone.name)

    def release(self) -> None:
        """Forget the networks."""
        self.network = None


@dataclass
class MatrixSession:
    """The edited matrices of one session, empty until something is applied."""

    editor: MatrixEditor
    backbone: Backbone
    store: Store
    weights: Weights = field(default_factory=dict)

    @torch.no_grad()
    def apply(self, edits: Sequence[Edit]) -> None:
        """Change the matrices by each edit in turn."""
        for edit in edits:
            self.weights = self.editor.edited(self.backbone, edit, store=self.store, before=self.weights)

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe with the edited matrices."""
        return by_ask(self._answer, probes, ask)

    def _answer(self, probes: Sequence[Probe], ask: Ask) -> list[Answer]:
        cut, asked = self.editor.cut(self.backbone), self.editor.asking(ask)
        return answer(self.backbone, probes, asked, store=self.store, cut=cut, weights=self.weights)

    def module(self) -> AbstractContextManager[nn.Module]:
        """Lend the model with the edited matrices written in, rounded to the model's own precision."""
        return written(self.backbone.module, self.weights)
