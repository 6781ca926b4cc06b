"""`mmke check`: every problem of a benchmark's data at once."""

from typing import Annotated

import typer

from mmke.cli import options


def check(
    benchmark: Annotated[
        str,
        typer.Argument(
            metavar="BENCHMARK",
            help="A name (mmke ls benchmarks), or the path of your own JSON file.",
            autocompletion=options.names("benchmarks"),
            callback=options.expanded_name,
        ),
    ],
    data: options.Data = None,
    hop: options.Hop = 1,
) -> int:
    """Look for every problem of a benchmark's data at once, and say what a run would use of it."""
    from mmke.benchmarks.check import check as look
    from mmke.benchmarks.open import open_benchmark

    report = look(open_benchmark(benchmark, data=data), hop=hop)
    print(report.text())
    return 0 if report.passed else 2
