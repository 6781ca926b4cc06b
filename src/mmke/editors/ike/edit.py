"""In-context knowledge editing (IKE): the edit stands in the prompt, behind demonstrations; no weight changes.

Source: Zheng et al., arXiv:2305.12740, as MMKE-Bench runs it. A query becomes: the demonstrations, the edit's own
sentence as the last of them, `New Fact: {edit question} {target}` and `Prompt: {question}`. Where several edits were
applied, the setting `memory` says which one stands in a query's prompt; published are single edits.

Deviations from the published code:
- Prompts are counted. Beyond the model's context the farthest demonstrations are dropped (`strict`); under `paper` the
  prompt runs on where positions are rotary and is an error where they are a table. The rows state how many were kept.
- Random demonstrations are seeded, by the edit alone.
- The user kind's portability question is asked on its own picture as under every other editor; on the edit image only
  under `paper`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import nn

from mmke import steps
from mmke.backbones.engine.answering import answer, by_ask
from mmke.backbones.reason import shortened
from mmke.editing import states
from mmke.editing.checked import FromZero
from mmke.editing.routed_session import noted
from mmke.editing.sentence_encoder import SentenceEncoder, encoder_path
from mmke.editing.settings import EditorSettings, build
from mmke.editors.ike.memory import Memory, Note
from mmke.editors.ike.prompt import Context, fit, notes_of
from mmke.editors.ike.retrieval import Nearest, Random, own_sentence, sentences
from mmke.errors import CannotAskError, NeedsTrainingError, UserError
from mmke.protocols import Backbone, Cut, EditSession, Route, SessionState, Store
from mmke.types import (
    Answer,
    Asks,
    Edit,
    EditCase,
    Probe,
    Query,
    Switches,
)

Remembered = Literal["retrieve", "newest", "own", "all"]
"""Which of several applied edits stands in a query's prompt: the nearest by the query's text; the last one; the query's
own one, which only an upper bound can know; or all of them, as far as the context reaches."""


class IKESettings(EditorSettings):
    """What `ike.toml` states.

    Attributes:
        demonstrations: sentences from the training records; the edit's own comes on top.
        memory: which of several applied edits stands in a query's prompt; see `Remembered`.
        encoder: sentence encoder for retrieval.
        context_overflow: what becomes of a prompt that is longer than the model's context: the farthest demonstrations
            are dropped, or it is asked as it is.
        user_port_image: picture of the portability question of user records: the probe's own, or the edited one.
    """

    demonstrations: FromZero
    memory: Remembered
    encoder: str
    context_overflow: Literal["drop farthest", "run on"]
    user_port_image: Literal["probe", "edit"]


class IKERandomSettings(EditorSettings):
    """What `ike-random.toml` states; see `IKESettings`."""

    demonstrations: FromZero
    memory: Remembered
    encoder: str
    context_overflow: Literal["drop farthest", "run on"]
    user_port_image: Literal["probe", "edit"]


@dataclass
class InContextSession:
    """The applied edits, one of which stands before every question."""

    editor: "InContext"
    backbone: Backbone
    store: Store
    memory: Memory
    own_edits: tuple[Edit, ...] | None = None
    lengths: dict[str, int] = field(default_factory=dict)

    def apply(self, edits: Sequence[Edit]) -> None:
        """Remember edits, each with the demonstrations that are retrieved for it."""
        steps.say("choosing demonstrations")
        choose = self.editor.retrieval.choose
        self.memory.add([Note(edit, tuple(choose(own_sentence(edit.query.text, edit.target)))) for edit in edits])

    def take_own_edits(self, edits: Sequence[Edit]) -> None:
        """Say to which edits the next probes belong; only `memory = "own"` uses it."""
        self.own_edits = tuple(edits)

    def decide(self, queries: Sequence[Query]) -> list[Route]:
        """Return of each query the edit that it is asked behind, by index; None: it is asked without an edit.

        Raises:
            UserError: the query's own edit is wanted, and which that is was not said.
        """
        memory, candidates = self.memory, range(len(self.memory.notes))
        if not candidates:
            return [None] * len(queries)
        match self.editor.settings.memory:
            case "retrieve":
                return [memory.nearest(query.text, candidates, store=self.store) for query in queries]
            case "own":
                own = memory.places(self._told())
                return [memory.nearest(query.text, own, store=self.store) if own else None for query in queries]
            case "newest" | "all":
                return [candidates[-1]] * len(queries)

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe behind its edit; what several share is read once for each picture, however it is asked."""
        routes = self.decide([probe.query for probe in probes])
        # Either all have an edit, or none has.
        if None in routes or not routes:
            said = by_ask(lambda some, way: answer(self.backbone, some, way, store=self.store), probes, ask)
            return [noted(each, None) for each in said] if self.memory.notes else said
        prompts = [self._prompt(probe, route) for probe, route in zip(probes, routes, strict=True) if route is not None]
        answers = answer(self.backbone, [probe for probe, _ in prompts], ask, store=self.store)
        return [
            # A picture that is not the probe's own is named in the results.
            replace(said, notes=notes, image=None if put.query.image == probe.query.image else put.query.image)
            for said, probe, (put, notes) in zip(answers, probes, prompts, strict=True)
        ]

    def module(self) -> AbstractContextManager[nn.Module]:
        """Refuse: there is no edited module."""
        raise UserError(f"{self.editor.name} edits the prompt and leaves the module as it is; ask the session instead")

    def state(self) -> SessionState:
        """Return the edits and what was made for them."""
        return self.memory.state(states.facts(self.editor.name, self.backbone))

    def load_state(self, state: SessionState) -> None:
        """Take over the edits of another session."""
        states.check(state, self.editor.name, self.backbone)
        self.memory.load(state, editor=self.editor.name)

    def _told(self) -> tuple[Edit, ...]:
        if self.own_edits is None:
            raise UserError(
                f"{self.editor.name}.memory = 'own' has to be told which edits the questions belong to: call the "
                "session's take_own_edits(edits) before answer(…), or set it to 'retrieve'"
            )
        return self.own_edits

    def _prompt(self, probe: Probe, route: int) -> tuple[Probe, dict[str, int]]:
        context, image = self._context(route), probe.query.image
        if self.editor.settings.user_port_image == "edit" and _is_user_portability(probe):
            image = context.edits[-1].query.image

        def put(pieces: int) -> Query:
            return Query(context.text(pieces) + probe.query.text, image)

        def length(pieces: int) -> int:
            return self.backbone.length(put(pieces), probe.target)

        limit, runs_on = self.backbone.max_positions, self.editor.settings.context_overflow == "run on"
        if runs_on:
            kept = len(context.optional)
            taken = length(kept)
        else:
            kept, taken = fit(context, limit=limit, length=length, length_of=self._length)
        if taken > limit and (self.backbone.learned_positions or not runs_on):
            way_out = (
                f"set {self.editor.name}.demonstrations below {kept}, or --protocol strict, which drops the farthest"
                if kept
                else "no demonstration is left to drop; shorten the edit's description or the question"
            )
            raise CannotAskError(
                f"{self.editor.name}: the prompt of {shortened(probe.query.text)} has {taken} positions and "
                f"{self.backbone.name} holds {limit}; {way_out}"
            )
        # Where all edits stand in the prompt, none of them was chosen.
        chosen = {} if self.editor.settings.memory == "all" else {"edit": route}
        return replace(probe, query=put(kept)), {**notes_of(context, kept, taken), "accepted": 1, **chosen}

    def _context(self, route: int) -> Context:
        notes = self.memory.notes
        behind = notes if self.editor.settings.memory == "all" else [notes[route]]
        return Context(notes[route].demonstrations, [note.edit for note in behind])

    def _length(self, piece: str) -> int:
        if piece not in self.lengths:
            self.lengths[piece] = self.backbone.length(Query(piece), "")
        return self.lengths[piece]


def _is_user_portability(probe: Probe) -> bool:
    return probe.kind.name == "port" and probe.tags.get("knowledge") == "user"


@dataclass(frozen=True)
class InContext:
    """IKE, with nearest or random demonstrations."""

    name: str
    settings: IKESettings | IKERandomSettings
    retrieval: Nearest | Random
    encoder: SentenceEncoder

    def cut(self, backbone: Backbone) -> Cut | None:
        """Return None: the prompt is edited, and nothing in the model."""
        del backbone
        return None

    def check(self, backbone: Backbone) -> None:
        """Accept every backbone."""

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session; no weight is touched."""
        self.retrieval.prepare()
        yield self.session(backbone, store)

    def session(self, backbone: Backbone, store: Store) -> InContextSession:
        """Return a session that remembers no edit."""
        searched = self.settings.memory in ("retrieve", "own")
        return InContextSession(self, backbone, store, Memory(self.encoder if searched else None))


def make_ike(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> InContext:
    """IKE: the edit in the prompt, behind the nearest demonstrations."""
    del switches, seed
    values = build(IKESettings, settings, editor="ike")
    # Looked for here, before a backbone's weights are read.
    encoder_path(values.encoder)
    encoder = SentenceEncoder(values.encoder)
    return InContext("ike", values, Nearest(_corpus("ike", train), values.demonstrations, encoder), encoder)


def make_ike_random(
    settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int
) -> InContext:
    """IKE: the edit in the prompt, behind random demonstrations."""
    del switches
    values = build(IKERandomSettings, settings, editor="ike-random")
    drawn = Random(_corpus("ike-random", train), values.demonstrations, seed)
    return InContext("ike-random", values, drawn, SentenceEncoder(values.encoder))


def _corpus(name: str, train: Sequence[EditCase]) -> list[str]:
    if not train:
        raise NeedsTrainingError(
            f"{name} takes its demonstrations from training records, and there are none; of your own file "
            "NAME_eval.json they are read from NAME_train.json beside it, and from Python they are given: "
            'load_editor(…, train=open_benchmark(…).load("train", hop=0, switches=STRICT).cases)'
        )
    return [sentence for case in train for sentence in sentences(case)]
