"""`make bench`: records per minute and peak memory of mmke's own loop beside the plain loop.

Both sides run the floor (the unedited model) and then the editor, as every run does; the ratio is that of the editor
alone, and beside it that of both, since our side takes from the floor what an edit cannot change. They do the same
records by turns, each in a process of its own; their rows are compared. Figures are medians over the records. The bound
of a ratio is the operations of the plain loop over those that the work needs (`counting.py`); a ratio can pass it where
large products run at a better rate than small ones. Editors take their published settings.

Seconds are those of the processor by default, for one thread: on a machine that does other things as well, wall clocks
mostly measure the other things. `--clock wall --threads 2` is for a quiet one.
"""

import argparse
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from race import PUBLISHED, Lap, median, race
from scaling import print_scaling

RESULTS = Path(__file__).with_name("results")
CELLS = (
    ("none", "mini-entity"),
    ("ft-llm", "mini-entity"),
    ("ft-alignment", "mini-entity"),
    ("ike", "mini-entity"),
    ("ike", "mini-user"),
    ("ike", "mini-visual"),
)
RECORDS = {"none": 4, "ft-llm": 4, "ft-alignment": 4, "ike": 1}
"""Of each cell by default: one record of IKE takes the plain loop a minute and more."""
HEAD = """\
                            records a minute                           with the floor     peak MB   other  widest
editor        benchmark        plain      mmke  ratio  bound share    ratio  bound share  plain/mmke   ids     gap"""


class Result(NamedTuple):
    """One line of the table."""

    editor: str
    benchmark: str
    laps: list[Lap]
    ready: dict[str, Any]

    def text(self, clock: str) -> str:
        """Return the line."""
        plain, mmke = (median([lap.seconds(side, clock) for lap in self.laps]) for side in ("plain", "mmke"))
        peaks = (str(max(getattr(lap, side)["peak"] for lap in self.laps) >> 20) for side in ("plain", "mmke"))
        agreements = [lap.agreement for lap in self.laps]
        return (
            f"{self.editor:13} {self.benchmark:12} {60 / plain:9.2f} {60 / mmke:9.2f} "
            f"{self._ratio(clock, floor=False)}   {self._ratio(clock, floor=True)} {'/'.join(peaks):>11} "
            f"{sum(a.other_ids for a in agreements):5}/{sum(a.rows for a in agreements):<4}"
            f"{max(a.gap for a in agreements):9.1e}"
        )

    def _ratio(self, clock: str, *, floor: bool) -> str:
        ratio = median([lap.ratio(clock, floor=floor) for lap in self.laps])
        bound = median([lap.bound(floor=floor) for lap in self.laps])
        return f"{ratio:6.2f} {bound:6.2f} {ratio / bound:5.0%}"

    def plain_data(self) -> dict[str, Any]:
        """Return everything measured, without the rows."""
        laps = [
            {
                **{side: {k: v for k, v in getattr(lap, side).items() if k != "rows"} for side in ("plain", "mmke")},
                "bound": lap.bound(),
                "agreement": lap.agreement._asdict(),
            }
            for lap in self.laps
        ]
        return {"editor": self.editor, "benchmark": self.benchmark, "ready": self.ready, "laps": laps}


def main() -> None:
    """Race every cell and print the table."""
    options = _options()
    if options.scaling:
        _write("scaling", options, print_scaling(options))
        return
    results = []
    print(f"{options.threads} threads, seconds of the {options.clock} clock\n\n{HEAD}")
    for editor, benchmark in CELLS:
        if options.editor not in (None, editor) or options.benchmark not in (None, benchmark):
            continue
        commands = [{"record": i} for i in range(options.records or RECORDS[editor])]
        changes = {} if options.shipped else PUBLISHED[editor]
        arguments = ["--editor", editor, "--benchmark", benchmark, "--threads", str(options.threads)]
        arguments += ["--changes", json.dumps(changes)]
        results.append(Result(editor, benchmark, *race(arguments, commands, warm=editor == "none")))
        print(results[-1].text(options.clock), flush=True)
    if results:
        ready = results[-1].ready
        once = ", ".join(f"{name} {ready[name]:.2f} s" for name in ("load", "fingerprint", "retrieval"))
        print(f"\nonce a run (wall clock): {once}")
    chosen = [name for name in (options.editor, options.benchmark) if name]
    _write("-".join(["speed", *chosen]), options, [result.plain_data() for result in results])


def _write(name: str, options: argparse.Namespace, measured: Any) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-cpu.json"
    facts = {
        "command": sys.argv,
        "device": f"{platform.processor() or platform.machine()} CPU",
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("mmke", "torch", "transformers")}},
        "threads": options.threads,
    }
    path.write_text(json.dumps({**facts, "measured": measured}, indent=1) + "\n", encoding="utf-8")
    print(f"everything measured: {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, help="of each cell (default: 4, for IKE 1)")
    parser.add_argument("--editor", choices=sorted(PUBLISHED), help="this one alone")
    parser.add_argument("--benchmark", choices=sorted({cell[1] for cell in CELLS}), help="this one alone")
    parser.add_argument("--threads", type=int, default=1, help="of each side (default: 1)")
    parser.add_argument("--shipped", action="store_true", help="settings as shipped, not the published ones")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu", help="default: cpu")
    parser.add_argument(
        "--scaling", action="store_true", help="how the cost grows with records, answers, demonstrations"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
