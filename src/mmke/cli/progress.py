"""How far a long command has come: a bar on a terminal; in a file or a pipe a line from time to time."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)

FIRST = 30.0
"""Seconds before the first line. Each later one waits at least as long, and at least a tenth of the time so far."""

AT_ONCE = 1e-4
"""Seconds; a record that follows sooner was finished by an earlier command and says nothing of the rate. Records of
several workers can come close together, but each is written in between, which takes longer."""


class Shown(Protocol):
    """What a command tells its progress to."""

    def step(self) -> None: ...
    def reach(self, done: int) -> None: ...


@contextmanager
def progress(total: int, *, initial: int = 0, silent: bool = False) -> Iterator[Shown]:
    """Show how many of `total` records are done, the rate and the time left; nothing if `silent`."""
    if silent or sys.stderr is None or not sys.stderr.isatty():
        yield Lines(total, initial, silent=silent)
        return
    from tqdm import tqdm

    with tqdm(total=total, initial=initial, unit="record", smoothing=0) as bar:
        yield _Bar(bar)


class _Counting:
    """Counts records, and finds out from which of them on the rate is counted.

    That is the first one that this command has done: what comes before it is the start of workers and the loading of
    the model.
    """

    def __init__(self, done: int) -> None:
        self.done = done
        self._last = -AT_ONCE
        self._begins = True

    def step(self) -> None:
        """One more record is done."""
        self.reach(self.done + 1)

    def reach(self, done: int) -> None:
        """So many records are done in all."""
        now = time.monotonic()
        before = now - self._last < AT_ONCE
        anew, self._begins = before or self._begins, before
        self.done, self._last = done, now
        self._show(now, anew=anew)

    def _show(self, now: float, *, anew: bool) -> None:
        raise NotImplementedError


class _Bar(_Counting):
    def __init__(self, bar: "tqdm[None]") -> None:
        super().__init__(int(bar.n))
        self.bar = bar

    def _show(self, now: float, *, anew: bool) -> None:
        if anew:
            self.bar.start_t, self.bar.initial = time.time(), self.done
        self.bar.update(self.done - self.bar.n)


class Lines(_Counting):
    """Progress as lines for a file: few, and none where a command ends soon."""

    def __init__(self, total: int, initial: int = 0, *, silent: bool = False, of: str = "records") -> None:
        super().__init__(initial)
        now = time.monotonic()
        self.total, self.silent, self.of = total, silent, of
        self.began, self.told = now, now
        self.counted_from = (now, initial)

    def _show(self, now: float, *, anew: bool) -> None:
        if anew:
            self.counted_from = (now, self.done)
        if not self.silent and now - self.told >= max(FIRST, (now - self.began) / 10):
            self.told = now
            self._tell(now)

    def _tell(self, now: float) -> None:
        begin, already = self.counted_from
        rate = (self.done - already) / (now - begin) if now > begin else 0.0
        if rate <= 0:
            logger.info("%d of %d %s", self.done, self.total, self.of)
            return
        left = (self.total - self.done) / rate
        done = f"{self.done} of {self.total} {self.of}"
        logger.info("%s, %s a minute, %s left", done, rounded(60 * rate), duration(left))


def rounded(rate: float) -> str:
    """Return a rate for people: three digits, or all that stand before the point."""
    return f"{rate:.3g}" if rate < 100 else f"{rate:,.0f}"


def duration(seconds: float) -> str:
    """Return a time in words: seconds, minutes, or hours and minutes."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
