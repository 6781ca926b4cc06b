"""A project: its folder, its settings, its logs, and the lock that keeps a second program out."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from mmke.build.content import Content, Edit, Picture, Questions, Thing, Verdict
from mmke.build.log import Log
from mmke.build.settings import BUILD, Model, Settings, checked, read_settings
from mmke.build.user_words import UserWords, read_user_words
from mmke.build.words import Words, read_words
from mmke.errors import UserError

LOCK = ".lock"


class Tags(Content):
    """What an unedited model knows of one record: a line of `tags.jsonl`."""

    tags: dict[str, str]


@dataclass(frozen=True)
class Project:
    """An open project; made by `open_project`. Logs are read when they are first asked for."""

    folder: Path
    settings: Settings
    words: Words

    @property
    def pictures_folder(self) -> Path:
        """Return the folder of the pictures' files."""
        return self.folder / "pictures"

    @cached_property
    def things(self) -> Log[Thing]:
        """Return what was collected."""
        return Log(self.folder / "things.jsonl", Thing)

    @cached_property
    def pictures(self) -> Log[Picture]:
        """Return the pictures that were collected, refused ones included."""
        return Log(self.folder / "pictures.jsonl", Picture)

    @cached_property
    def edits(self) -> Log[Edit]:
        """Return the edits."""
        return Log(self.folder / "edits.jsonl", Edit)

    @cached_property
    def questions(self) -> Log[Questions]:
        """Return the questions of the records, by the records' ids."""
        return Log(self.folder / "questions.jsonl", Questions)

    @cached_property
    def tags(self) -> Log[Tags]:
        """Return what an unedited model knows of the records, by the records' ids."""
        return Log(self.folder / "tags.jsonl", Tags)

    @cached_property
    def verdicts(self) -> Log[Verdict]:
        """Return the verdicts; the id of a line is unique, its content names the record."""
        return Log(self.folder / "verdicts.jsonl", Verdict)

    @cached_property
    def user_words(self) -> UserWords:
        """Return what users tell of their things, in words."""
        return read_user_words(self.settings.user_words, place=f"{self.folder / BUILD} [user_words]")

    def settings_of(self, noun: Literal["sources", "writers"], name: str, model: type[Model]) -> Model:
        """Return the settings of a source or writer, `[sources.NAME]` or `[writers.NAME]`, as its own model.

        Raises:
            UserError: a key is missing, unknown or has another kind of value.
        """
        plain = getattr(self.settings, noun).get(name, {})
        return checked(model, plain, f"{self.folder / BUILD} [{noun}.{name}]")


@contextmanager
def open_project(folder: Path, *, write: bool = True) -> Iterator[Project]:
    """Open a project; for writing, only one program at a time may.

    Raises:
        UserError: the folder is no project, its settings are wrong, or another program has it open.
    """
    settings = read_settings(folder / BUILD)
    project = Project(folder, settings, read_words(settings.relations, settings.type_words, place=folder / BUILD))
    if not write:
        yield project
        return
    with (folder / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "another program"
            raise UserError(f"{folder}: {holder} works on this project; wait for it or end it") from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        yield project
