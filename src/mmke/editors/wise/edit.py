"""WISE: a side copy of one matrix of the language model, in which all edits are written, and a gate before it.

Source: Wang et al., arXiv:2405.14768. The side matrix W' begins as the model's own W. An edit moves a random share of
its entries by gradient steps on the target. The *activation* of a question is the mean over its tokens of
‖W' z - W z‖, where z is what the matrix is fed; margins in the loss make it large for the edit's question and small for
an irrelevant one. A question is answered with W' where its activation is at least `act_ratio` times the smallest of all
edits' so far; else the unedited model answers. The question is decided once, before any answer.

After `freeze_after` edits W' may be left as it is and a new one begun; then the one with the largest activation
answers. After `merge_after` edits they may be merged into one.

Deviations from the published code:
- The irrelevant question is one of the training records, never one that the evaluation asks.
- The activation is a mean for every question; published is the largest for those of more than 100 tokens, which are all
  that have a picture. Positions of the picture are left out of it, but by a setting.
- An answer that is written is decided by its question, once, and not again at each token.
- Weight decay moves the entries of the edit's mask alone.
- The edits of a batch are written one after the other, each with a mask of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmke.backbones.engine.answering import answer
from mmke.editing import reading, sites
from mmke.editing.fitting import lesson
from mmke.editing.routed_session import Chosen, RememberingEditor, by_group
from mmke.editing.settings import build
from mmke.editors.wise.settings import WiseSettings
from mmke.editors.wise.side import Margins, activation, generator, mask, merged, strongest, threshold
from mmke.editors.wise.writing import Pace, Writing, written
from mmke.errors import CannotAskError, NeedsTrainingError, UserError
from mmke.protocols import Backbone, Cut, Route, Store
from mmke.types import Answer, Ask, Edit, EditCase, Probe, Query, Switches

CHANGE = "change."
"""Before the number of a side memory in a saved session."""


class Memory(NamedTuple):
    """Side memories in the order in which they were begun.

    Attributes:
        changes: of each its difference to the model's own matrix, in the model's precision.
        ends: of each how many edits are in it or in an earlier one.
        activations: of each edit that of its question, when it had been made.
    """

    changes: tuple[Float[Tensor, "out into"], ...]
    ends: tuple[int, ...]
    activations: Float[Tensor, "edits"]


@dataclass(frozen=True)
class Wise(RememberingEditor):
    """WISE by its settings; `irrelevant` are questions of training records, `seed` is that of what is drawn."""

    settings: WiseSettings
    switches: Switches
    irrelevant: Sequence[Query]
    seed: int
    name: str = "wise"
    names_edit: ClassVar[bool] = False

    def cut(self, backbone: Backbone) -> Cut:
        """Return the cut below the matrix that has side copies."""
        return sites.cut_below(backbone, (self.settings.site,))

    def check(self, backbone: Backbone) -> None:
        """Resolve the matrix.

        Raises:
            UserError: the backbone lacks it, or it lies in the last layer.
        """
        sites.tensors(backbone, (self.settings.site,))
        if self.cut(backbone).layer == backbone.layers - 1:
            raise UserError(
                f"{self.name}.site = {self.settings.site!r} lies in the last of {backbone.layers} decoder layers of "
                f"{backbone.name}, which is run at the answer alone and not at the question; name a lower layer"
            )

    def remember(self, backbone: Backbone, edits: Sequence[Edit], before: Memory | None, *, store: Store) -> Memory:
        """Write edits into the newest side memory, one after the other.

        Raises:
            CannotAskError: an edit cannot be made; `before` is what it was.
        """
        memory = before or Memory((), (), torch.empty(0))
        for edit in edits:
            memory = self._with(backbone, edit, memory, store)
        return memory

    def saved(self, memory: Memory) -> Mapping[str, Tensor]:
        """Return the side memories, where they end, and the activations of the edits."""
        changes = {f"{CHANGE}{number}": change for number, change in enumerate(memory.changes)}
        return {**changes, "ends": torch.tensor(memory.ends), "activations": memory.activations}

    def restored(self, backbone: Backbone, edits: Sequence[Edit], tensors: Mapping[str, Tensor]) -> Memory:
        """Take over side memories.

        Raises:
            UserError: they are of another matrix or of other edits.
        """
        own = self._own(backbone)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        changes = [f"{CHANGE}{number}" for number in range(len(tensors) - 2)]
        wanted = dict.fromkeys(changes, tuple(own.shape)) | {"ends": (len(changes),), "activations": (len(edits),)}
        if shapes != wanted or not changes or tensors["ends"].tolist()[-1] != len(edits):
            raise UserError(
                f"{self.name}: the saved session does not fit: its tensors {shapes} are no side memories of "
                f"{len(edits)} edits of a matrix {list(own.shape)}; it was saved under another site, so open the "
                "session with that setting"
            )
        here = tuple(tensors[name].to(own.device) for name in changes)
        return Memory(here, tuple(tensors["ends"].tolist()), tensors["activations"].cpu())

    def decide(
        self, backbone: Backbone, queries: Sequence[Query], edits: Sequence[Edit], memory: Memory, *, store: Store
    ) -> list[Route]:
        """Return of each query the newest edit of the side memory that answers it."""
        least = threshold(memory.activations, self.settings.act_ratio)
        routes: list[Route] = []
        for query in queries:
            found = self.activations(backbone, query, memory, store=store)
            best = strongest(found)
            routes.append(memory.ends[best] - 1 if found[best] >= least else None)
        return routes

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
        """Answer each probe with its side copy in place of the model's own matrix."""

        def say(number: int, places: Sequence[int]) -> list[Answer]:
            weights = {self._matrix(backbone): self._own(backbone).float() + memory.changes[number].float()}
            some = [probes[i] for i in places]
            answers = answer(backbone, some, ask, store=store, cut=self.cut(backbone), weights=weights)
            return [_noted(each, number) for each in answers]

        return by_group([memory.ends.index(each.number + 1) for each in chosen], say)

    def activations(self, backbone: Backbone, query: Query, memory: Memory, *, store: Store) -> list[float]:
        """Return the activation of a query in each side memory."""
        fed = self._inputs(backbone, query, store)
        return [float(activation(change, fed)) for change in memory.changes]

    def _with(self, backbone: Backbone, edit: Edit, memory: Memory, store: Store) -> Memory:
        """Return the memory with one more edit; where it is time, side memories are merged."""
        values, number, own = self.settings, len(memory.activations), self._own(backbone)
        changes, ends = list(memory.changes), list(memory.ends)
        if not changes or (values.freeze_after and number % values.freeze_after == 0):
            changes, ends = [*changes, torch.zeros_like(own)], [*ends, number]
        fed = self._inputs(backbone, edit.query, store)
        if not len(fed):
            raise CannotAskError(f"{self.name}: the edit {edit.target!r} has an empty question; give it words")
        changes[-1], ends[-1] = self._written(backbone, edit, changes[-1], fed, store).to(own.dtype), number + 1
        activations = torch.cat([memory.activations, activation(changes[-1], fed).cpu()[None]])
        if values.merge_after and (number + 1) % values.merge_after == 0 and len(changes) > 1:
            changes, ends = [merged(changes, values.merge_density).to(own.dtype)], ends[-1:]
        return Memory(tuple(changes), tuple(ends), activations)

    def _written(self, backbone: Backbone, edit: Edit, begin: Tensor, fed: Tensor, store: Store) -> Tensor:
        values, own = self.settings, self._own(backbone)
        said = self.seed, edit.query.text, edit.target
        writing = Writing(
            taught=lesson(backbone, [edit], self.cut(backbone), switches=self.switches, store=store),
            name=self._matrix(backbone),
            own=own.detach().float(),
            asked=fed,
            irrelevant=self._inputs(backbone, self._irrelevant(edit), store),
            mask=mask(own, values.mask_density, generator("mask", *said)),
            margins=Margins(values.alpha, values.beta, values.gamma),
        )
        pace = Pace(**{field.name: getattr(values, field.name) for field in fields(Pace)})
        return written(writing, begin, pace)

    def _irrelevant(self, edit: Edit) -> Query:
        """Return a question of a training record that is not the edit's; the seed and the edit's texts decide."""
        others = [query for query in self.irrelevant if query != edit.query]
        drawn = generator("irrelevant", self.seed, edit.query.text, edit.target)
        return others[int(torch.randint(len(others), (), generator=drawn))]

    def _inputs(self, backbone: Backbone, query: Query, store: Store) -> Float[Tensor, "positions into"]:
        return reading.inputs(backbone, self.settings.site, query, self.settings.activation, store=store)

    def _own(self, backbone: Backbone) -> Tensor:
        return backbone.module.get_parameter(self._matrix(backbone))

    def _matrix(self, backbone: Backbone) -> str:
        return sites.parameters(backbone, (self.settings.site,))[0]


def _noted(said: Answer, number: int) -> Answer:
    return replace(said, notes={**said.notes, "memory": number})


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> Wise:
    """WISE: a side copy of one matrix in which all edits are written, and a gate that decides who answers."""
    values = build(WiseSettings, settings, editor="wise")
    irrelevant = list(dict.fromkeys(edit.query for case in train for edit in case.edits))
    if len(irrelevant) < 2:
        raise NeedsTrainingError(
            "wise takes irrelevant questions from training records, and there are not two of them; of your own file "
            "NAME_eval.json they are read from NAME_train.json beside it, and from Python they are given: "
            'load_editor(…, train=open_benchmark(…).load("train", hop=0, switches=STRICT).cases)'
        )
    return Wise(values, switches, irrelevant, seed)
