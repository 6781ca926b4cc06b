"""The plain loop: the baseline that every speed is compared with.

In: a backbone. Out: one that computes as the published code does, without its mistakes: the whole model at every step,
one probe a forward pass, the picture encoded each time, no cache (but while it writes). Each query is a sequence of its
own under ordinary causal attention, and logits are computed at every position.

Only the backbone is replaced. Schedule, editors, optimizer, prompts, metrics and rows are the same on both sides. So
they differ only in how logits and gradients are computed, and their rows can be compared. On a GPU the plain loop uses
float16 autocast where the published code does, and applies edited matrices in the model's own precision. Where the
published training takes the gradient of the whole language model, so does the plain loop.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmke.backbones.engine import answering
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.packing import make_batch
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.substitution import call_with, dense
from mmke.protocols import INPUTS, Batch, Cut, Encoded, Store, Trunk, Weights, Written
from mmke.types import Answer, Ask, Asks, ImageRef, Probe, Query


class Forward(NamedTuple):
    """One forward pass, for counting.

    Attributes:
        encoded: the query; the input_ids of image positions name the picture by its number in the batch.
        image: its picture, if any.
        edited: whether edited tensors replaced the module's own.
        step: whether a gradient was taken.
        whole: whether that was the gradient of the whole language model.
        counterfactual: whether SERAC's counterfactual model computed it, which reads an edit before the question.
    """

    encoded: Encoded
    image: ImageRef | None
    edited: bool
    step: bool
    whole: bool = False
    counterfactual: bool = False


def _of_the_whole(name: str) -> Any:
    return property(lambda plain: getattr(plain.whole, name))


@dataclass(frozen=True, eq=False)
class PlainBackbone:
    """A backbone that is not cut: its trunk computes nothing, its tail the whole model, query by query.

    Attributes:
        whole: the backbone that it wraps.
        log: every forward pass so far.
        whole_gradient: whether gradients of the unedited model are taken of the whole language model.
        counterfactual: whether it is SERAC's counterfactual model, and not the one that is edited.
    """

    whole: ComposedBackbone
    log: list[Forward] = field(default_factory=list)
    whole_gradient: bool = False
    counterfactual: bool = False

    # Listed one by one, so that nothing that computes is taken from the wrapped backbone by accident.
    name = _of_the_whole("name")
    revision = _of_the_whole("revision")
    prompt_revision = _of_the_whole("prompt_revision")
    state = _of_the_whole("state")
    module = _of_the_whole("module")
    device = _of_the_whole("device")
    dtype = _of_the_whole("dtype")
    layers = _of_the_whole("layers")
    max_positions = _of_the_whole("max_positions")
    learned_positions = _of_the_whole("learned_positions")
    vocabulary = _of_the_whole("vocabulary")
    length = _of_the_whole("length")
    problems = _of_the_whole("problems")
    prompt_text = _of_the_whole("prompt_text")
    text = _of_the_whole("text")
    tokens = _of_the_whole("tokens")
    site = _of_the_whole("site")

    def encode(self, queries: Sequence[Query], targets: Sequence[str], ask: Asks) -> Batch:
        """Apply the prompt and tokenise; nothing is packed."""
        asks = [ask] * len(queries) if isinstance(ask, Ask) else ask
        encoded = tuple(
            self.whole.prompt.encode(query.text, target, image=query.image, ask=each)
            for query, target, each in zip(queries, targets, asks, strict=True)
        )
        images = tuple(query.image for query in queries if query.image is not None)
        nothing = torch.zeros(0, dtype=torch.long, device=self.device)
        return Batch(encoded, images, (), nothing, str(hash((encoded, images))))

    def trunk(self, batch: Batch, cut: Cut, *, store: Store, begun: Trunk | None = None) -> Trunk:
        """Compute nothing, unless the embeddings themselves are wanted."""
        if cut != INPUTS:
            return Trunk(cut, batch)
        embedded = tuple(self._embed(encoded, image)[None] for encoded, image in _with_pictures(batch))
        return Trunk(cut, batch, (), embedded)

    def tail(self, trunk: Trunk, weights: Weights) -> Tensor:
        """Return the logits of every wanted row, one whole forward pass a query."""
        own = self._in_own_precision(weights)
        step = torch.is_grad_enabled() and (not own or any(each.requires_grad for each in own.values()))
        whole = step and not own and self.whole_gradient
        for encoded, image in _with_pictures(trunk.batch):
            self.log.append(
                Forward(encoded, image, bool(own), step=step, whole=whole, counterfactual=self.counterfactual)
            )
        autocast = self.whole.published_autocast and self.whole.device.type == "cuda"
        with torch.autocast("cuda", torch.float16, enabled=autocast), self._differentiated(whole):
            return call_with(self.whole.module, own, self._tail, trunk.batch)

    def gradients(self, loss: Tensor, of: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the gradients with respect to what modules handed on; the whole model's are taken and thrown away."""
        with self._differentiated(self.whole_gradient) as parameters:
            return torch.autograd.grad(loss, [*of, *parameters], allow_unused=True)[: len(of)]

    @contextmanager
    def _differentiated(self, wanted: bool) -> Iterator[list[nn.Parameter]]:  # noqa: FBT001
        """Set `requires_grad` on every tensor of the language model inside the context."""
        language = self.whole.module.get_submodule(self.whole.decoder_name)
        parameters = [*language.parameters(), *self.whole.decoder.head.parameters()] if wanted else []
        distinct = list({id(parameter): parameter for parameter in parameters}.values())
        try:
            for parameter in distinct:
                parameter.requires_grad_()
            yield distinct
        finally:
            for parameter in distinct:
                parameter.requires_grad_(False)  # noqa: FBT003

    def _in_own_precision(self, weights: Weights) -> dict[str, Tensor]:
        """Return the edited tensors as dense matrices, in the precision of the module's own."""
        own = {name: self.whole.module.get_parameter(name) for name in weights}
        return {name: dense(own[name], edited).to(own[name].dtype) for name, edited in weights.items()}

    def repeat(self, step: Callable[[], None], times: int) -> None:
        """Run a step many times, each from the beginning."""
        for _ in range(times):
            step()

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe, unedited."""
        return answering.answer(self, probes, ask, store=MemoryStore())

    def greedy(self, batch: Batch, limits: Sequence[int], *, store: Store, weights: Weights) -> list[Written]:
        """Continue each query by itself, by the wrapped backbone's own code, which keeps keys and values.

        All passes of a query are one entry in the log, and there is no autocast.
        """
        own, written = self._in_own_precision(weights), []
        for (encoded, image), limit in zip(_with_pictures(batch), limits, strict=True):
            self.log.append(Forward(encoded, image, bool(own), step=False, counterfactual=self.counterfactual))
            images, groups = ([], [-1]) if image is None else ([image], [0])
            alone = make_batch([encoded], images, groups, limit=len(encoded.input_ids), device=self.device)
            written += self.whole.greedy(alone, [limit], store=MemoryStore(0), weights=own)
        return written

    def _tail(self, batch: Batch) -> Tensor:
        pairs = _with_pictures(batch)
        return torch.cat([self._forward(encoded, image)[list(encoded.rows)] for encoded, image in pairs])

    def _forward(self, encoded: Encoded, image: ImageRef | None) -> Tensor:
        """Return the logits of all positions of one query [seq vocab]."""
        embeds = self._embed(encoded, image)
        position_ids = (
            None
            if encoded.position_ids is None
            else torch.tensor(encoded.position_ids, device=embeds.device).T[:, None]
        )
        hidden = self.whole.decoder.model(
            inputs_embeds=embeds[None], position_ids=position_ids, use_cache=False
        ).last_hidden_state
        logits: Tensor = self.whole.decoder.head(hidden)[0]
        return logits

    def _embed(self, encoded: Encoded, image: ImageRef | None) -> Tensor:
        """Return the input embeddings of one query [seq hidden]."""
        input_ids = torch.tensor(encoded.input_ids, device=self.whole.device)
        embeds: Tensor = self.whole.decoder.embed(input_ids.clamp(min=0))
        if image is not None:
            embeds = embeds.masked_scatter((input_ids < 0)[:, None], self._look(image).to(embeds.dtype))
        return embeds

    def _look(self, image: ImageRef) -> Tensor:
        """Return a picture's embeddings [positions hidden]."""
        return self.whole.vision.align([self.whole.vision.encode(self.whole.pixels(image))])


def _with_pictures(batch: Batch) -> list[tuple[Encoded, ImageRef | None]]:
    """Return each query with its picture; the batch names a picture for each query that has one, in their order."""
    pictures = iter(batch.images)
    return [(encoded, next(pictures) if min(encoded.input_ids) < 0 else None) for encoded in batch.encoded]
