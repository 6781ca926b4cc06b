"""Asks the model, in the one thread that has it. It knows nothing of requests.

A picture is decoded, made smaller and written anew for the time of its question, and deleted afterwards.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Event as Flag
from typing import TYPE_CHECKING, Any

from mmke import steps
from mmke.errors import UserError
from mmke.types import ASKED, Answer, Ask, ImageRef, Probe, Query
from mmke.web.play.uploads import clean
from mmke.web.play.worker import Event, Job, StoppedError, Worker
from mmke.web.serve.asks import Asked
from mmke.web.serve.replies import RefusedError, released

if TYPE_CHECKING:
    from mmke.edits.answering import Answering, Opened


class Service:
    """Answers questions of the unedited model and, where something is edited, of the edited one."""

    def __init__(self, answering: "Answering", *, edited: str | None, folder: Path) -> None:
        """Take what answers.

        Args:
            answering: the model and what is edited in it.
            edited: what the edited model is called; None: nothing is edited.
            folder: of the server's own, for pictures while they are looked at.
        """
        self._answering, self._edited, self._folder = answering, edited, folder
        self._stack = ExitStack()
        self._opened: Opened | None = None
        self._failed: BaseException | None = None
        self._ready = Flag()
        self.worker = Worker()

    @property
    def models(self) -> list[str]:
        """Return who can be asked, the edited model first."""
        return [*([] if self._edited is None else [self._edited]), self._answering.backbone]

    def load(self) -> None:
        """Load the model in the worker's thread, and wait for it.

        Raises:
            UserError: it cannot be loaded.
        """
        self.worker.start(self._load)
        self._ready.wait()
        if self._failed is not None:
            raise self._failed

    def picture(self, asked: Asked) -> bytes | None:
        """Return the picture of a request as a plain PNG; decoding takes a moment, so not in the server's loop.

        Raises:
            RefusedError: it cannot be read.
        """
        try:
            return None if asked.picture is None else clean(asked.picture)
        except UserError as error:
            raise RefusedError(f"image_url: {error}", param="messages", code="invalid_image") from error

    def check(self, model: str) -> None:
        """Refuse a model that is not served.

        Raises:
            RefusedError: the message names those that are.
        """
        if model not in self.models:
            told = f"There is no model {model!r}; there are {', '.join(self.models)}."
            raise RefusedError(told, status=404, param="model", code="model_not_found")

    def ask(self, asked: Asked, picture: bytes | None) -> Job:
        """Return a job that answers; made in the server's loop.

        Raises:
            BusyError: too much waits.
        """
        job = Job(lambda job: self._answer(job, asked, picture))
        self.worker.put(job)
        return job

    def close(self) -> None:
        """Leave the session, which undoes the edit, and end the thread."""
        self.worker.later(self._stack.close)
        self.worker.close()

    def _load(self) -> None:
        try:
            self._opened = self._stack.enter_context(self._answering.open())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._failed = error
        finally:
            self._ready.set()

    def _answer(self, job: Job, asked: Asked, picture: bytes | None) -> Event:
        assert self._opened is not None  # noqa: S101 - nothing is served before it is
        with NamedTemporaryFile(dir=self._folder, suffix=".png") as file:
            image = None
            if picture is not None:
                file.write(picture)
                file.flush()
                image = ImageRef(Path(file.name), hashlib.sha256(picture).hexdigest())
            return self._said(job, asked, Query(asked.question, image), self._opened)

    def _said(self, job: Job, asked: Asked, query: Query, opened: "Opened") -> Event:
        problem = opened.backbone.problems(query, "", Ask(decode="generate"))
        if problem is not None:
            return {"refused": problem}
        unedited = asked.model != self._edited
        answerer = opened.backbone if unedited else opened.answers
        told = _Pieces(job, opened.backbone.text, asked.stops)
        with steps.watched(told):
            answer = answerer.answer([Probe(ASKED, query, "")], Ask(decode="generate", max_new=asked.most))[0]
        text = released(answer.text, asked.stops, final=True)
        told.finish(text)
        prompt, written = opened.backbone.length(query, ""), len(answer.token_ids)
        return {
            "text": text,
            "finish_reason": "stop" if answer.finished or text != answer.text else "length",
            "usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
            "mmke": _about(answer, edited=not unedited),
        }


def _about(answer: Answer, *, edited: bool) -> Mapping[str, Any]:
    """Return what only this server tells: whether the edited model answered, and what a gate or memory decided."""
    return {"edited": edited, "notes": dict(answer.notes)}


class _Pieces:
    """A watcher that tells a job the text as it grows; it ends the work where nobody waits for it any more."""

    def __init__(self, job: Job, text: Callable[[Sequence[int]], str], stops: tuple[str, ...]) -> None:
        self._job, self._text, self._stops, self._sent = job, text, stops, ""

    def step(self, done: int, total: int, loss: steps.Loss | None) -> None:
        pass

    def say(self, words: str) -> None:
        pass

    def wrote(self, query: int, ids: Sequence[int]) -> None:
        if self._job.stopped.is_set():
            raise StoppedError
        # Blanks at the end are sent with what follows them: at the end of an answer they are no part of it.
        self._send(released(self._text(ids).lstrip(), self._stops, final=False).rstrip())

    def finish(self, text: str) -> None:
        """Tell the rest of the whole answer."""
        self._send(text)

    def _send(self, text: str) -> None:
        if text.startswith(self._sent) and text != self._sent:
            self._job.tell("piece", text=text[len(self._sent) :])
            self._sent = text
