"""How the cost of a record grows: with the number of records, the length of the answer, the demonstrations."""

import argparse
import json
from typing import Any

from race import PUBLISHED, median, race

ANSWERS = (10, 20, 40, 80)
DEMONSTRATIONS = (0, 5, 10, 25)
COUNTS = (1, 2, 4, 8)


def print_scaling(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Print and return seconds a record of both sides at each size."""
    print(f"seconds a record, {options.threads} threads, {options.clock} clock\n")
    return [*_by_answer(options), *_by_demonstrations(options), *_by_records(options)]


def _by_answer(options: argparse.Namespace) -> list[dict[str, Any]]:
    lines = []
    for editor in ("ft-llm", "ft-alignment"):
        commands = [{"record": 0, "answer": tokens} for tokens in ANSWERS]
        laps, _ = race(_arguments(options, editor), commands, warm=False)
        lines += [_line(options, editor, "answer tokens", n, [lap]) for n, lap in zip(ANSWERS, laps, strict=True)]
    return lines


def _by_demonstrations(options: argparse.Namespace) -> list[dict[str, Any]]:
    lines = []
    for count in DEMONSTRATIONS:
        changes = json.dumps({"demonstrations": count})
        laps, _ = race([*_arguments(options, "ike"), "--changes", changes], [{"record": 0}], warm=False)
        lines.append(_line(options, "ike", "demonstrations", count, laps))
    return lines


def _by_records(options: argparse.Namespace) -> list[dict[str, Any]]:
    laps, _ = race(_arguments(options, "ft-llm"), [{"record": i} for i in range(max(COUNTS))], warm=False)
    return [_line(options, "ft-llm", "records", n, laps[:n]) for n in COUNTS]


def _arguments(options: argparse.Namespace, editor: str) -> list[str]:
    changes = json.dumps(PUBLISHED[editor])
    threads = str(options.threads)
    return ["--editor", editor, "--benchmark", "mini-entity", "--threads", threads, "--changes", changes]


def _line(options: argparse.Namespace, editor: str, what: str, size: int, laps: list[Any]) -> dict[str, Any]:
    seconds = {side: median([lap.seconds(side, options.clock) for lap in laps]) for side in ("plain", "mmke")}
    peaks = {side: max(getattr(lap, side)["peak"] for lap in laps) for side in ("plain", "mmke")}
    ratio = seconds["plain"] / seconds["mmke"]
    print(
        f"{editor:13} {what:15} {size:4}  plain {seconds['plain']:7.2f}  mmke {seconds['mmke']:7.2f}  "
        f"ratio {ratio:5.2f}  peak MB {peaks['plain'] >> 20}/{peaks['mmke'] >> 20}",
        flush=True,
    )
    return {"editor": editor, "grows": what, "size": size, "seconds": seconds, "peak": peaks}
