"""SERAC's scope classifier: how near a probe's text is to what has been edited.

Source: Mitchell et al., arXiv:2206.06520, as MMKE-Bench (arXiv:2502.19870) runs it: similarity is
exp(-scale · ‖e_probe − e_edit‖²), where e is a text encoder's last hidden state of the first token.

Deviations from the published code:
- The nearest edit is chosen before the exponential: where all similarities underflow to 0 it is still the nearest.
- By its settings the encoder may be left as it is, its states be averaged, and a trained linear head stand behind it.
- Under `strict` pictures are compared as well, where both have one: "What is shown?" asks about what is shown there. To
  the texts' squared distance comes that of the pictures, each the mean of what the backbone's alignment makes of it,
  through a trained linear head.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.taping import same
from mmke.editors.serac.encoder import Encoder
from mmke.editors.serac.mixture import THRESHOLD
from mmke.editors.serac.remembered import EditKeys
from mmke.protocols import INPUTS, Backbone, Route, Store
from mmke.types import Ask, Edit, Query

SPREAD = 2.0
"""Of a fresh head's weights times √(width · size): it puts unlike texts at about the distance where scope ends."""
NOT_ZERO = 1e-6
"""Squared distance below which two texts count as one, so that the loss of telling them apart stays finite."""


@runtime_checkable
class Keys(Protocol):
    """Which texts are compared."""

    def of_edit(self, edit: Edit) -> tuple[str, ...]:
        """Return an edit's texts; the nearest of them counts."""
        ...

    def of_probe(self, question: str, answer: str) -> str:
        """Return a probe's text; the answer is empty where it is to be written."""
        ...


@dataclass(frozen=True)
class PublishedKeys:
    """The published texts: the edit's without its last word, the probe's with its gold answer."""

    separator: str

    def of_edit(self, edit: Edit) -> tuple[str, ...]:
        """Return question and target less the last word, and the encoder's separator."""
        return (f"{edit.query.text} {edit.target}".rpartition(" ")[0] + self.separator,)

    def of_probe(self, question: str, answer: str) -> str:
        """Return question and answer."""
        return f"{question} {answer}" if answer else question


@dataclass(frozen=True)
class QuestionKeys:
    """A probe's text is its question alone. An edit's are its question, and its question with what it says.

    What an edit says is known when it is made; a probe's answer is not when it is asked.
    """

    def of_edit(self, edit: Edit) -> tuple[str, ...]:
        """Return the question, and the question with the target."""
        return edit.query.text, f"{edit.query.text} {edit.target}"

    def of_probe(self, question: str, answer: str) -> str:
        """Return the question."""
        return question


class Nearness(NamedTuple):
    """Of each probe the nearest edit, by index, and the logarithm of their similarity."""

    edits: list[int]
    log_similarity: Float[Tensor, "probes"]

    def routes(self) -> list[Route]:
        """Return the edit of each probe where it is near enough to answer it; else None."""
        similar = self.log_similarity.exp().tolist()
        return [edit if s > THRESHOLD else None for edit, s in zip(self.edits, similar, strict=True)]


def newest_of_nearest(distances: Float[Tensor, "probes keys"], keys: EditKeys) -> Nearness:
    """Return the nearest edit of each probe, and of equally near ones the newest; similarity is exp(-distance)."""
    # The first of the smallest in reversed order is the newest of the nearest.
    found = distances.flip(1).min(1)
    # In training there is one edit, which is the nearest each time.
    nearest = same((keys.of[keys.of.numel() - 1 - found.indices]).tolist)
    return Nearness(nearest, -found.values)


class Scope(nn.Module):
    """The classifier: what of it is trained is its parameters."""

    scale: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        trained: bool,
        pooling: Literal["first", "mean"],
        head: int,
        pictures: tuple[int, int] | None,
    ) -> None:
        """Lay it out.

        Args:
            encoder: reads the texts.
            trained: whether its weights are.
            pooling: how its states become one.
            head: width of a linear layer behind it; 0: none.
            pictures: where they are compared, the width of their embeddings and that of a linear layer behind them.
        """
        super().__init__()
        self.pooling: Literal["first", "mean"] = pooling
        self.classifier = encoder.model.requires_grad_() if trained else None
        self.frozen = None if trained else encoder.folder
        # In a tuple, so that an encoder that is not trained is no part of the module.
        self.encoder = (encoder,)
        size = encoder.model.config.hidden_size
        self.head = _head(size, head) if head else None
        self.picture_head = _head(*pictures) if pictures is not None else None
        self.register_buffer("scale", torch.ones(1))

    def embed(self, texts: Sequence[str], store: Store) -> Float[Tensor, "n width"]:
        """Return the embeddings; what a frozen encoder reads is kept in `store`."""
        states = self._states(texts, store)
        return states if self.head is None else self.head(states)

    def _states(self, texts: Sequence[str], store: Store) -> Tensor:
        encoder = self.encoder[0]
        kept = self.frozen is not None
        return encoder.kept(texts, store, pooling=self.pooling) if kept else encoder.states(texts, pooling=self.pooling)

    @property
    def compares_pictures(self) -> bool:
        """Tell whether it looks at pictures too."""
        return self.picture_head is not None

    def pictures(self, backbone: Backbone, queries: Sequence[Query], store: Store) -> list[Tensor | None]:
        """Return the embedding of each query's picture; None where it has none, or pictures are not compared."""
        return [picture(backbone, query, store) if self.compares_pictures else None for query in queries]

    def nearest(
        self, probes: Sequence[str], edits: Sequence[Sequence[str]], store: Store, shown: "Shown | None" = None
    ) -> Nearness:
        """Return the nearest edit of each probe; an edit is as near as the nearest of its texts.

        All texts are embedded together. Of edits that are equally near the newest is returned.

        Args:
            probes: a text each.
            edits: some texts each.
            store: keeps what a frozen encoder reads.
            shown: their pictures, where pictures are compared.
        """
        distinct = list(dict.fromkeys([*probes, *(text for texts in edits for text in texts)]))
        embedded = self.embed(distinct, store)
        place = {text: i for i, text in enumerate(distinct)}
        asked, known = shown or Shown([None] * len(probes), [None] * len(edits))
        keys = self._keys(edits, rows(embedded, [place[text] for texts in edits for text in texts]), known)
        return self._compare(rows(embedded, [place[text] for text in probes]), asked, keys)

    def keys(
        self, edits: Sequence[Sequence[str]], pictures: Sequence[Float[Tensor, "hidden"] | None], store: Store
    ) -> EditKeys:
        """Return what queries are compared with, for edits of some texts and perhaps a picture each."""
        return self._keys(edits, self.embed([text for texts in edits for text in texts], store), pictures)

    def near(
        self,
        probes: Sequence[str],
        pictures: Sequence[Float[Tensor, "hidden"] | None],
        keys: EditKeys,
        store: Store,
    ) -> Nearness:
        """Return the nearest edit of each probe, as `nearest` does, from the keys of the edits."""
        distinct = list(dict.fromkeys(probes))
        place = {text: i for i, text in enumerate(distinct)}
        return self._compare(rows(self.embed(distinct, store), [place[text] for text in probes]), pictures, keys)

    def _keys(self, edits: Sequence[Sequence[str]], embedded: Tensor, pictures: Sequence[Tensor | None]) -> EditKeys:
        of = sent([i for i, texts in enumerate(edits) for _ in texts], embedded.device)
        return EditKeys(embedded, of, *self._of_pictures(pictures))

    def _of_pictures(self, pictures: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """Return the embeddings of the pictures that there are, and whose they are."""
        seen = {i: each for i, each in enumerate(pictures) if each is not None}
        whose = sent(list(seen), self.scale.device, torch.long)
        if self.picture_head is None or not seen:
            return torch.zeros(0, 0, device=self.scale.device), whose[:0]
        embedded: Tensor = self.picture_head(torch.stack(list(seen.values())))
        return embedded, whose

    def _compare(self, probes: Tensor, pictures: Sequence[Tensor | None], keys: EditKeys) -> Nearness:
        shown, whose = self._of_pictures(pictures)
        nearest = newest_of_nearest(keys.distances(probes, shown, whose), keys)
        return Nearness(nearest.edits, self.scale * nearest.log_similarity)


class Shown(NamedTuple):
    """The pictures of probes and of edits, each as `picture` gives it; None where there is none."""

    probes: Sequence[Float[Tensor, "hidden"] | None]
    edits: Sequence[Float[Tensor, "hidden"] | None]


@torch.no_grad()
def picture(backbone: Backbone, query: Query, store: Store) -> Float[Tensor, "hidden"] | None:
    """Return what a backbone makes of a query's picture: the mean of its positions' embeddings, of unit deviation."""
    if query.image is None:
        return None

    def embed() -> Tensor:
        batch = backbone.encode([replace(query, text="")], ["."], Ask())
        trunk = backbone.trunk(batch, INPUTS, store=store)
        state = trunk.hidden[0][0]
        input_ids = sent(batch.encoded[0].input_ids[: len(state)], state.device)
        mean = state[input_ids < 0].float().mean(0)
        return layer_norm(mean, mean.shape)

    return store.get(("serac", backbone.state, "picture", query.image.key), embed)


def rows(embedded: Tensor, places: Sequence[int]) -> Tensor:
    """Return some rows of a matrix, in the order of `places`."""
    return embedded[sent(list(places), embedded.device, torch.long)]


def _head(into: int, out: int) -> nn.Linear:
    head = nn.Linear(into, out)
    nn.init.normal_(head.weight, std=SPREAD / math.sqrt(into * out))
    return head


def scope_loss(inside: Float[Tensor, "positives"], outside: Float[Tensor, "negatives"]) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of similarities, in nats: the mean over positives plus that over negatives.

    Args:
        inside: log-similarities of texts in scope.
        outside: those of texts out of scope; there may be none.
    """
    beyond = torch.log(-torch.expm1(outside.clamp(max=-NOT_ZERO)))
    return -inside.mean() - (beyond.mean() if len(outside) else beyond.sum())
