"""Boards: one a benchmark and number of hops, with the runs that pass all checks in order, and those that do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mmke.errors import UserError, did_you_mean
from mmke.report.aggregates import HARD_LOC
from mmke.report.leaderboard.checks import Rules, code_of, reasons, rules_of
from mmke.report.leaderboard.entries import Entry
from mmke.types import ProbeKind


@dataclass(frozen=True)
class Row:
    """A run with its place: None for the floor, and where a check is not passed.

    Attributes:
        place: from 1.
        entry: the run.
        failed: by check why it is not passed.
        code: the commit or version that made it.
    """

    place: int | None
    entry: Entry
    failed: Mapping[str, str]
    code: str

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        run = self.entry.run
        about = {name: run.get(name) for name in ("dtype", "device", "data_revision", "weights_revision")}
        return {
            "place": self.place,
            "source": self.entry.source,
            **self.entry.cell.as_dict(),
            **about,
            "code": self.code,
            "failed": dict(self.failed),
        }


@dataclass(frozen=True)
class Board:
    """One benchmark's rows.

    Attributes:
        benchmark: its name.
        hop: of the portability questions.
        rules: that its runs are held against.
        columns: headings of the figures by their names.
        by: the column that decides the places.
        ranked: rows that pass, best first, floors at the end.
        unranked: the others.
    """

    benchmark: str
    hop: int
    rules: Rules
    columns: Mapping[str, str]
    by: str
    ranked: Sequence[Row]
    unranked: Sequence[Row]


def make_boards(entries: Sequence[Entry], *, protocol: str, by: str) -> list[Board]:
    """Return the boards of some runs.

    Args:
        entries: of any number of results folders.
        protocol: that a run has to follow to be ranked.
        by: the column that decides the places, such as `i_rel`.

    Raises:
        UserError: no board has that column.
    """
    ordered = sorted(entries, key=_board_key)
    boards = [_board(key, list(group), protocol, by) for key, group in groupby(ordered, key=_board_key)]
    known = dict.fromkeys(column for board in boards for column in board.columns)
    if by not in known:
        raise UserError(f"--by {by}: no such column{did_you_mean(by, known)} (there are {', '.join(known)})")
    return boards


def _board_key(entry: Entry) -> tuple[str, int]:
    return entry.cell.benchmark, entry.cell.hop


def _board(key: tuple[str, int], entries: Sequence[Entry], protocol: str, by: str) -> Board:
    rules = rules_of(entries, protocol=protocol)
    judged = [(entry, reasons(entry, rules)) for entry in entries]
    passed = sorted((entry for entry, failed in judged if not failed), key=lambda entry: _order(entry, by))
    ranked: list[Row] = []
    for entry in passed:
        place = None if entry.is_floor else sum(not row.entry.is_floor for row in ranked) + 1
        ranked.append(Row(place, entry, {}, code_of(entry)))
    unranked = [Row(None, entry, failed, code_of(entry)) for entry, failed in judged if failed]
    return Board(*key, rules, _columns(entries), by, ranked, unranked)


def _order(entry: Entry, by: str) -> tuple[bool, float, str, str]:
    """Best first; a run without this figure comes behind all that have it, and floors last."""
    figure = entry.cell.metrics.get(by)
    value = float("-inf") if figure is None or figure.value is None else figure.value
    column = entry.cell.scale.columns.get(by)
    better = value if column is None or column.higher_is_better else -value
    return entry.is_floor, -better, entry.cell.backbone, entry.cell.editor


def _columns(entries: Sequence[Entry]) -> dict[str, str]:
    kinds: dict[str, ProbeKind] = {name: kind for each in entries for name, kind in each.cell.scale.kinds.items()}
    found = {name: kind.label for name, kind in kinds.items() if kind.headline}
    hard = any(HARD_LOC in entry.cell.metrics for entry in entries)
    return {**found, HARD_LOC: HARD_LOC} if hard else found
