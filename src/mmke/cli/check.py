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
    backbone: options.Asked = None,
    weights: options.Weights = None,
) -> int:
    """Look for every problem of a benchmark's data at once, and say what a run would use of it.

    With --backbone, also look for what that model cannot be asked: its tokenizer and its picture processing are run,
    its weights are not read.
    """
    from mmke.benchmarks.check import check as look
    from mmke.benchmarks.open import open_benchmark

    opened = open_benchmark(benchmark, data=data)
    report = look(opened, hop=hop)
    print(report.text())
    if backbone is None:
        return 0 if report.passed else 2
    if report.problems.stopping:
        print(f"{backbone} was not looked at: no run begins before the problems above are solved")
        return 2

    from mmke.running import beforehand
    from mmke.running.loading import load_backbone

    refused = beforehand.check(load_backbone(backbone, weights=weights, skeleton=True), opened, hop=hop)
    many = "question or edit" if len(refused) == 1 else "questions or edits"
    print("\n".join([f"{backbone}: {len(refused) or 'no'} {many} that it cannot be asked", *map(str, refused)]))
    return 2 if refused or not report.passed else 0
