"""A benchmark by what the user wrote: a registered name, or the path of one's own file."""

from pathlib import Path

from mmke import registry
from mmke.benchmarks import own
from mmke.types import Benchmark


def open_benchmark(name: str, *, data: Path | None) -> Benchmark:
    """Open a benchmark; what ends in `.json` or has a slash is a path, anything else a registered name.

    Raises:
        UserError: unknown name, missing files.
    """
    if name.endswith(".json") or "/" in name:
        return own.load(name=name, data=data)
    benchmark: Benchmark = registry.factory("benchmarks", name)(name=name, data=data)
    return benchmark
