"""What a job, a worker's desk and a pool of workers promise.

A pool has two calls: "do this job" (`give`) and "what happened next" (`next`). Who gives jobs is `dispatch.py`; the
pools are `processes.py` (plain processes of this machine) and `ray.py` (the cards of a machine or of a cluster).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")

MOST_STARTS = 3
"""How often a pool starts a worker again in a row without a job done."""


@dataclass
class Desk:
    """What one worker has at hand, and keeps from job to job.

    Attributes:
        number: of the worker, from 0.
        neighbours: how many workers share this machine's memory, this one included.
        send: hands a result to whoever gave the job, at once; results are pickled.
    """

    number: int
    neighbours: int
    send: Callable[[Any], None]
    _kept: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def keep(self, what: str, key: object, make: Callable[[], T]) -> T:
        """Return what is kept under a name; what was kept for another key is let go before the new one is made.

        Args:
            what: a name, such as "backbone": one thing is kept of each.
            key: what it was made for; compared with `==`.
            make: makes it where there is none for this key.
        """
        if what in self._kept and self._kept[what][0] == key:
            kept: T = self._kept[what][1]
            return kept
        self._kept.pop(what, None)
        made = make()
        self._kept[what] = key, made
        return made


@runtime_checkable
class Job(Protocol):
    """What one worker does at a time; it is pickled.

    Attributes:
        name: what messages call it, such as "records 8 to 12 of mini-entity".
        part_of: what it belongs to, together with other jobs, such as "floor of mini-entity".
        needs: such names; the job begins when no job is left that is part of one of them.
    """

    @property
    def name(self) -> str: ...
    @property
    def part_of(self) -> str: ...
    @property
    def needs(self) -> frozenset[str]: ...

    def do(self, desk: Desk) -> None:
        """Do it, in the worker; results go to `desk.send` as soon as they are there.

        Raises:
            UserError: a mistake that another try would meet again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker says of itself when it has started, before it gets a job.

    Attributes:
        host: name of its machine.
        pid: of its process there.
        code: digest of the package's source files.
        versions: of Python and of the libraries that decide the rows.
        cards: the models of the GPUs that it sees; none: it computes on the processor.
        processor: model of the processor.
        threads: of the processor that it computes with.
    """

    host: str
    pid: int
    code: str
    versions: Mapping[str, str | None]
    cards: tuple[str, ...]
    processor: str
    threads: int


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has started and waits for its first job."""

    worker: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Result:
    """A worker sent a result of the job that it does."""

    worker: int
    content: Any


@dataclass(frozen=True, slots=True)
class Done:
    """A worker has done its job and waits for the next."""

    worker: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker's job ended with an error, and the worker waits for the next.

    Attributes:
        worker: its number.
        error: the error itself where it can be pickled, else a `RuntimeError` with its text.
        trace: the traceback as text.
    """

    worker: int
    error: Exception
    trace: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker ended without having been asked to: it was killed, its machine is gone, or it could not start.

    Attributes:
        worker: its number.
        why: in a few words, such as "killed by signal 9".
        log: the last lines of what it wrote to its log.
        restarts: whether the pool starts it again; `Ready` then says when it is back.
    """

    worker: int
    why: str
    log: str
    restarts: bool


Event = Ready | Result | Done | Failed | Lost


@runtime_checkable
class Pool(Protocol):
    """Some workers. They start when the pool is entered, and end when it is left, whatever they do then.

    A worker that is lost is started again, at most `MOST_STARTS` times in a row without a job done.

    Attributes:
        size: how many workers there are.
    """

    @property
    def size(self) -> int: ...

    def give(self, worker: int, job: Job) -> None:
        """Let a worker that waits do a job."""
        ...

    def next(self) -> Event:
        """Wait for what happens next. Results of one worker come in the order in which it sent them."""
        ...

    def dismiss(self, worker: int) -> None:
        """End a worker for good; nothing more is heard of it."""
        ...
