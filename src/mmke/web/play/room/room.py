"""What all tabs share: the unedited backbone, the editors made for it, and what the unedited model answered."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from transformers.utils import logging as library

from mmke import registry
from mmke.backbones.engine.answering import answer
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.trained import check_weights, network_tensors, read, read_facts
from mmke.edits.loading import stack
from mmke.errors import UserError
from mmke.protocols import Editor, EditSession, SessionState, TrainableEditor
from mmke.running.editors import MadeEditor, make_editor
from mmke.running.fingerprint import fingerprint
from mmke.running.loading import load
from mmke.running.request import FLOOR, Request, check_request
from mmke.types import ASKED, STRICT, Answer, Ask, Edit, EditCase, Probe, Query
from mmke.web.play import PlaySettings
from mmke.web.play.gallery import KINDS

REMEMBERED = 2_000
"""Answers of the unedited model that are kept."""


class Offer(NamedTuple):
    """An editor that can be chosen, or why not."""

    name: str
    summary: str
    reason: str | None


class Begun(NamedTuple):
    """The saved edits that every tab begins with: the editor's name, its state, and the edits."""

    editor: str
    state: SessionState
    edits: tuple[Edit, ...]


class Room:
    """The backbone, loaded; editors are made and filled when they are first chosen."""

    def __init__(self, settings: PlaySettings, tell: Callable[[str], None]) -> None:
        """Load the backbone.

        Raises:
            UserError: an unknown name, or weights that are not there.
        """
        self._request = Request(
            settings.backbone,
            None,
            (),
            checkpoints=dict(settings.checkpoints),
            device=settings.device,
            dtype=settings.dtype,
            weights=settings.weights,  # type: ignore[arg-type] # a folder or "random", as load() reads it
        )
        check_request(self._request)
        tell(f"loading {settings.backbone}")
        library.disable_progress_bar()  # type: ignore[no-untyped-call] # the page says how far it is
        self.backbone = load(self._request)
        self.store = MemoryStore()
        self.untouched = fingerprint(self.backbone.module)
        tell("looking for editors")
        self._train = _training_records()
        self._made: dict[str, MadeEditor] = {}
        self._filled: dict[str, Editor] = {}
        self._before: OrderedDict[tuple[object, ...], list[Answer]] = OrderedDict()
        self.begun = self._begin(settings) if settings.edits else None
        self.offers = [self._offer(name) for name in registry.names("editors") if name != FLOOR]

    def editor(self, name: str) -> Editor:
        """Return an editor, with its networks if it has any.

        Raises:
            UserError: there is none of this name, or it cannot be made for this backbone.
        """
        if name in self._filled:
            return self._filled[name]
        if name not in self._made:
            reasons = {offer.name: offer.reason for offer in self.offers}
            raise UserError(reasons.get(name) or f"there is no editor {name!r}")
        editor, checkpoint = self._made[name].editor, self._made[name].checkpoint
        editor.check(self.backbone)
        if checkpoint is not None and isinstance(editor, TrainableEditor):
            check_weights(checkpoint, read_facts(checkpoint)[0], revision=self.backbone.revision)
            editor.load_state_dict(self.backbone, network_tensors(read(checkpoint).tensors))
        self._filled[name] = editor
        return editor

    def unchanged(self) -> str | None:
        """Return the backbone's fingerprint; None where it is another one than at the start, which would be a bug."""
        now = fingerprint(self.backbone.module)
        return now if now == self.untouched else None

    def before(self, probes: Sequence[Probe], ask: Ask) -> list[Answer]:
        """Return what the unedited model answers."""
        key = (ask, *(probe.query for probe in probes))
        if key not in self._before:
            self._before[key] = answer(self.backbone, probes, ask, store=self.store)
            if len(self._before) > REMEMBERED:
                self._before.popitem(last=False)
        return self._before[key]

    def _begin(self, settings: PlaySettings) -> Begun:
        """Put saved edits in force once, and keep the state and the editor, which has the settings of then."""
        checkpoint = next(iter(settings.checkpoints.values()), None)
        saved = stack(settings.edits, checkpoint=checkpoint)
        with saved.open(self.backbone, self.store) as session:
            state = session.state()
        self._filled[saved.editor.name] = saved.editor.editor
        return Begun(saved.editor.name, state, tuple(edit for batch in saved.batches for edit in batch))

    def _offer(self, name: str) -> Offer:
        summary = registry.summary(registry.import_string("editors", name))
        if name in self._filled:
            return Offer(name, summary, None)
        try:
            self._made[name] = make_editor(self._request, name, None, train=self._train)
            self._made[name].editor.check(self.backbone)
        except UserError as error:
            self._made.pop(name, None)
            return Offer(name, summary, str(error))
        return Offer(name, summary, None)


def writing(most: int) -> Ask:
    """Return how a question is asked whose answer the model writes by itself."""
    return Ask(decode="generate", max_new=most)


def probe(query: Query) -> Probe:
    """Return a question without a gold answer."""
    return Probe(ASKED, query, "")


def said(session: EditSession, query: Query, ask: Ask) -> Answer:
    """Return what an edited model answers."""
    return session.answer([probe(query)], ask)[0]


def _training_records() -> list[EditCase]:
    """Return the embedded training records, from which IKE takes its demonstrations."""
    return [
        case for name in KINDS for case in open_benchmark(name, data=None).load("train", hop=0, switches=STRICT).cases
    ]
