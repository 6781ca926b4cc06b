"""A benchmark by what the user wrote: a registered name, or the path of one's own file."""

from pathlib import Path

from mmke import registry
from mmke.benchmarks import own
from mmke.types import Benchmark


def open_benchmark(name: str, *, data: Path | None) -> Benchmark:
    """Open a benchmark: a registered name, or the path of a file of records (`.json`, or `.jsonl` with one a line).

    Raises:
        UserError: unknown name, missing files.
    """
    data = None if data is None else data.expanduser()
    if name not in registry.names("benchmarks") and own.looks_like_a_path(name):
        return own.load(name=name, data=data)
    benchmark: Benchmark = registry.factory("benchmarks", name)(name=name, data=data)
    return benchmark
