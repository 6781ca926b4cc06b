"""SERAC's counterfactual model: what answers when an edit is in scope.

It reads the edit in front of the question, the picture before both, and has trained tensors of its own: copies of the
last layers of a language model, in float32, or a low-rank change of their matrices. The rest of that language model is
a backbone's own, or a replacement that reads pictures through the backbone (see `replacement`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmke.backbones.engine.answering import WantedLogits, answer, wanted_logits
from mmke.editors.serac.projection import PROJECTION
from mmke.protocols import VISION, Backbone, Cut, Store, Weights
from mmke.types import Answer, Ask, Edit, Probe, Query


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """A model that reads, and which of its tensors are trained.

    Attributes:
        reader: the model.
        layers: how many of its last layers are trained; 0: all of its decoder.
    """

    reader: Backbone
    layers: int

    @property
    def projects(self) -> bool:
        """Tell whether pictures come through a projection of its own."""
        return any(name == PROJECTION for name, _ in self.reader.module.named_children())

    @property
    def cut(self) -> Cut:
        """Return the highest cut below everything that is trained or drawn."""
        if self.layers == 0 or self.projects:
            return VISION
        return Cut("layer", self.reader.layers - self.layers)

    def names(self) -> dict[str, str]:
        """Return the trained tensors of the decoder; each with the first name of the tensor, which tied ones share."""
        sites = [self.reader.site("language", -i) for i in range(self.layers, 0, -1)] or [self.reader.site("language")]
        parts = ((site, self.reader.module.get_submodule(site)) for site in sites)
        named = [pair for site, part in parts for pair in part.named_parameters(prefix=site, remove_duplicate=False)]
        firsts: dict[int, str] = {}
        for name, tensor in named:
            firsts.setdefault(id(tensor), name)
        return {name: firsts[id(tensor)] for name, tensor in named}

    def logits(
        self, probes: Sequence[Probe], edits: Sequence[Edit], asks: Sequence[Ask], *, store: Store, weights: Weights
    ) -> WantedLogits:
        """Compute the logits of every wanted row behind the edit of each probe, with gradient into `weights`."""
        with_edit = [behind(edit, probe) for edit, probe in zip(edits, probes, strict=True)]
        return wanted_logits(self.reader, with_edit, asks, store=store, cut=self.cut, weights=weights)

    def write(
        self, probes: Sequence[Probe], edits: Sequence[Edit], ask: Ask, *, store: Store, weights: Weights
    ) -> list[Answer]:
        """Write answers greedily, each behind its edit."""
        with_edit = [behind(edit, probe) for edit, probe in zip(edits, probes, strict=True)]
        return answer(self.reader, with_edit, ask, store=store, weights=weights)


def behind(edit: Edit, probe: Probe) -> Probe:
    """Return a probe with an edit in front of its question: its question, its target, the probe's own."""
    return replace(probe, query=Query(f"{edit.query.text} {edit.target} {probe.query.text}", probe.query.image))
