"""Write the records of a cell in evaluation order, in whatever order workers finish them.

In: finished records. Out: the cell's folder, which only this process writes. A record that comes ahead of its turn
waits in memory, so that no one can tell from a folder how many workers made it.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from mmke.results.folder import PromptOf, RunFolder, finished_keys, open_run
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.ordering import has_gaps, put_in_order
from mmke.results.places import run_path
from mmke.results.rows import RecordKey
from mmke.running.shards.records import Finished
from mmke.types import EditCase


@dataclass
class Writer:
    """A cell's folder; it is opened when its first record comes, and closed when no more is expected.

    Attributes:
        out: the results folder.
        settings: what decides the rows.
        facts: what this start adds to run.json.
        prompt_of: see `results.folder.open_run`.
        cases: by id.
        order: the records that are not finished, as they are to be written.
        keys: all records, in the same order.
    """

    out: Path
    settings: RunSettings
    facts: RunFacts
    prompt_of: PromptOf
    cases: dict[str, EditCase]
    order: list[RecordKey]
    keys: list[RecordKey]
    _gaps: bool = False
    _early: dict[RecordKey, Finished] = field(default_factory=dict)
    _given_up: set[RecordKey] = field(default_factory=set)
    _opened: ExitStack = field(default_factory=ExitStack)
    _folder: RunFolder | None = None

    @property
    def path(self) -> Path:
        """Return the cell's folder."""
        return run_path(self.out, self.settings)

    def expect(self, keys: Sequence[RecordKey]) -> list[RecordKey]:
        """Expect the records of a cell behind those that are expected already, and return which of them are left."""
        self.keys = list(dict.fromkeys([*self.keys, *keys]))
        left = [key for key in unfinished(self.path, keys) if key not in self.order]
        self.order += left
        self._gaps = has_gaps(self.path, self.keys)
        return left

    def take(self, record: Finished) -> None:
        """Write a record, with those behind it that were waiting; or let it wait for those before it.

        Raises:
            UserError: the folder cannot be opened, or was taken away.
            OSError: the disk is full or gone.
        """
        self._early[record.key] = record
        self._write()

    def give_up(self, key: RecordKey) -> None:
        """Expect a record no more; those behind it are written."""
        self._given_up.add(key)
        self._write()

    def close(self) -> None:
        """Close the folder; what waits for its turn is lost, and computed again when the run continues."""
        self._opened.close()
        self._folder = None

    def _write(self) -> None:
        while self.order and self.order[0] in self._early.keys() | self._given_up:
            key = self.order.pop(0)
            record = self._early.pop(key, None)
            if record is not None:
                self._open().append(self.cases[key.case_id], record.rows, record.timing)
        if not self.order:
            self.close()
            if self._gaps and not self._given_up:
                put_in_order(self.path, self.keys)

    def _open(self) -> RunFolder:
        if self._folder is None:
            self._folder = self._opened.enter_context(
                open_run(self.out, self.settings, self.facts, prompt_of=self.prompt_of)
            )
        return self._folder


def unfinished(path: Path, keys: Sequence[RecordKey]) -> list[RecordKey]:
    """Return which records a folder lacks, in their order."""
    finished = finished_keys(path)
    return [key for key in keys if key not in finished]
