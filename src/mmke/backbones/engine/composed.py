"""A backbone put together from its parts: image encoder, alignment, language model, prompt.

In: queries. Out: logits, answers, gradients. Every backbone file builds one of these. The parts are ordinary modules of
`module`, so that a parameter's name in `module` is its name everywhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmke.backbones.engine import answering, greedy, packing, replay
from mmke.backbones.engine.cards import card_of, cards_of
from mmke.backbones.engine.decoder import Decoder
from mmke.backbones.engine.projections import find_projections, projection
from mmke.backbones.engine.reach import check_above
from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.substitution import call_with
from mmke.backbones.engine.turns import alone, lent, turn
from mmke.backbones.pictures import read_picture, refused
from mmke.backbones.prompt import Layout, Prompt
from mmke.backbones.reason import shortened
from mmke.backbones.vision import Vision
from mmke.errors import CannotAskError, UserError
from mmke.protocols import INPUTS, OUTPUT, VISION, Batch, Cut, Pack, Part, Slot, Store, Trunk, Weights, Written
from mmke.types import (
    Answer,
    Ask,
    Asks,
    ImageRef,
    Probe,
    Query,
)


class _State(NamedTuple):
    """The hidden state of one pack at a cut, and the other arguments of the layers above."""

    cut: Cut
    hidden: Tensor
    context: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ComposedBackbone:
    """A backbone in parts; see the protocol `Backbone` for what its methods promise."""

    name: str
    revision: str
    module: nn.Module
    vision: Vision
    decoder: Decoder
    decoder_name: str
    prompt: Prompt
    logits_dtype: torch.dtype | None = None
    """Precision of the logits that are returned; None: as the head computes them."""
    published_autocast: bool = False
    """Whether the published code runs the whole model under float16 autocast on a GPU."""
    vision_of: "ComposedBackbone | None" = None
    """The backbone whose image encoder is used, so that a picture is encoded once for both; None: its own."""

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        weight: Tensor = self.decoder.head.get_parameter("weight")
        return weight.dtype

    @property
    def prompt_revision(self) -> str:
        return self.prompt.revision

    @property
    def state(self) -> tuple[object, ...]:
        # Where layers lie on several cards, a state that is stored lies on one of them.
        last = card_of(self.decoder.layers[-1])
        return (self.name, self.revision, self.dtype, self.device, last, lent(self.module))

    @property
    def layers(self) -> int:
        return len(self.decoder.layers)

    @property
    def vocabulary(self) -> int:
        return len(self.decoder.head.get_parameter("weight"))

    @property
    def max_positions(self) -> int:
        limit: int = self.decoder.config.max_position_embeddings
        return limit

    @property
    def learned_positions(self) -> bool:
        return hasattr(self.decoder.model, "embed_positions")

    def encode(self, queries: Sequence[Query], targets: Sequence[str], ask: Asks) -> Batch:
        """Apply the prompt, tokenise and pack."""
        asks = [ask] * len(queries) if isinstance(ask, Ask) else ask
        images = list(dict.fromkeys(query.image for query in queries if query.image is not None))
        first: dict[ImageRef | None, int] = {}  # of each picture: the number of its first position among all pictures'
        encoded = []
        with alone():  # the prompt keeps what it has read, and a tokenizer serves one thread at a time
            count = 0
            for image in images:
                first[image] = count
                with refused(image, self.name):
                    count += self.prompt.slots(image)
            for query, target, each in zip(queries, targets, asks, strict=True):
                number = first.get(query.image, 0)
                encoded.append(self.prompt.encode(query.text, target, image=query.image, first=number, ask=each))
        self._check_positions(queries, [len(each.input_ids) for each in encoded])
        # Larger packs do not use a GPU any better, and need more memory.
        limit = 2 * int(self.decoder.config.hidden_size)
        groups = [-1 if query.image is None else images.index(query.image) for query in queries]
        batch = packing.make_batch(encoded, images, groups, limit=limit, device=self.device)
        # Where the logits will be, so that no step has to bring it there.
        return replace(batch, order=sent(batch.order, card_of(self.decoder.head) or self.device))

    def length(self, query: Query, target: str) -> int:
        """Return how many positions a query with its answer takes."""
        with alone():
            return len(self.prompt.input_ids(query.text, target, image=query.image))

    def problems(self, query: Query, target: str, ask: Ask, *, pictures: bool = True) -> str | None:
        """Say why a query cannot be asked, by tokenising it and processing its picture; None where it can."""
        # How many positions a picture takes is known without it where all take the same.
        image = query.image if pictures or isinstance(self.prompt.frame, Layout) else None
        try:
            with alone(), nullcontext() if image is None else refused(image, self.name):
                encoded = self.prompt.encode(query.text, target, image=image, ask=ask)
                self._check_positions([query], [len(encoded.input_ids)])
                if pictures and query.image is not None:
                    self.vision.pixels(read_picture(query.image))
        except CannotAskError as error:
            return str(error)
        return None

    def prompt_text(self, query: Query) -> str | None:
        """Return the whole prompt of a question as text; None where it cannot be asked."""
        try:
            with alone():
                return self.prompt.as_text(query.text, image=query.image)
        except CannotAskError:
            return None

    def text(self, ids: Sequence[int]) -> str:
        """Return token ids as text."""
        return self.prompt.decode(ids)

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a text by itself."""
        with alone():
            return self.prompt.tokens(text)

    def answer(self, probes: Sequence[Probe], ask: Asks, *, store: Store | None = None) -> list[Answer]:
        """Answer each probe, unedited."""
        kept = MemoryStore() if store is None else store
        return answering.by_ask(lambda some, way: answering.answer(self, some, way, store=kept), probes, ask)

    @torch.no_grad()
    def trunk(self, batch: Batch, cut: Cut, *, store: Store, begun: Trunk | None = None) -> Trunk:
        """Compute what lies below `cut`, without gradient."""
        with turn(self.module):
            if begun is None:
                encoder = self if self.vision_of is None else self.vision_of
                begun = Trunk(VISION, batch, tuple(encoder.features(image, store) for image in batch.images))
            if cut == VISION:
                return begun
            if cut.place == "mlp" and not self.decoder.mlp.known:
                cut = Cut("layer", cut.layer)
            hidden, contexts = [], []
            for pack, begin in zip(batch.packs, self._states(begun), strict=True):
                state, context = self._state_at(cut, pack, begin)
                hidden.append(state)
                contexts.append(context)
            return Trunk(cut, batch, (), tuple(hidden), tuple(contexts))

    def tail(self, trunk: Trunk, weights: Weights) -> Float[Tensor, "rows vocab"]:
        """Compute the logits of every wanted row, with `weights` standing in for the module's own.

        Raises:
            ValueError: one of them lies below the trunk's cut.
        """
        check_above(self, trunk.cut, weights)
        with turn(self.module):
            return call_with(self.module, weights, self._tail, trunk)

    def gradients(self, loss: Float[Tensor, ""], of: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the gradients of a loss with respect to outputs of modules."""
        with alone(), replay.deterministic(self.device):
            return torch.autograd.grad(loss, list(of))

    def greedy(self, batch: Batch, limits: Sequence[int], *, store: Store, weights: Weights) -> list[Written]:
        """Continue each query with its most probable tokens."""
        check_above(self, VISION, weights)
        with turn(self.module), torch.no_grad():
            below = self.trunk(batch, VISION, store=store)
            return call_with(self.module, weights, self._continue, below, limits)

    def repeat(self, step: Callable[[], None], times: int) -> None:
        """Run a step many times; on a GPU it is recorded once (a CUDA graph) and replayed."""
        # Deterministic sums, and a recording, are the whole process's; on a processor there are neither.
        with alone() if self.device.type == "cuda" else nullcontext():
            replay.repeat(step, times, device=self.device, cards=cards_of(self.module))

    def site(self, part: Part, layer: int | None = None, slot: Slot | None = None) -> str:
        """Return the name of the submodule that plays a role."""
        if part == "projection":
            return self.vision.projection or self.vision.alignment
        if part != "language":
            return self.vision.alignment if part == "alignment" else self.vision.tower
        if layer is None:
            return self.decoder_name
        if not -self.layers <= layer < self.layers:
            raise UserError(f"{self.name} has {self.layers} decoder layers, so no layer {layer}")
        where = f"{self.decoder_name}.layers.{layer % self.layers}"
        if slot is None:
            return where
        if slot not in ("mlp_in", "mlp_out"):
            names = find_projections(self.decoder.layers, int(self.decoder.config.hidden_size))
            return f"{where}.{projection(names, slot, self.name)}"
        if slot not in self.decoder.mlp.slots:
            raise UserError(f"{self.name} has no linear that plays the role {slot} in its decoder layers")
        return f"{where}.{self.decoder.mlp.slots[slot]}"

    def _check_positions(self, queries: Sequence[Query], lengths: Sequence[int]) -> None:
        longest = max(range(len(lengths)), key=lengths.__getitem__, default=None)
        if longest is not None and self.learned_positions and lengths[longest] > self.max_positions:
            raise CannotAskError(
                f"{shortened(queries[longest].text)} takes {lengths[longest]} positions, and {self.name} has a table "
                f"of {self.max_positions}; shorten the question or its answer"
            )

    def features(self, image: ImageRef, store: Store) -> Any:
        """Return the image encoder's output for a picture, kept in `store`."""
        # One picture a forward pass: the bits of its features must not depend on its neighbours.
        with turn(self.module):
            return store.get((self.state, "features", image.key), lambda: self.vision.encode(self.pixels(image)))

    def pixels(self, image: ImageRef) -> Any:
        """Return what the image encoder reads of a picture, on the model's device.

        Raises:
            CannotAskError: the file cannot be read as a picture, or the model's own processing refuses it.
        """
        with refused(image, self.name):
            return self.vision.pixels(read_picture(image)).to(self.device)

    def _input_embeds(self, trunk: Trunk) -> Iterator[Float[Tensor, "1 seq hidden"]]:
        """Yield each pack's input embeddings, from the features of its pictures; one pack is embedded at a time."""
        # Of all image positions [positions hidden].
        image_embeds = self.vision.align(trunk.features) if trunk.features else None
        for pack in trunk.batch.packs:
            embeds: Tensor = self.decoder.embed(pack.input_ids.clamp(min=0))
            if image_embeds is not None:
                # Input id -1 - i stands for image position i.
                pictures = image_embeds[(-1 - pack.input_ids).clamp(min=0)].to(embeds.dtype)
                embeds = torch.where((pack.input_ids < 0)[:, None], pictures, embeds)
            yield embeds[None]

    def _states(self, trunk: Trunk) -> Iterator[_State]:
        """Return the state of each pack at the trunk's cut, from which the layers above continue."""
        if trunk.cut == VISION:
            return (_State(INPUTS, embeds, {}) for embeds in self._input_embeds(trunk))
        contexts = trunk.contexts or ({},) * len(trunk.hidden)
        return (_State(trunk.cut, *state) for state in zip(trunk.hidden, contexts, strict=True))

    def _state_at(self, cut: Cut, pack: Pack, begin: _State) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the hidden state of a pack at a higher cut, and the other arguments of the layers above it."""
        if cut == INPUTS:
            return begin.hidden, {}
        if cut == OUTPUT:
            return self._above(begin, pack), {}
        layer = self._layer(cut)
        if cut.place == "mlp" and layer == self.layers - 1:
            return self._before_last_mlp(begin, pack), {}
        return self.decoder.capture(self._run_from(begin, pack), layer=layer, before_mlp=cut.place == "mlp")

    def _continue(self, below: Trunk, limits: Sequence[int]) -> list[Written]:
        embeds = list(self._input_embeds(below))
        return greedy.continue_batch(self.decoder, below.batch, embeds, limits, ends=self.prompt.ends)

    def _tail(self, trunk: Trunk) -> Tensor:
        rows = [self._above(begin, pack) for pack, begin in zip(trunk.batch.packs, self._states(trunk), strict=True)]
        order = trunk.batch.order
        logits: Tensor = self.decoder.head(torch.cat(rows).to(order.device)[order])
        return logits if self.logits_dtype is None else logits.to(self.logits_dtype)

    def _above(self, begin: _State, pack: Pack) -> Tensor:
        """Return the final hidden states of a pack's wanted rows."""
        if begin.cut == OUTPUT:
            return begin.hidden
        if not self.decoder.mlp.known:
            return _picked(self._run_from(begin, pack)(), pack.rows)
        # After the last attention no position depends on another, so only the wanted rows are computed.
        rows = self._before_last_mlp(begin, pack)
        return self.decoder.finish(self.decoder.mlp.run(self.decoder.layers[-1], rows))

    def _before_last_mlp(self, begin: _State, pack: Pack) -> Tensor:
        last = self.layers - 1
        if begin.cut.place == "mlp" and self._layer(begin.cut) == last:
            return begin.hidden
        state = self.decoder.capture(self._run_from(begin, pack), layer=last, before_mlp=True)
        return _picked(state.hidden, pack.rows)

    def _run_from(self, begin: _State, pack: Pack) -> Callable[[], Tensor]:
        """Return a function that computes a pack's final hidden states [1 seq hidden] from the state at a cut."""
        cut, state, context = begin
        if cut == INPUTS:
            return lambda: self.decoder.run(state, pack.mask, pack.position_ids, tries=pack.tries)
        layer = self._layer(cut)
        if cut.place == "layer":
            return lambda: self.decoder.resume(state, context, layer=layer, tries=pack.tries)
        run = self.decoder.mlp.run
        return lambda: self.decoder.resume(
            run(self.decoder.layers[layer], state), context, layer=layer + 1, tries=pack.tries
        )

    def _layer(self, cut: Cut) -> int:
        if cut.layer is None or not -self.layers <= cut.layer < self.layers:
            raise ValueError(f"cut {cut} names no layer of {self.name}, which has {self.layers}")
        return cut.layer % self.layers


def _picked(hidden: Float[Tensor, "1 seq hidden"], rows: Int[Tensor, "rows"]) -> Float[Tensor, "rows hidden"]:
    """Return some rows, which may lie on another card than their numbers."""
    return hidden[0, rows.to(hidden.device)]
