"""Turn what `mmke bench` measured into a part of `src/mmke/grid/measured.toml`, from which grids are estimated.

    python benchmarks/measured_seconds.py benchmarks/results/full-size-*.json

In: files that `mmke bench --out` wrote, or files of several such results by name. Out: TOML on standard output; it is
appended to the file, and the date is written by hand. Seconds are means over the records that count, and for
training steps over the steps; the first number of a step is that of a record not seen before.
"""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any


def results(file: Path) -> Iterator[dict[str, Any]]:
    plain = json.loads(file.read_text(encoding="utf-8"))
    yield from [plain] if "measured" in plain else (each for each in plain.values() if "measured" in each)


def seconds(laps: list[dict[str, Any]], of: str) -> float | None:
    """Return the mean of a record's seconds: the edit itself and all answers."""
    found = [sum(lap[of]["phases"].values()) for lap in laps if lap.get(of)]
    return fmean(found) if found else None


def lines(result: dict[str, Any], file: Path) -> Iterator[str]:
    command = result["command"]
    protocol = command[command.index("--protocol") + 1] if "--protocol" in command else "strict"
    yield "[[measured]]"
    yield f"command = {json.dumps(shlex.join(command))}"
    yield f'device = "{result["device"]}"'
    yield f'where = "benchmarks/results/{file.name}"'
    yield "date = "
    records, steps = [], []
    for each in result["measured"]:
        place = f'backbone = "{result["backbone"]}", kind = "{each["benchmark"].rpartition("-")[2]}", '
        place += f'protocol = "{protocol}"'
        for editor, of in (("none", "floor"), (each["editor"], "edit")):
            taken = seconds(each["laps"]["mmke"], of)
            if taken is not None:
                records.append(f'    {{ editor = "{editor}", {place}, seconds = {taken:.3f} }},')
        of_mmke = (each.get("steps") or {}).get("mmke")
        if of_mmke:
            new, seen = (fmean(step[name]["wall"] for step in of_mmke) for name in ("new", "seen"))
            steps.append(f'    {{ editor = "{each["editor"]}", {place}, new = {new:.3f}, seen = {seen:.3f} }},')
    yield from ["records = [", *records, "]"]
    if steps:
        yield from ["steps = [", *steps, "]"]
    yield ""


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for result in results(Path(name)):
            print("\n".join(lines(result, Path(name))))
