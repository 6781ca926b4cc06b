"""What one tab has: its edits one on top of the other, a column for each editor, and what was answered.

Everything here runs in the worker's thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mmke import steps
from mmke.errors import UserError
from mmke.types import Ask, Edit, Probe, Query
from mmke.web.play.panel import WORDS
from mmke.web.play.room.column import Column, Layer
from mmke.web.play.room.room import Room, probe, said, writing
from mmke.web.play.room.telling import Quiet, Telling
from mmke.web.play.worker import Job

BEFORE = "before"
"""The column of the unedited model."""
MOST_EDITS = 20
"""Edits on top of each other."""
MOST_ANSWERS = 30
"""Answers that are kept for a page to share."""
ASK_PANEL = Ask(decode="generate", max_new=16)
"""How the questions of the panel are asked."""


@dataclass
class Answered:
    """A question with its answers, and how many edits were in the edited models."""

    query: Query
    before: str
    edits: int
    after: dict[str, str] = field(default_factory=dict)
    words: str = ""

    def shown(self) -> dict[str, object]:
        """Return a question of the panel as the page shows it, before the edited models answer."""
        picture = self.query.image and self.query.image.sha256
        return {"words": self.words, "question": self.query.text, "picture": picture, "before": self.before}


class Desk:
    """The edits and columns of one tab."""

    def __init__(self, room: Room) -> None:
        """Begin without edits."""
        self.room = room
        self.layers: list[Layer] = []
        self.answers: list[Answered] = []
        self.panel: list[Answered] = []
        self._columns: dict[str, Column] = {}

    def begin(self) -> None:
        """Take over the saved edits that every tab begins with, if there are any."""
        if self.room.begun is not None:
            column = Column(self.room, self.room.begun.editor)
            column.load(self.room.begun.state)
            self.layers, self._columns = [self.room.begun.edits], {column.name: column}

    @property
    def edits(self) -> list[Edit]:
        """Return all edits, the oldest first."""
        return [edit for layer in self.layers for edit in layer]

    def ask(self, job: Job, query: Query, editors: Sequence[str], most: int) -> None:
        """Ask the unedited model and each editor's."""
        answered = self._asked_before(job, query, most)
        for name in editors:
            self._ask_after(job, answered, self.column(job, name), most)

    def edit(self, job: Job, edit: Edit, editors: Sequence[str], besides: Sequence[Probe], most: int) -> None:
        """Put an edit on top, ask its own question before and after, and then what is asked besides.

        Raises:
            UserError: no editor can take it; then it is not put on top.
        """
        if len(self.edits) >= MOST_EDITS:
            raise UserError(f"There are {MOST_EDITS} edits on top of each other, and no more; undo some.")
        answered = self._asked_before(job, edit.query, most)
        for name in editors:
            self.column(job, name)
        self.layers.append((edit,))
        try:
            done = [name for name in editors if self._edit_one(job, name, answered, most)]
            self._check_taken(done, editors)
        except BaseException:
            self._take_back(len(self.layers) - 1)
            raise
        self._tell_stack(job)
        self._ask_besides(job, besides, done)

    def repeat(self, job: Job, edits: Sequence[Edit], editors: Sequence[str]) -> None:
        """Make edits again, in place of those that are there."""
        self._take_back(0)
        try:
            for edit in edits[:MOST_EDITS]:
                self.layers.append((edit,))
                for name in editors:
                    self.column(job, name)
        except BaseException:
            self._take_back(0)
            raise
        self._tell_stack(job)

    def undo(self, job: Job, *, everything: bool) -> None:
        """Take the last edit back, or all, and say whether the backbone's bits are those of the start."""
        self._take_back(0 if everything else max(len(self.layers) - 1, 0))
        self._tell_stack(job)
        found = self.room.unchanged()
        job.tell("fingerprint", value=found or "", same=found is not None)

    def load(self, job: Job, column: Column, edits: Layer) -> None:
        """Take over a saved session in place of everything that is there."""
        self.close()
        self.layers = [edits]
        self._columns = {column.name: column}
        self._tell_stack(job)

    def column(self, job: Job | None, name: str) -> Column:
        """Return an editor's column with all edits in it.

        Raises:
            UserError: there is no such editor, or it cannot be made.
        """
        if name not in self._columns:
            self._columns[name] = Column(self.room, name)
        column = self._columns[name]
        for number, layer in enumerate(self.layers[column.depth :], column.depth + 1):
            if job is None:
                column.apply(layer)
                continue
            job.tell("say", column=name, words=f"making edit {number} of {len(self.layers)}")
            with steps.watched(Telling(job, self.room.backbone, name)):
                column.apply(layer)
        return column

    def digest(self, name: str) -> str:
        """Return a digest of every bit of an editor's state."""
        return self.column(None, name).digest()

    def close(self) -> None:
        """End all sessions."""
        for column in self._columns.values():
            column.close()
        self._columns = {}
        self.layers = []

    def _edit_one(self, job: Job, name: str, answered: Answered, most: int) -> bool:
        column = self.column(job, name)
        reason = column.refused.get(len(self.layers) - 1)
        if reason is not None:
            job.tell("refused", column=name, message=reason)
            return False
        answered.edits = len(self.edits)
        self._ask_after(job, answered, column, most)
        return True

    def _check_taken(self, done: Sequence[str], editors: Sequence[str]) -> None:
        if not done:
            reasons = {self._columns[name].refused[len(self.layers) - 1] for name in editors}
            raise UserError("; ".join(sorted(reasons)))

    def _take_back(self, depth: int) -> None:
        del self.layers[depth:]
        for column in self._columns.values():
            column.back_to(depth)

    def _asked_before(self, job: Job, query: Query, most: int) -> Answered:
        job.tell("say", column=BEFORE, words="asking the unedited model")
        with steps.watched(Telling(job, self.room.backbone, BEFORE)):
            answer = self.room.before([probe(query)], writing(most))[0]
        job.tell("answer", column=BEFORE, text=answer.text, cut=answer.finished is False)
        answered = Answered(query, answer.text, len(self.edits))
        self.answers = [*self.answers, answered][-MOST_ANSWERS:]
        return answered

    def _ask_after(self, job: Job, answered: Answered, column: Column, most: int) -> None:
        job.tell("say", column=column.name, words="asking the edited model" if self.layers else "asking")
        with steps.watched(Telling(job, self.room.backbone, column.name)):
            answer = said(column.session, answered.query, writing(most))
        answered.after[column.name] = answer.text
        job.tell(
            "answer",
            column=column.name,
            text=answer.text,
            cut=answer.finished is False,
            moved=answer.text != answered.before,
        )

    def _ask_besides(self, job: Job, probes: Sequence[Probe], editors: Sequence[str]) -> None:
        probes = [each for each in probes if self.room.backbone.problems(each.query, "", ASK_PANEL) is None]
        quiet = Quiet(job, self.room.backbone, BEFORE)
        job.tell("say", column="panel", words="asking other questions")
        with steps.watched(quiet):
            before = self.room.before(probes, ASK_PANEL)
        self.panel = [
            Answered(each.query, answer.text, len(self.edits), words=WORDS[each.kind.name])
            for each, answer in zip(probes, before, strict=True)
        ]
        job.tell("panel", rows=[each.shown() for each in self.panel])
        for name in editors:
            job.tell("say", column="panel", words=f"asking other questions of {name}")
            with steps.watched(quiet):
                after = self.column(job, name).session.answer(probes, ASK_PANEL)
            for each, answer in zip(self.panel, after, strict=True):
                each.after[name] = answer.text
            told = [{"text": each.after[name], "moved": each.after[name] != each.before} for each in self.panel]
            job.tell("panel-after", column=name, answers=told)

    def _tell_stack(self, job: Job) -> None:
        refused = {name: sorted(column.refused) for name, column in self._columns.items()}
        job.tell("stack", edits=[plain(edit) for edit in self.edits], refused=refused)


def plain(edit: Edit) -> dict[str, object]:
    """Return an edit as the page shows it, and can send it again."""
    picture = edit.query.image and edit.query.image.sha256
    return {"question": edit.query.text, "target": edit.target, "picture": picture}
