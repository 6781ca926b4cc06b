"""The edits that a user gives: a list in a JSON file, or the records of a benchmark. No torch here.

In: the path of a file, or the name of a benchmark. Out: batches of edits, and the training records beside them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmke import registry
from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.plain import plain_edits
from mmke.errors import UserError
from mmke.types import Edit, EditCase, Switches


class Given(NamedTuple):
    """What is to be edited.

    Attributes:
        batches: each is applied together.
        train: training records of the benchmark; empty for a plain list.
        benchmark: its name; None for a plain list.
    """

    batches: tuple[tuple[Edit, ...], ...]
    train: tuple[EditCase, ...] = ()
    benchmark: str | None = None


def read_given(name: str, *, switches: Switches, data: Path | None, limit: int, batch: int) -> Given:
    """Read the edits of a file, or of a benchmark's evaluation records.

    Args:
        name: path of a JSON list of `{"query", "target", "image"}`, or what `--benchmark` takes.
        switches: of the protocol, for records.
        data: folder of benchmarks that are not embedded.
        limit: edits, or records, of which the first are taken; 0: all.
        batch: edits, or records, that are applied together.

    Raises:
        UserError: the file is broken, or a picture cannot be read; the message names the edit.
    """
    plain = None if name in registry.names("benchmarks") else plain_edits(Path(name))
    if plain is not None:
        return Given(_batches(name, [[edit] for edit in plain], limit, batch))
    benchmark = open_benchmark(name, data=data)
    split = benchmark.load("eval", hop=0, switches=switches)
    train = benchmark.load("train", hop=0, switches=switches).cases
    return Given(_batches(name, [case.edits for case in split.cases], limit, batch), train, benchmark.name)


def _batches(name: str, units: Sequence[Sequence[Edit]], limit: int, batch: int) -> tuple[tuple[Edit, ...], ...]:
    taken = units[: limit or None]
    if not taken:
        raise UserError(f"{name} holds no edit")
    groups = (taken[begin : begin + batch] for begin in range(0, len(taken), batch))
    return tuple(tuple(edit for unit in group for edit in unit) for group in groups)
