"""What sources, writers and rules promise, and what a stage tells.

A source is made by `make(project) -> Source`, a writer by `make(project) -> Writer`; both read their own table of
`build.toml` with `project.settings_of`. Other packages register theirs under
`mmke.sources`, `mmke.writers` and `mmke.rules`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from mmke.build.content import Draft, Edit, EditTexts, Picture, Plan, Thing
from mmke.build.record import Record
from mmke.build.settings import Settings
from mmke.build.words import Words


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture that a source knows of; it is read when it is wanted.

    Attributes:
        origin: its address, or a package and the file in it.
        author: as stated, without markup.
        licence: as stated; `collect` normalises it.
        licence_url: where its text is, or empty.
        read: returns the file's bytes. Raises `UserError` where it cannot be had, with the reason, and
            `UnreachableError` where it cannot be had now.
        version: differs where the file's content differs, such as its digest, as far as that is known without reading.
    """

    origin: str
    author: str
    licence: str
    licence_url: str
    read: Callable[[], bytes]
    version: str = ""


@dataclass(frozen=True, slots=True)
class FoundThing:
    """A thing as a source describes it, with its pictures in order of preference."""

    thing: Thing
    pictures: tuple[FoundPicture, ...]


@runtime_checkable
class Source(Protocol):
    """Where things and pictures come from."""

    name: str
    by: Mapping[str, str]
    """What the logs say of who made it, such as `{"source": "wikidata", "endpoint": …}`."""

    def list(self) -> Sequence[str]:
        """Return the ids of the things that it has, always in the same order.

        Raises:
            UserError: it cannot be read or reached.
        """
        ...

    def find(self, id_: str) -> FoundThing:
        """Return one of them.

        Raises:
            UserError: this thing cannot be used; the message is the reason. Others go on.
            UnreachableError: the source does not answer. The stage ends, and goes on when it is run again.
        """
        ...


@runtime_checkable
class Writer(Protocol):
    """Who puts drafts and plans into words. The answers are given: a writer words, and decides nothing.

    A writer may have an attribute `at_once`, how many texts it can be asked for at a time from different threads
    (without it: one), and methods `estimate(drafts) -> str`, which says what they would cost, and `summary() -> str`,
    which says at the end of a stage what was used.
    """

    name: str
    by: Mapping[str, str]
    """What the logs say of who made it: the writer, its version or its model and prompt version."""

    def describe(self, draft: Draft) -> EditTexts:
        """Put an edit into words.

        Raises:
            CannotWriteError: this one cannot be written; others go on.
        """
        ...

    def ask(self, edit: Edit, plans: Sequence[Plan]) -> Sequence[str]:
        """Put questions into words, one for each plan and in their order.

        Raises:
            CannotWriteError: these cannot be written; others go on.
        """
        ...


@runtime_checkable
class Shown(Protocol):
    """What a stage tells of its progress."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Begin a stage of `total` steps, of which `done` were made by an earlier command."""
        ...

    def step(self) -> None:
        """One more is done."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage did.

    Attributes:
        made: how many lines are new.
        kept: how many were there already, of the same inputs.
        refused: ids that are left out, with the reason.
        notes: what else the user should know, line by line.
    """

    made: int
    kept: int
    refused: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says against a record.

    Attributes:
        record: its id.
        rule: name of the rule.
        place: the text (`Record.texts`) or picture ("pictures.edit") that is meant.
        message: what is wrong there, with the words that are meant.
    """

    record: str
    rule: str
    place: str
    message: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.record}: {self.rule}: {self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule may hold a record against.

    Attributes:
        records: all of them.
        settings: the project's.
        words: how the project's relations and types are put into words.
        pictures: every picture that was collected, by its id.
        folder: of the pictures' files.
    """

    records: Sequence[Record]
    settings: Settings
    words: Words
    pictures: Mapping[str, Picture]
    folder: Path


@runtime_checkable
class Rule(Protocol):
    """A test that a record passes before a person looks at it; made by `make() -> Rule`. It never repairs anything."""

    name: str
    reason: str
    """Why it is asked for, in one sentence for the user."""

    def find(self, record: Record, scope: Scope) -> Iterable[Finding]:
        """Return what is wrong with a record."""
        ...
