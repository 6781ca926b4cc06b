"""A part of a run: shard 2 of 4 has every record that is its turn, and a folder of its own.

`run.json` of each cell names the shard, so that nobody takes a part for the whole and no other shard is added to it.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from mmke.errors import UserError

MOST = 10_000


class Shard(NamedTuple):
    """Which part of a run: `number` from 1 to `of`."""

    number: int
    of: int

    def __str__(self) -> str:
        """Return the form that --shard takes."""
        return f"{self.number}/{self.of}"

    @property
    def place(self) -> int:
        """Return its number from 0."""
        return self.number - 1


def parse_shard(text: str) -> Shard:
    """Read the form I/N.

    Raises:
        UserError: another form, or no such shard.
    """
    found = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", text)
    if found is None:
        raise UserError(f"--shard {text}: give I/N, such as 1/4 for the first of four shards")
    shard = Shard(int(found[1]), int(found[2]))
    check_shard(shard)
    return shard


def check_shard(shard: Shard) -> None:
    """Refuse a shard that there is not.

    Raises:
        UserError: its number is not from 1 to how many there are.
    """
    if not 1 <= shard.of <= MOST:
        raise UserError(f"--shard {shard}: a run can be divided into 1 to {MOST:,} shards")
    if not 1 <= shard.number <= shard.of:
        raise UserError(f"--shard {shard}: of {shard.of} shards the numbers are 1/{shard.of} to {shard.of}/{shard.of}")


def shard_of(run: Mapping[str, Any]) -> Shard | None:
    """Return which shard a `run.json` says its folder is; None: a whole run.

    Raises:
        UserError: it says something else.
    """
    return shard_from(run["records"].get("shard"), "run.json")


def shard_from(plain: object, file: object) -> Shard | None:
    """Return the shard of plain data.

    Raises:
        UserError: it is none; the message names the file.
    """
    match plain:
        case None:
            return None
        case {"number": int(number), "of": int(of)} if 1 <= number <= of <= MOST:
            return Shard(number, of)
    raise UserError(f"{file}: {plain!r} is no shard of a run; was the file edited? Restore it, or run the shard again")


def refuse_other(folder: object, there: Shard | None, wanted: Shard | None) -> None:
    """Refuse to continue a shard as another shard or as a whole run, and a whole run as a shard.

    Raises:
        UserError: the message says which is which.
    """
    if there != wanted:
        raise UserError(f"{folder} holds {told(there)}, and this is {told(wanted)}; give each its own --out")


def told(shard: Shard | None) -> str:
    """Return how messages name a shard, or a run that is none."""
    return "a whole run" if shard is None else f"shard {shard} of a run"
