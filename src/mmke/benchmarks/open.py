"""A benchmark by what the user wrote: a registered name, the path of one's own file, or a combination of such.

`A+B` joins benchmarks into one; `A@split` makes two edits of each record, the visual one first, `A@split-text-first`
the other way round (`mmke.benchmarks.combined`). Both can be combined: `A@split+B@split`.
"""

from pathlib import Path

from mmke import registry
from mmke.benchmarks import own
from mmke.benchmarks.combined import Divided, Joined
from mmke.errors import UserError
from mmke.types import Benchmark

DIVISIONS = {"split": False, "split-text-first": True}
"""What can stand behind `@`, and whether the textual edit comes first."""


def open_benchmark(name: str, *, data: Path | None) -> Benchmark:
    """Open a benchmark.

    Args:
        name: a registered name, the path of a file of records (`.json`, or `.jsonl` with one a line), or several of
            these joined by `+`, each with `@split` or `@split-text-first` where its records are to be divided.
        data: folder of benchmarks that are not embedded.

    Raises:
        UserError: unknown name, missing files.
    """
    data = None if data is None else data.expanduser()
    parts = _parts(name)
    if len(parts) > 1:
        return Joined.of(tuple(open_benchmark(part, data=data) for part in parts))
    base, at, division = name.rpartition("@")
    if not at or _is_one(name) or not _is_one(base):
        return _open_one(name, data)
    if division not in DIVISIONS:
        raise UserError(f"--benchmark {name}: behind @ there can be {' or '.join(DIVISIONS)}")
    whole = _open_one(base, data)
    return Divided(f"{whole.name}@{division}", whole.revision, whole, text_first=DIVISIONS[division])


def _open_one(name: str, data: Path | None) -> Benchmark:
    if name not in registry.names("benchmarks") and own.looks_like_a_path(name):
        return own.load(name=name, data=data)
    benchmark: Benchmark = registry.factory("benchmarks", name)(name=name, data=data)
    return benchmark


def _parts(name: str) -> list[str]:
    """Return the names that are joined by `+`; a single one where `+` belongs to the name of a file."""
    parts = name.split("+")
    known = [_is_one(part) or _is_one(part.rpartition("@")[0]) for part in parts]
    return parts if not _is_one(name) and any(known) and all(parts) else [name]


def _is_one(name: str) -> bool:
    return name in registry.names("benchmarks") or Path(name).expanduser().is_file()
