"""In-context knowledge editing (IKE): the edit stands in the prompt, behind demonstrations; no weight changes.

Source: Zheng et al., arXiv:2305.12740, as MMKE-Bench runs it. A query becomes: the demonstrations, the edit's own
sentence as the last of them, `New Fact: {edit question} {target}` and `Prompt: {question}`.

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

from mmke.backbones.engine.answering import answer, by_ask
from mmke.backbones.reason import shortened
from mmke.editing import states
from mmke.editing.checked import FromZero
from mmke.editing.sentence_encoder import encoder_path
from mmke.editing.settings import EditorSettings, build
from mmke.editors.ike.retrieval import Nearest, Random, fact, own_sentence, sentences
from mmke.errors import CannotAskError, NeedsTrainingError, UserError
from mmke.protocols import Backbone, Cut, EditSession, SessionState, Store
from mmke.types import (
    Answer,
    Asks,
    Edit,
    EditCase,
    ImageRef,
    Probe,
    Query,
    Switches,
)

SEAM = 4
"""By how many tokens two texts may be shorter joined than apart."""


class IKESettings(EditorSettings):
    """What `ike.toml` states.

    Attributes:
        demonstrations: sentences from the training records; the edit's own comes on top.
        encoder: sentence encoder for retrieval.
        context_overflow: what becomes of a prompt that is longer than the model's context: the farthest demonstrations
            are dropped, or it is asked as it is.
        user_port_image: picture of the portability question of user records: the probe's own, or the edited one.
    """

    demonstrations: FromZero
    encoder: str
    context_overflow: Literal["drop farthest", "run on"]
    user_port_image: Literal["probe", "edit"]


class IKERandomSettings(EditorSettings):
    """What `ike-random.toml` states; see `IKESettings`."""

    demonstrations: FromZero
    context_overflow: Literal["drop farthest", "run on"]
    user_port_image: Literal["probe", "edit"]


@dataclass
class InContextSession:
    """The demonstrations and facts that stand before every question."""

    editor: "InContext"
    backbone: Backbone
    store: Store
    demonstrations: list[str] = field(default_factory=list)
    own_sentences: list[str] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    lengths: dict[int, int] = field(default_factory=dict)

    def apply(self, edits: Sequence[Edit]) -> None:
        """Retrieve demonstrations for each edit; later edits stand nearer to the question."""
        for edit in edits:
            own = own_sentence(edit.query.text, edit.target)
            self.demonstrations += self.editor.retrieval.choose(own)
            self.own_sentences.append(own)
            self.edits.append(edit)

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe behind the demonstrations, which are read once for each picture, however it is asked."""
        if not self.edits:
            return by_ask(lambda some, way: answer(self.backbone, some, way, store=self.store), probes, ask)
        prompts = [self._prompt(probe) for probe in probes]
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
        """Return the edits and the demonstrations that were chosen for them."""
        further = {"edits": states.of_edits(self.edits), "demonstrations": list(self.demonstrations)}
        return SessionState({}, states.facts(self.editor.name, self.backbone, **further))

    def load_state(self, state: SessionState) -> None:
        """Take over the edits and demonstrations of another session; nothing is retrieved again."""
        states.check(state, self.editor.name, self.backbone)
        self.edits = states.edits_of(state.facts["edits"])
        self.own_sentences = [own_sentence(edit.query.text, edit.target) for edit in self.edits]
        self.demonstrations = list(state.facts["demonstrations"])
        self.lengths.clear()

    def _prompt(self, probe: Probe) -> tuple[Probe, dict[str, int]]:
        image = probe.query.image
        if self.editor.settings.user_port_image == "edit" and _is_user_portability(probe):
            image = self.edits[-1].query.image
        kept, length = self._fit(probe, image)
        limit = self.backbone.max_positions
        runs_on = self.editor.settings.context_overflow == "run on"
        if length > limit and (self.backbone.learned_positions or not runs_on):
            way_out = (
                f"set {self.editor.name}.demonstrations below {kept}, or --protocol strict, which drops the farthest"
                if kept
                else "no demonstration is left to drop; shorten the edit's description or the question"
            )
            raise CannotAskError(
                f"{self.editor.name}: the prompt of {shortened(probe.query.text)} has {length} positions and "
                f"{self.backbone.name} holds {limit}; {way_out}"
            )
        notes = {"demonstrations": kept + len(self.own_sentences), "context_tokens": length}
        return replace(probe, query=Query(self._context(kept) + probe.query.text, image)), notes

    def _fit(self, probe: Probe, image: ImageRef | None) -> tuple[int, int]:
        """Return how many demonstrations fit, and the length of the prompt with them."""

        def length(kept: int) -> int:
            return self.backbone.length(Query(self._context(kept) + probe.query.text, image), probe.target)

        kept, limit = len(self.demonstrations), self.backbone.max_positions
        if self.editor.settings.context_overflow == "run on":
            return kept, length(kept)
        # Long texts are slow to tokenise: guess from the demonstrations' own lengths, then make sure.
        kept = self._guess(limit - length(0))
        taken = length(kept)
        while kept and taken > limit:
            kept -= 1
            taken = length(kept)
        # Joined texts are at most a few tokens shorter than apart.
        while kept < len(self.demonstrations) and taken + self._own_length(kept) - SEAM <= limit:
            longer = length(kept + 1)
            if longer > limit:
                break
            kept, taken = kept + 1, longer
        return kept, taken

    def _guess(self, room: int) -> int:
        kept = 0
        while kept < len(self.demonstrations) and self._own_length(kept) <= room:
            room -= self._own_length(kept)
            kept += 1
        return kept

    def _own_length(self, demonstration: int) -> int:
        if demonstration not in self.lengths:
            self.lengths[demonstration] = self.backbone.length(Query(self.demonstrations[demonstration]), "")
        return self.lengths[demonstration]

    def _context(self, kept: int) -> str:
        # Most similar first: the farthest stand last, so dropping them keeps the prefix that the probes share.
        last = self.edits[-1]
        return "".join([*self.demonstrations[:kept], *self.own_sentences, fact(last.query.text, last.target)])


def _is_user_portability(probe: Probe) -> bool:
    return probe.kind.name == "port" and probe.tags.get("knowledge") == "user"


@dataclass(frozen=True)
class InContext:
    """IKE, with nearest or random demonstrations."""

    name: str
    settings: IKESettings | IKERandomSettings
    retrieval: Nearest | Random

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
        yield InContextSession(self, backbone, store)


def make_ike(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> InContext:
    """IKE: the edit in the prompt, behind the nearest demonstrations."""
    del switches, seed
    values = build(IKESettings, settings, editor="ike")
    # Looked for here, before a backbone's weights are read.
    encoder_path(values.encoder)
    return InContext("ike", values, Nearest(_corpus("ike", train), values.demonstrations, values.encoder))


def make_ike_random(
    settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int
) -> InContext:
    """IKE: the edit in the prompt, behind random demonstrations."""
    del switches
    values = build(IKERandomSettings, settings, editor="ike-random")
    return InContext("ike-random", values, Random(_corpus("ike-random", train), values.demonstrations, seed))


def _corpus(name: str, train: Sequence[EditCase]) -> list[str]:
    if not train:
        raise NeedsTrainingError(
            f"{name} takes its demonstrations from training records, and there are none; of your own file "
            "NAME_eval.json they are read from NAME_train.json beside it, and from Python they are given: "
            'load_editor(…, train=open_benchmark(…).load("train", hop=0, switches=STRICT).cases)'
        )
    return [sentence for case in train for sentence in sentences(case)]
