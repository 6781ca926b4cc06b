"""Progress as the page sees it: steps, words and tokens of one column, not more often than can be looked at."""

import time
from collections.abc import Sequence

from mmke.protocols import Backbone
from mmke.steps import Loss
from mmke.web.play.worker import Job, StoppedError

SECONDS = 0.05
"""Between two events."""


class Telling:
    """A watcher that tells a job; it ends the work where nobody waits for it any more."""

    def __init__(self, job: Job, backbone: Backbone, column: str) -> None:
        """Tell of what happens in a column."""
        self._job, self._backbone, self._column = job, backbone, column
        self._last = 0.0

    def step(self, done: int, total: int, loss: Loss | None) -> None:
        """Tell of a step; the last one always."""
        if self._due() or done == total:
            self._tell("step", done=done, total=total, loss=None if loss is None else loss())

    def say(self, words: str) -> None:
        """Tell what is done now."""
        self._tell("say", words=words)

    def wrote(self, query: int, ids: Sequence[int]) -> None:
        """Tell what is written so far."""
        if self._due():
            self._tell("text", text=self._backbone.text(ids).strip())

    def _due(self) -> bool:
        if self._job.stopped.is_set():
            raise StoppedError
        now = time.monotonic()
        if now - self._last < SECONDS:
            return False
        self._last = now
        return True

    def _tell(self, event: str, **more: object) -> None:
        self._job.tell(event, column=self._column, **more)


class Quiet(Telling):
    """The same without words, for what is asked in one go: it only ends the work."""

    def _tell(self, event: str, **more: object) -> None:
        pass
