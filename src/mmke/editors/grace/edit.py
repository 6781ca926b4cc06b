"""GRACE: a codebook beside one module of the language model, whose vectors stand in for the module's output.

Source: Hartvigsen et al., arXiv:2211.11031. An edit's key is what the module is fed at the last position of the edit's
question, behind the picture and without the answer. Its value is a vector that is trained, alone, until the model
answers with the target where the vector takes the place of the module's output. A query is decided once, by its own
key: where that lies within the radius of the nearest entry, the entry's value stands in; else the unedited model
answers. No weight of the model changes.

Deviations from the published code:
- Two targets are the same if their token ids are; published is a comparison of the mean of these ids.
- Of equally near entries the newest decides.
- An answer that is written is decided by its question, once, and no position is kept from an earlier edit.
- A value begins as a vector that the seed and the edit decide, so that a session repeats itself.

Published are text models. Here a key is behind the picture too.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmke.backbones.engine.answering import answer, read_off, wanted_logits
from mmke.backbones.engine.replacing import Positions, prompt_length, replacing
from mmke.editing import reading, sites
from mmke.editing.checked import FromZero, NotNegative, Positive
from mmke.editing.fitting import fit, lesson
from mmke.editing.routed_session import Chosen, RememberingEditor
from mmke.editing.settings import EditorSettings, build
from mmke.editors.grace.codebook import Codebook
from mmke.errors import UserError
from mmke.protocols import Backbone, Cut, Route, Store
from mmke.types import Answer, Ask, Edit, EditCase, Probe, Query, Switches


class GraceSettings(EditorSettings):
    """What `grace.toml` states.

    Attributes:
        site: the module beside which the codebook stands, by role; see `sites.SITE`.
        positions: where a value stands in for its output.
        radius: of a new entry that stands alone; a distance between two of the module's inputs.
        steps: of Adam, for each edit.
        learning_rate: Adam's.
    """

    site: sites.MlpSite
    positions: Positions
    radius: Positive
    steps: FromZero
    learning_rate: NotNegative


class Memory(NamedTuple):
    """The codebook, the target of each entry as token ids, and how many edits were applied."""

    book: Codebook
    targets: tuple[tuple[int, ...], ...]
    applied: int


@dataclass(frozen=True)
class Grace(RememberingEditor):
    """GRACE by its settings; `seed` is that of the values' beginnings."""

    settings: GraceSettings
    switches: Switches
    seed: int
    name: str = "grace"

    def check(self, backbone: Backbone) -> None:
        """Resolve the module.

        Raises:
            UserError: the backbone lacks it, or it lies in the last layer.
        """
        self._linear(backbone)
        if self.below(backbone).layer == backbone.layers - 1:
            raise UserError(
                f"{self.name}.site = {self.settings.site!r} lies in the last of {backbone.layers} decoder layers of "
                f"{backbone.name}, where no later position reads what is put in; name a lower layer"
            )

    def below(self, backbone: Backbone) -> Cut:
        """Return the cut below the module."""
        return sites.cut_below(backbone, (self.settings.site,))

    def remember(self, backbone: Backbone, edits: Sequence[Edit], before: Memory | None, *, store: Store) -> Memory:
        """Write edits into the codebook, one after the other.

        Raises:
            CannotAskError: an edit cannot be made; `before` is what it was.
        """
        memory = before
        for edit in edits:
            memory = self._written(backbone, edit, memory, store)
        assert memory is not None  # noqa: S101  # the session hands on no empty batch
        return memory

    def saved(self, memory: Memory) -> Mapping[str, Tensor]:
        """Return the codebook."""
        return memory.book._asdict()

    def restored(self, backbone: Backbone, edits: Sequence[Edit], tensors: Mapping[str, Tensor]) -> Memory:
        """Take over a codebook."""
        own = self._linear(backbone)
        here = {name: tensor.to(own.device) for name, tensor in tensors.items()}
        book = Codebook.restored(here, into=own.shape[1], out=own.shape[0], edits=len(edits))
        return Memory(book, tuple(backbone.tokens(edits[i].target) for i in book.edits.tolist()), len(edits))

    def decide(
        self, backbone: Backbone, queries: Sequence[Query], edits: Sequence[Edit], memory: Memory, *, store: Store
    ) -> list[Route]:
        """Return the newest edit of the entry that each query hits."""
        hits = [memory.book.hit(self.key(backbone, query, store=store)) for query in queries]
        return [None if entry is None else int(memory.book.edits[entry]) for entry in hits]

    def speak(
        self,
        backbone: Backbone,
        probes: Sequence[Probe],
        chosen: Sequence[Chosen],
        ask: Ask,
        memory: Memory,
        *,
        store: Store,
    ) -> list[Answer]:
        """Answer each probe, one by one, with the value of its entry in place of the module's output."""
        entries = {edit: entry for entry, edit in enumerate(memory.book.edits.tolist())}
        values = [memory.book.values[entries[each.number]] for each in chosen]
        return [self._answer(backbone, probe, ask, value, store) for probe, value in zip(probes, values, strict=True)]

    def key(self, backbone: Backbone, query: Query, *, store: Store) -> Float[Tensor, "into"]:
        """Return what the module is fed at the last position of a query, before any answer; it is kept in `store`.

        A query is computed by itself, so that its key has the same bits whatever else is asked.
        """
        return reading.inputs(backbone, self.settings.site, query, "last", store=store)[0]

    def _written(self, backbone: Backbone, edit: Edit, before: Memory | None, store: Store) -> Memory:
        key, target = self.key(backbone, edit.query, store=store), backbone.tokens(edit.target)
        memory = before or Memory(Codebook.empty(key, len(self._linear(backbone))), (), 0)
        book, targets = memory.book, list(memory.targets)
        place = book.place(key, radius=self.settings.radius, same=lambda entry: targets[entry] == target)
        is_new = place.entry == len(targets)
        begin = self._drawn(backbone, edit) if is_new else book.values[place.entry]
        value = self._fitted(backbone, edit, begin, store)
        return Memory(
            book.written(place, key=key, value=value, edit=memory.applied),
            (*targets, target) if is_new else memory.targets,
            memory.applied + 1,
        )

    def _fitted(self, backbone: Backbone, edit: Edit, begin: Tensor, store: Store) -> Tensor:
        """Return a value that was trained on an edit's target."""
        taught = lesson(backbone, [edit], self.below(backbone), switches=self.switches, store=store)
        prompt = prompt_length(taught.trunk.batch.encoded[0])
        value = begin.clone().requires_grad_()
        optimizer = torch.optim.Adam(
            [value], lr=self.settings.learning_rate, fused=True, capturable=value.device.type == "cuda"
        )
        with torch.enable_grad(), self._replacing(backbone, value, prompt=prompt, writes=False):
            fit(taught, [value], dict, optimizer, times=self.settings.steps)
        return value.detach()

    def _answer(self, backbone: Backbone, probe: Probe, ask: Ask, value: Tensor, store: Store) -> Answer:
        encoded = backbone.encode([probe.query], [probe.target], ask).encoded[0]
        writes = ask.decode == "generate"
        with self._replacing(backbone, value, prompt=prompt_length(encoded), writes=writes):
            if writes:
                return answer(backbone, [probe], ask, store=store)[0]
            # The trunk ends below the module, so that no state that holds a value is stored.
            wanted = wanted_logits(backbone, [probe], [ask], store=store, cut=self.below(backbone))
        return read_off(backbone, wanted.encoded, wanted.logits, [ask])[0]

    @contextmanager
    def _replacing(self, backbone: Backbone, value: Tensor, *, prompt: int, writes: bool) -> Iterator[None]:
        where = self._module(backbone), value, self.settings.positions
        with replacing(backbone, *where, prompt=prompt, writes=writes):
            yield

    def _drawn(self, backbone: Backbone, edit: Edit) -> Tensor:
        """Return what a new value begins as: uniform in [0, 1), by the seed and the texts of the edit alone."""
        own = self._linear(backbone)
        said = repr((self.seed, edit.query.text, edit.target)).encode(errors="backslashreplace")
        number = int.from_bytes(hashlib.sha256(said).digest()[:8], "big", signed=True)
        # Drawn on the processor, so that every device has the same.
        return torch.rand(len(own), generator=torch.Generator().manual_seed(number)).to(own.device)

    def _linear(self, backbone: Backbone) -> Tensor:
        return backbone.module.get_parameter(f"{self._module(backbone)}.weight")

    def _module(self, backbone: Backbone) -> str:
        return sites.parameters(backbone, (self.settings.site,))[0].removesuffix(".weight")


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> Grace:
    """GRACE: keys of questions with radii, and for each a trained vector in place of one module's output."""
    return Grace(build(GraceSettings, settings, editor="grace"), switches, seed)
