"""LoRA: fine-tune a low-rank adapter of some linear layers on the edit alone.

In: a batch of edits. Out: of each edited matrix a low-rank update. Source: Hu et al., arXiv:2106.09685: a linear
computes W x + (alpha / rank) · B A x. A is drawn as the PEFT library draws it (Kaiming uniform), B begins at zero, so
that before the first step nothing is changed. AdamW without decay moves both, until the mean negative log-likelihood of
the target's tokens is below `stop` or after `steps` steps; there is no dropout.

A later batch trains the same adapter on (`sequence = "continue"`), or the adapter is folded into the change so far and
a new one begins (`merge`). Each batch starts a fresh AdamW. One adapter for each edit would need a gate that chooses
among them, which this editor does not have.

An edit is kept as the two factors, which `editing.adapter` writes as an adapter of the PEFT library. The library's own
layers are not put into the model: they would take the place of its modules, and nothing is ever written into it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from mmke.backbones.engine.substitution import joined
from mmke.editing import sites
from mmke.editing.checked import FromOne, FromZero, NotNegative, Positive
from mmke.editing.fitting import adamw, fit, lesson, refuse_unreached
from mmke.editing.settings import EditorSettings, build
from mmke.editing.weight_session import SiteEditor
from mmke.protocols import Backbone, LowRankUpdate, Store, Weights
from mmke.types import Edit, EditCase, Switches


class LoRASettings(EditorSettings):
    """What `lora.toml` states.

    Attributes:
        sites: the matrices that have an adapter, by role; see `sites.SITE`.
        rank: of each adapter.
        alpha: an adapter's product is multiplied by alpha / rank.
        steps: optimizer steps per batch of edits, at most.
        stop: loss in nats below which training ends; 0: all steps are taken.
        learning_rate: AdamW's.
        sequence: what a later batch does with the adapter of the batches before.
    """

    sites: sites.LinearSites
    rank: FromOne
    alpha: Positive
    steps: FromZero
    stop: NotNegative
    learning_rate: NotNegative
    sequence: Literal["continue", "merge"]


class Pair(NamedTuple):
    """The two trained matrices of an adapter: `into` is A [rank in_features], `out` is B [out_features rank]."""

    into: Tensor
    out: Tensor

    def update(self, scale: float) -> LowRankUpdate:
        """Return scale · B A as it is added to the linear."""
        return LowRankUpdate(self.into, scale * self.out.T)


@dataclass(frozen=True)
class LoRA(SiteEditor):
    """LoRA by its settings; `seed` is that of A."""

    settings: LoRASettings
    switches: Switches
    seed: int
    name: str = "lora"

    @property
    def scale(self) -> float:
        """Return what an adapter's product is multiplied by."""
        return self.settings.alpha / self.settings.rank

    def edited(self, backbone: Backbone, edits: Sequence[Edit], *, store: Store, before: Weights) -> Weights:
        """Train the adapters on a batch of edits, on top of what the batches before have made.

        Raises:
            CannotAskError: an edit without a picture where only the alignment is edited.
        """
        refuse_unreached(self, edits)
        taught = lesson(backbone, edits, self.cut(backbone), switches=self.switches, store=store)
        own = sites.tensors(backbone, self.sites)
        begun = {name: self._begun(before.get(name)) for name in own}
        pairs = {name: begun[name] or self._drawn(name, tensor, edits) for name, tensor in own.items()}
        below = {name: before[name] for name in own if name in before and begun[name] is None}

        def weights() -> Weights:
            return {name: joined(own[name], below.get(name), pair.update(self.scale)) for name, pair in pairs.items()}

        leaves = [leaf.requires_grad_() for pair in pairs.values() for leaf in pair]
        values = self.settings
        optimizer = adamw(leaves, learning_rate=values.learning_rate, weight_decay=0.0)
        fit(taught, leaves, weights, optimizer, times=values.steps, stop=values.stop)
        with torch.no_grad():
            return {name: _detached(edited) for name, edited in weights().items()}

    def _begun(self, before: Tensor | LowRankUpdate | None) -> Pair | None:
        """Return the adapter to train on; None where a new one begins."""
        if self.settings.sequence == "merge" or not isinstance(before, LowRankUpdate):
            return None
        return Pair(before.inputs.clone(), before.outputs.T / self.scale)

    def _drawn(self, name: str, own: Tensor, edits: Sequence[Edit]) -> Pair:
        """Return a new adapter; A depends on the seed, the matrix and the texts of the edits alone."""
        said = [self.seed, name, *((edit.query.text, edit.target) for edit in edits)]
        digest = hashlib.sha256(repr(said).encode(errors="backslashreplace")).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
        outputs, inputs = own.shape
        bound = inputs**-0.5
        # Drawn on the processor, so that every device has the same.
        drawn = torch.empty(self.settings.rank, inputs).uniform_(-bound, bound, generator=generator)
        return Pair(drawn.to(own.device), torch.zeros(outputs, self.settings.rank, device=own.device))


def _detached(edited: Tensor | LowRankUpdate) -> Tensor | LowRankUpdate:
    if isinstance(edited, Tensor):
        return edited.detach()
    # As a saved session holds them: how a factor lies in memory moves the last bits of a product with it.
    return LowRankUpdate(edited.inputs.detach().contiguous(), edited.outputs.detach().contiguous())


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> LoRA:
    """LoRA: fine-tune a low-rank adapter of the last layer's MLP, of the projector, or of both on the edit."""
    return LoRA(build(LoRASettings, settings, editor="lora"), switches, seed)
