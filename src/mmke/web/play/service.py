"""What the page's calls do. It knows tabs, pictures and the worker, and nothing of requests.

What needs the model is a `Job`, which runs in the worker's thread and tells of itself by events.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmke.errors import UserError
from mmke.types import Edit, EditCase, ImageRef, Query
from mmke.web.play import PlaySettings
from mmke.web.play.asks import AskEdit, AskQuestion, AskRepeat, AskSave, AskUndo, PlainEdit
from mmke.web.play.begun import Begun
from mmke.web.play.gallery import Gallery
from mmke.web.play.panel import panel
from mmke.web.play.tabs import Tab, Tabs
from mmke.web.play.uploads import Uploads
from mmke.web.play.worker import Event, Job, Worker

if TYPE_CHECKING:
    from mmke.web.play.room.desk import Desk
    from mmke.web.play.room.room import Room

logger = logging.getLogger(__name__)


class AtWorkError(UserError):
    """Something is being done for this tab already."""


class Service:
    """Answers the page's calls."""

    def __init__(self, settings: PlaySettings, folder: Path) -> None:
        """Keep uploaded pictures in a folder of the server's own."""
        self.settings = settings
        self.gallery = Gallery()
        self.uploads = Uploads(folder)
        self.begun = Begun(settings.edits, self.uploads)
        self.worker = Worker()
        self.tabs = Tabs(self._put_away)
        self._room: Room | None = None
        self._state, self._told = "loading", "starting"

    def start(self) -> None:
        """Let the worker load the model."""
        self.worker.start(self._load)

    def state(self) -> Event:
        """Return how far the model is, and what can be chosen when it is there."""
        room = self._room
        if room is None:
            return {"state": self._state, "message": self._told}
        return {
            "state": "ready",
            "editors": [offer._asdict() for offer in room.offers],
            "fingerprint": room.untouched,
            "precision": str(room.backbone.dtype).removeprefix("torch."),
        }

    def about(self) -> Event:
        """Return what the page needs first."""
        return {
            "backbone": self.settings.backbone,
            "device": self.settings.device,
            "gallery": self.gallery.shown(),
            "example": self.gallery.example(),
        }

    def open(self, name: str | None) -> Event:
        """Return a tab: the one of this name with what is in it, or a new one."""
        tab, new = self.tabs.open(name)
        return {"tab": tab.id, "new": new, "edits": self.begun.edits if tab.desk is None else _edits(tab.desk)}

    def picture(self, name: str) -> ImageRef | None:
        """Return a picture by the digest of its bytes."""
        return self.gallery.pictures.get(name) or self.uploads.get(name) or self.begun.picture(name)

    def ask(self, ask: AskQuestion) -> Job:
        """Ask a question before and after the edits."""
        query = self._query(ask.question, ask.picture)
        return self._job(ask.tab, lambda job, desk: desk.ask(job, query, ask.editors, ask.most))

    def edit(self, ask: AskEdit) -> Job:
        """Make an edit, and show what it changed."""
        edit, case = self._edit(ask.edit)
        besides = panel(edit, case, list(self.gallery.cases.values()))
        return self._job(ask.tab, lambda job, desk: desk.edit(job, edit, _distinct(ask.editors), besides, ask.most))

    def repeat(self, ask: AskRepeat) -> Job:
        """Make the edits of a session that is gone again."""
        edits = [self._edit(each)[0] for each in ask.edits]
        return self._job(ask.tab, lambda job, desk: desk.repeat(job, edits, _distinct(ask.editors)))

    def undo(self, ask: AskUndo) -> Job:
        """Take the last edit back, or all."""
        return self._job(ask.tab, lambda job, desk: desk.undo(job, everything=ask.all))

    def save(self, ask: AskSave) -> Job:
        """Write the edits of one editor; the event `file` has the bytes."""

        def work(job: Job, desk: "Desk") -> None:
            from mmke.web.play.room.saved import pack

            if not desk.edits:
                raise UserError("There are no edits to save yet.")
            job.tell("file", content=pack(ask.editor, desk.column(job, ask.editor).state(), desk.edits))

        return self._job(ask.tab, work)

    def load(self, tab: str, content: bytes) -> Job:
        """Take over edits from a file."""

        def work(job: Job, desk: "Desk") -> None:
            from mmke.web.play.room.column import Column
            from mmke.web.play.room.saved import unpack

            loaded = unpack(content, self.picture, self.uploads.take)
            column = Column(desk.room, loaded.editor)
            column.load(loaded.state)
            desk.load(job, column, loaded.edits)
            job.tell("loaded", column=loaded.editor)

        return self._job(tab, work)

    def share(self, tab: str) -> Job:
        """Make a page of the last answers; the event `file` has its text."""

        def work(job: Job, desk: "Desk") -> None:
            from mmke.web.play.sharing import shared

            job.tell("file", content=shared(self.settings, desk).encode())

        return self._job(tab, work)

    def close(self) -> None:
        """End the worker."""
        self.worker.close()

    def _job(self, name: str, work: Callable[[Job, "Desk"], None]) -> Job:
        """Put something to do for a tab behind what waits.

        Raises:
            AtWorkError: something is being done for it already.
            GoneError: there is no such tab.
            BusyError: too much waits.
        """
        tab = self.tabs.get(name)
        if tab.busy:
            raise AtWorkError("This tab is still at work; wait until that is done, or stop it.")
        job = Job(lambda job: work(job, self._desk(tab)))
        job.on_end = lambda: self._free(tab)
        before = self.worker.put(job)
        tab.busy = True
        if before:
            job.tell("waiting", before=before)
        return job

    def _free(self, tab: Tab) -> None:
        tab.busy = False
        if not tab.left:
            tab.seen = self.tabs.now()

    def _desk(self, tab: Tab) -> "Desk":
        if self._room is None:
            raise UserError(f"The model is not there: {self._told}")
        from mmke.web.play.room.desk import Desk

        if tab.desk is None:
            tab.desk = Desk(self._room)
            tab.desk.begin()
        return tab.desk

    def _put_away(self, tab: Tab) -> None:
        desk, tab.desk = tab.desk, None
        if desk is not None:
            self.worker.later(desk.close)

    def _load(self) -> None:
        self._told = "starting PyTorch"
        try:
            from mmke.web.play.room.room import Room

            self._room = Room(self.settings, self._tell)
        except UserError as error:
            self._state, self._told = "failed", str(error)
            logger.warning("%s", error)

    def _tell(self, words: str) -> None:
        self._told = words

    def _edit(self, plain: PlainEdit) -> tuple[Edit, EditCase | None]:
        edit = Edit(self._query(plain.question, plain.picture), plain.target.strip())
        if not edit.target:
            raise UserError("Write what the model should answer.")
        named = None if plain.record is None else self.gallery.cases.get(plain.record)
        return edit, named or self.gallery.pictured(edit.query.image)

    def _query(self, question: str, picture: str | None) -> Query:
        if not question.strip():
            raise UserError("Write a question.")
        image = None if picture is None else self.picture(picture)
        if picture is not None and image is None:
            raise UserError("This picture is not kept any more; choose it again.")
        return Query(question.strip(), image)


def _edits(desk: "Desk") -> list[dict[str, Any]]:
    from mmke.web.play.room.desk import plain

    return [plain(edit) for edit in desk.edits]


def _distinct(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
