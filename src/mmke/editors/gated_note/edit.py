"""A gated note: each edit is remembered as a note and a small patch, which are used for questions on it alone.

In: edits and questions. For each question a gate decides once, from its text and picture, whether it is on one of the
edits. If it is not, the unedited model answers, to the last bit. If it is, the edit's note stands before the question,
and the edit's patch, a low-rank adapter that was trained on the edit alone, is laid over the model while it answers.

The parts: `words` and `pictures` (what is compared), `memory`, `gate` (the decision), `reader` (how the note is put).
This editor is mmke's own; docs/gated-note.md tells what was tried. In-context editing goes back to Zheng et al.,
arXiv:2305.12740, the adapter to Hu et al., arXiv:2106.09685, the whitening of vectors to Su et al., arXiv:2103.15316.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from mmke import steps
from mmke.backbones.engine.answering import answer
from mmke.editing import sites
from mmke.editing.checked import Finite, FromOne, FromZero, NotNegative, Positive, Share
from mmke.editing.routed_session import Chosen, RememberingEditor, by_group
from mmke.editing.sentence_encoder import SentenceEncoder, encoder_path
from mmke.editing.settings import EditorSettings, build
from mmke.editors.gated_note import pictures, words
from mmke.editors.gated_note.gate import Gate, Said, on_picture, on_text
from mmke.editors.gated_note.memory import Memory
from mmke.editors.gated_note.pictures import Look, Named, Whitening
from mmke.editors.gated_note.reader import Form, behind_note
from mmke.editors.lora.edit import LoRA, LoRASettings
from mmke.errors import UserError
from mmke.protocols import Backbone, Route, Store, Weights
from mmke.types import Answer, Ask, Edit, EditCase, Probe, Query, Switches

Question = Annotated[str, Field(pattern=r"\S", description='it is a question, such as "What is this?"')]
Several = Annotated[int, Field(ge=2, description="it counts from 2 up, since one picture alone has no axis")]


class GatedNoteSettings(EditorSettings):
    """What `gated-note.toml` states.

    Attributes:
        encoder: reads questions and notes; a name or a folder.
        picture_question: what the backbone is asked of a picture, for its name and vector.
        picture_tokens: how many tokens it answers with, at most; the answer is the picture's name.
        picture_depth: the share of the decoder layers below where the vector is taken; see `pictures.Look`.
        background: how many of mmke's own training pictures whiten the vectors of pictures.
        dimensions: of a whitened vector, at most.
        demonstrations: how many invented examples stand before a note, at most.
        reader: how the note stands before a question; see `reader.Form`.
        sites: the matrices that have a patch, by role; see `sites.SITE`.
        rank: of a patch.
        alpha: a patch's product is multiplied by alpha / rank.
        steps: optimizer steps for each patch, at most; 0: there is no patch.
        stop: loss in nats below which training ends; 0: all steps are taken.
        learning_rate: AdamW's.
        text_weights: of the text gate's features; see `gate.on_text`.
        text_bias: see `gate.Gate`, like `text_near` and `text_far`.
        picture_weights: of the picture gate's features; see `gate.on_picture`.
        picture_bias: see `gate.Gate`, like `picture_near` and `picture_far`.
    """

    encoder: str
    picture_question: Question
    picture_tokens: FromOne
    picture_depth: Share
    background: Several
    dimensions: FromOne
    demonstrations: FromZero
    reader: Form
    sites: sites.LinearSites
    rank: FromOne
    alpha: Positive
    steps: FromZero
    stop: NotNegative
    learning_rate: NotNegative
    text_weights: tuple[Finite, Finite, Finite, Finite]
    text_bias: Finite
    text_near: Finite
    text_far: tuple[Finite, Finite]
    picture_weights: tuple[Finite, Finite, Finite, Finite, Finite, Finite, Finite, Finite, Finite]
    picture_bias: Finite
    picture_near: Finite
    picture_far: tuple[Finite, Finite]

    def patch(self) -> LoRASettings:
        """Return the settings of the patches."""
        return LoRASettings(
            sites=self.sites,
            rank=self.rank,
            alpha=self.alpha,
            steps=self.steps,
            stop=self.stop,
            learning_rate=self.learning_rate,
            sequence="merge",
        )


@dataclass(frozen=True)
class GatedNote(RememberingEditor):
    """The gated note by its settings; `seed` is that of the patches."""

    settings: GatedNoteSettings
    switches: Switches
    seed: int
    name: str = "gated-note"

    def check(self, backbone: Backbone) -> None:
        """Resolve the matrices that have a patch, and the linear that pictures are read at.

        Raises:
            UserError: the backbone lacks one, or has a single decoder layer, or cannot be asked what a picture is.
        """
        if backbone.layers == 1:
            raise UserError(
                f"{self.name} reads pictures below the last decoder layer, and {backbone.name} has no other; "
                "take another editor"
            )
        self.patching.check(backbone)
        sites.tensors(backbone, (self.look.site(backbone),))
        question = Query(self.look.question, pictures.background()[0])
        problem = backbone.problems(question, "", Ask(decode="generate"), pictures=False)
        if problem is not None:
            raise UserError(f"{self.name}: picture_question cannot be asked ({problem}); give a shorter one")

    def remember(self, backbone: Backbone, edits: Sequence[Edit], before: Memory | None, *, store: Store) -> Memory:
        """Read notes and pictures, and train a patch for each edit.

        Raises:
            CannotAskError: an edit cannot be made; `before` is what it was.
        """
        memory = before
        if memory is None:
            hidden = len(self._vector(edits[0].target, store))
            memory = Memory.empty(self.whitening(backbone, store), hidden)
        for edit in edits:
            memory = self._with(backbone, edit, memory, store)
        return memory

    def saved(self, memory: Memory) -> Mapping[str, Tensor]:
        """Return vectors, names, whitening and patches."""
        return memory.tensors()

    def restored(self, backbone: Backbone, edits: Sequence[Edit], tensors: Mapping[str, Tensor]) -> Memory:
        """Take them over; nothing is read or trained again."""
        return Memory.of(tensors, edits, sites.tensors(backbone, self.settings.sites), editor=self.name)

    def decide(
        self, backbone: Backbone, queries: Sequence[Query], edits: Sequence[Edit], memory: Memory, *, store: Store
    ) -> list[Route]:
        """Return of each question the edit that it is on."""
        return [self._decide(backbone, query, edits, memory, store) for query in queries]

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
        """Answer the questions on each edit behind its note, with its patch."""

        def say(number: int, places: Sequence[int]) -> list[Answer]:
            put = [self._put(backbone, probes[i], chosen[i].edit) for i in places]
            patch = memory.patches[number]
            return answer(backbone, put, ask, store=store, cut=self.patching.cut(backbone), weights=patch)

        return by_group([each.number for each in chosen], say)

    @cached_property
    def patching(self) -> LoRA:
        """Return what trains a patch."""
        return LoRA(self.settings.patch(), self.switches, self.seed, self.name)

    @cached_property
    def look(self) -> Look:
        """Return how pictures are read."""
        return Look(self.settings.picture_question, self.settings.picture_depth, self.settings.picture_tokens)

    @cached_property
    def text_gate(self) -> Gate:
        """Return the gate of questions in text."""
        own = self.settings
        return Gate(own.text_weights, own.text_bias, own.text_near, own.text_far)

    @cached_property
    def picture_gate(self) -> Gate:
        """Return the gate of questions on pictures."""
        own = self.settings
        return Gate(own.picture_weights, own.picture_bias, own.picture_near, own.picture_far)

    def text_features(self, query: Query, memory: Memory, *, store: Store) -> Float[Tensor, "edits features"]:
        """Return what the text gate reads of a question."""
        return on_text(query.text, memory.likeness(self._vector(query.text, store)), memory.said)

    def picture_features(
        self, backbone: Backbone, query: Query, memory: Memory, *, store: Store
    ) -> Float[Tensor, "edits features"]:
        """Return what the picture gate reads of a question."""
        assert query.image is not None  # noqa: S101  # the caller has looked
        picture = memory.whitening(pictures.seen(backbone, query.image, self.look, store=store))
        named = pictures.named(backbone, query.image, self.look, store=store)
        return on_picture(
            query.text,
            memory.likeness(self._vector(query.text, store)),
            memory.said,
            sight=memory.sight(picture, named),
            general=float((self._general @ self._vector(query.text, store)).max()),
        )

    def whitening(self, backbone: Backbone, store: Store) -> Whitening:
        """Return the whitening of a backbone's pictures; `store` is for an editor that takes others than mmke's own."""
        del store
        return pictures.whitening_for(backbone, self.look, self.settings.background, self.settings.dimensions)

    def _with(self, backbone: Backbone, edit: Edit, before: Memory, store: Store) -> Memory:
        image, whitening = edit.query.image, before.whitening
        picture, named = torch.zeros(whitening.axes.shape[1]), Named.of("")
        if image is not None:
            named = pictures.named(backbone, image, self.look, store=store)
            picture = whitening(pictures.seen(backbone, image, self.look, store=store))
        vectors = torch.stack([self._vector(text, store) for text in _texts(edit)])
        patch: Weights = {}
        if self.settings.steps:
            steps.say("training the patch")
            with torch.enable_grad():
                patch = self.patching.edited(backbone, [edit], store=store, before={})
        return before.further(vectors, picture, named, Said.of(edit.query.text, edit.target), patch)

    def _decide(self, backbone: Backbone, query: Query, edits: Sequence[Edit], memory: Memory, store: Store) -> Route:
        # The question of an edit itself needs no gate.
        for i in range(len(edits) - 1, -1, -1):
            if _same(query, edits[i].query):
                return i
        points = words.points_at_picture(query.text)
        if points and query.image is None:
            return None
        by_text = None if points else self.text_gate.choose(self.text_features(query, memory, store=store))
        # A question that names something is one in text, also beside a picture.
        if query.image is None or (not points and (by_text is None or words.names(query.text))):
            return by_text
        by_picture = self.picture_gate.choose(self.picture_features(backbone, query, memory, store=store))
        return by_picture if points or by_picture == by_text else None

    def _put(self, backbone: Backbone, probe: Probe, edit: Edit) -> Probe:
        own = self.settings
        return replace(probe, query=behind_note(backbone, probe.query, edit, own.reader, own.demonstrations))

    def _vector(self, text: str, store: Store) -> Float[Tensor, "hidden"]:
        # One text at a time: its bits must not depend on the texts beside it.
        key = ("sentence", self.settings.encoder, text)
        return store.get(key, lambda: self._encoder.embed([text])[0])

    @cached_property
    def _general(self) -> Float[Tensor, "questions hidden"]:
        """Return the vectors of the general questions, which can be asked of any picture."""
        return torch.stack([self._encoder.embed([text])[0] for text in words.lists()["general"]])

    @cached_property
    def _encoder(self) -> SentenceEncoder:
        return SentenceEncoder(self.settings.encoder)


def _texts(edit: Edit) -> list[str]:
    whole = f"{edit.query.text} {edit.target}"
    return list(dict.fromkeys([edit.target, whole, *words.sentences(edit.target)]))


def _same(query: Query, other: Query) -> bool:
    images = [None if each.image is None else each.image.key for each in (query, other)]
    return query.text == other.text and images[0] == images[1]


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> GatedNote:
    """Gated note: a note before the question and a patch over the model, for questions on the edit alone."""
    del train
    values = build(GatedNoteSettings, settings, editor="gated-note")
    # Looked for here, before a backbone's weights are read.
    encoder_path(values.encoder)
    return GatedNote(values, switches, seed)
